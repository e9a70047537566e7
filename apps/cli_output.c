#include "apps/cli_output.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The temporary of the file in the making. */
static char *volatile unfinished;

static void remove_unfinished(int number)
{
    if (unfinished)
        unlink(unfinished);
    signal(number, SIG_DFL);
    raise(number);
}

/* Not where the signal is ignored, as under nohup. */
static void guard(void)
{
    static const int deadly[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGXCPU};
    const struct sigaction action = {.sa_handler = remove_unfinished, .sa_flags = SA_NODEFER};
    for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++) {
        struct sigaction old;
        if (sigaction(deadly[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL)
            sigaction(deadly[i], &action, NULL);
    }
}

static void forget_unfinished(void)
{
    char *path = unfinished;
    unfinished = NULL;
    free(path);
}

/* `--output /dev/stdout >>FILE` and the like: replacing FILE would lose what it holds. */
static bool is_standard_output(const char *path)
{
    struct stat named, out;
    return stat(path, &named) == 0 && fstat(STDOUT_FILENO, &out) == 0 && S_ISREG(named.st_mode) &&
           named.st_dev == out.st_dev && named.st_ino == out.st_ino;
}

int cli_output_open(const char *path, struct cli_output *output)
{
    int rc = SL_OK;
    *output = (struct cli_output){.to = stdout};
    if (!path || is_standard_output(path))
        goto out;
    SL_TRY(sl_result_open(path, &output->file));
    output->to = output->file.to;
    if (output->file.temporary && !(unfinished = strdup(output->file.temporary)))
        SL_FAIL(SL_SYSTEM, "%s: out of memory", path);
    guard();
out:
    return rc;
}

int cli_output_flush(struct cli_output *output)
{
    if (output->to != stdout)
        return sl_result_flush(&output->file);
    errno = 0;
    const bool failed = ferror(stdout);
    if (fflush(stdout) == 0 && !failed)
        return SL_OK;
    return sl_fail(SL_IO, "cannot write the output: %s", strerror(errno ? errno : EIO));
}

int cli_output_commit(struct cli_output *output)
{
    return output->to == stdout ? cli_output_flush(output) : sl_result_commit(&output->file);
}

void cli_output_close(struct cli_output *output)
{
    sl_result_close(&output->file);
    forget_unfinished();
    *output = (struct cli_output){0};
}
