#include "apps/cli_process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/report/text.h"

/* A file that is opened gets the lowest free number: without this, the log of a run that was started with its standard
 * error closed would get number 2, and every message. Results that nobody can get stay an error. */
static void reserve_streams(void)
{
    static const int access[] = {O_WRONLY, O_RDONLY, O_RDWR}; /* reading 0 and writing 1 fail, messages vanish */
    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", access[fd]) != fd)
            _exit(SL_SYSTEM); /* there is nowhere to say why */
}

/* Shards and checkpoints are mapped: where one is cut short, or its disk fails, reading it is a signal. */
static void mapped_file_lost(int number)
{
    static const char text[] =
        ": a file of the data set or of the model was cut short or became unreadable while it was in use; put it back "
        "and start again (training: with --resume)\n";
    (void)number;
    const bool said = write(STDERR_FILENO, program_invocation_short_name, strlen(program_invocation_short_name)) > 0 &&
                      write(STDERR_FILENO, text, sizeof text - 1) > 0;
    (void)said;
    _exit(SL_IO);
}

static bool ended; /* cli_end has looked at the output */

/* The reader of standard output has seen enough. */
static bool reader_is_gone(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO};
    return poll(&out, 1, 0) == 1 && (out.revents & POLLERR);
}

/* 0, or why standard output holds less than was written to it. */
static int output_error(void)
{
    errno = 0;
    const bool failed = ferror(stdout);
    if (fflush(stdout) == 0 && !failed)
        return 0;
    return errno ? errno : EIO;
}

static void say_unwritten(int error)
{
    fprintf(stderr, "%s: cannot write the output: %s\n", program_invocation_short_name, strerror(error));
}

/* argp prints --help and --version and exits by itself. */
static void check_output_at_exit(void)
{
    const int error = ended ? 0 : output_error();
    if (!error || reader_is_gone())
        return;
    say_unwritten(error);
    _exit(SL_IO);
}

void cli_process_begin(void)
{
    reserve_streams();
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    signal(SIGBUS, mapped_file_lost);
    atexit(check_output_at_exit);
}

void cli_say(void *self, const char *line)
{
    (void)self;
    sl_text_print_message(stderr, line);
    fputc('\n', stderr);
}

int cli_end(int rc)
{
    const int error = output_error();
    ended = true;
    if (error && (rc == SL_OK || rc == SL_IO) && reader_is_gone())
        return SL_OK;
    if (rc != SL_OK) {
        const char *detail = sl_last_error();
        fprintf(stderr, "%s: ", program_invocation_short_name);
        cli_say(NULL, *detail ? detail : sl_status_text(rc));
        if (rc == SL_USAGE)
            fprintf(stderr, "Try '%s --help' for more information.\n", program_invocation_short_name);
    } else if (error) {
        say_unwritten(error);
        rc = SL_IO;
    }
    return rc;
}

void cli_end_silently(void)
{
    ended = true;
}
