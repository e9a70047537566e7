#include "runtime/store/run_folder.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/base/file_io.h"
#include "runtime/base/folder.h"

#define PREFIX "ckpt-"
enum { RANDOM_DIGITS = 16 };

int sl_checkpoint_path(const char *run, uint64_t step, const char *suffix, char **path)
{
    if (asprintf(path, "%s/" PREFIX "%" PRIu64 "%s", run, step, suffix) >= 0)
        return SL_OK;
    *path = NULL;
    return sl_fail(SL_SYSTEM, "%s: out of memory for a path", run);
}

bool sl_checkpoint_parse(const char *name, uint64_t *step)
{
    char again[64];
    if (sscanf(name, PREFIX "%" SCNu64, step) != 1)
        return false;
    snprintf(again, sizeof again, PREFIX "%" PRIu64, *step);
    return !strcmp(name, again);
}

static int newest_first(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x < y) - (x > y);
}

struct steps {
    const char *run;
    uint64_t *list;
    size_t count, room;
};

static int add_step(struct steps *steps, uint64_t step)
{
    if (steps->count == steps->room) {
        steps->room = steps->room ? 2 * steps->room : 16;
        uint64_t *more = realloc(steps->list, steps->room * sizeof *more);
        if (!more)
            return sl_fail(SL_SYSTEM, "%s: out of memory for a list of checkpoints", steps->run);
        steps->list = more;
    }
    steps->list[steps->count++] = step;
    return SL_OK;
}

static int visit_step(void *self, const char *name)
{
    int rc = SL_OK;
    struct steps *steps = self;
    char *path = NULL;
    uint64_t step;
    struct stat info;
    if (!sl_checkpoint_parse(name, &step))
        return SL_OK;
    SL_TRY(sl_io_join(steps->run, name, &path));
    if (lstat(path, &info) == 0)
        rc = S_ISDIR(info.st_mode) ? add_step(steps, step) : SL_OK;
    else if (errno != ENOENT)
        SL_FAIL(sl_io_open_status(errno), "%s: cannot examine it: %s", path, strerror(errno));
out:
    free(path);
    return rc;
}

int sl_checkpoint_steps(const char *run, uint64_t **list, size_t *count)
{
    struct steps steps = {.run = run};
    const int rc = sl_folder_each(run, visit_step, &steps);
    if (rc == SL_OK && steps.count)
        qsort(steps.list, steps.count, sizeof *steps.list, newest_first);
    if (rc != SL_OK) {
        free(steps.list);
        steps = (struct steps){0};
    }
    *list = steps.list;
    *count = steps.count;
    return rc;
}

/* NAME.RANDOM.tmp of sl_replace. */
static bool is_replacement(const char *name)
{
    static const char *const replaced[] = {SL_LAST_GOOD, SL_BEST, "config.json", "metrics.csv"};
    const char *digits = name;
    for (size_t i = 0; i < sizeof replaced / sizeof *replaced; i++) {
        const size_t n = strlen(replaced[i]);
        if (!strncmp(name, replaced[i], n) && name[n] == '.')
            digits = name + n + 1;
    }
    return digits > name && strspn(digits, "0123456789abcdef") == RANDOM_DIGITS &&
           !strcmp(digits + RANDOM_DIGITS, ".tmp");
}

bool sl_checkpoint_leftover(const char *name)
{
    static const char *const suffixes[] = {".retired.tmp", ".tmp"};
    char checkpoint[64];
    uint64_t step;
    const size_t n = strlen(name);
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes && n < sizeof checkpoint; i++) {
        const size_t suffix = strlen(suffixes[i]);
        if (n <= suffix || strcmp(name + n - suffix, suffixes[i]))
            continue;
        snprintf(checkpoint, sizeof checkpoint, "%.*s", (int)(n - suffix), name);
        if (sl_checkpoint_parse(checkpoint, &step))
            return true;
    }
    return is_replacement(name);
}

struct sweep {
    const char *run;
    char **why;
};

static int remove_leftover(void *self, const char *name)
{
    const struct sweep *sweep = self;
    char *path = NULL;
    if (!sl_checkpoint_leftover(name))
        return SL_OK;
    const int rc = sl_io_join(sweep->run, name, &path);
    if (rc == SL_OK && sl_folder_remove(path) != SL_OK && !*sweep->why)
        *sweep->why = strdup(sl_last_error());
    free(path);
    return rc;
}

int sl_checkpoint_sweep(const char *run, char **why)
{
    struct sweep sweep = {run, why};
    *why = NULL;
    return sl_folder_each(run, remove_leftover, &sweep);
}
