/* Whose folder is this? A run folder is told by what a run writes into it. In any other folder nothing is touched that
 * only bears one of a run's names. */
#include "runtime/store/recognise.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/file_io.h"
#include "runtime/base/folder.h"
#include "runtime/store/lock.h"
#include "runtime/store/run_folder.h"

enum { HEAD_BYTES = 96 };

enum looks { ABSENT, EMPTY, OURS, FOREIGN, NO_FILE };

/* What a run's files begin with. */
static const struct name {
    const char *name;
    const char *start; /* NULL: the text of a lock */
    bool tells;        /* it makes the folder a run */
    bool appended;     /* a run goes on where it ends: it must be a run's in any folder */
    bool replaced;     /* whatever stands there */
} names[] = {
    {"log.jsonl", "{\"schema_version\":", .tells = true, .appended = true},
    {"metrics.csv", "epoch,iteration,", .tells = true, .appended = true},
    {"config.json", "{\n  \"version\": ", .tells = true},
    {"lock", NULL, .tells = true},
    {SL_LAST_GOOD, "ckpt-", .replaced = true},
    {SL_BEST, "ckpt-", .replaced = true},
};
enum { NAMES = sizeof names / sizeof *names };

/* The first bytes as a text. SL_OK with *looks other than OURS: it is no file, or there is nothing to read. */
static int read_head(const char *path, char head[HEAD_BYTES], enum looks *looks)
{
    int rc = SL_OK, error = sl_io_fault("open", path);
    struct stat info;
    ssize_t n = 0;
    const int fd = error ? -1 : open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && !error)
        error = errno;
    *looks = error == ENOENT ? ABSENT : NO_FILE;
    if (error == ENOENT || error == ELOOP || error == ENXIO)
        goto out;
    if (error || fstat(fd, &info))
        SL_FAIL(sl_io_open_status(error ? error : errno), "%s: cannot open it: %s", path,
                strerror(error ? error : errno));
    if (!S_ISREG(info.st_mode))
        goto out;
    if ((n = pread(fd, head, HEAD_BYTES - 1, 0)) < 0)
        SL_FAIL(SL_IO, "%s: cannot read it: %s", path, strerror(errno));
    *looks = n > 0 ? OURS : EMPTY;
out:
    head[n > 0 ? n : 0] = '\0';
    if (fd >= 0)
        close(fd);
    return rc;
}

/* A killed writer may have left less than the whole beginning. */
static bool begins(const struct name *name, const char *head)
{
    const size_t have = strlen(head), whole = name->start ? strlen(name->start) : 0;
    if (!name->start)
        return sl_store_lock_text(head);
    return have > 0 && !strncmp(head, name->start, have < whole ? have : whole);
}

static int look(const char *run, const struct name *name, enum looks *looks)
{
    int rc = SL_OK;
    char head[HEAD_BYTES], *path = NULL;
    SL_TRY(sl_io_join(run, name->name, &path));
    SL_TRY(read_head(path, head, looks));
    if (*looks == OURS && !begins(name, head))
        *looks = FOREIGN;
out:
    free(path);
    return rc;
}

static int refuse(const char *run, const char *name, enum looks looks)
{
    if (looks == NO_FILE)
        return sl_fail(SL_CANNOT_CREATE, "%s/%s: not a regular file; remove it, or choose another run folder", run,
                       name);
    return sl_fail(SL_CANNOT_CREATE,
                   "%s/%s: not written by a training run, which needs that name; move it away, or choose another run "
                   "folder",
                   run, name);
}

static int has_manifest(const char *run, uint64_t step, bool *answer)
{
    int rc = SL_OK;
    struct stat info;
    char *manifest = NULL;
    SL_TRY(sl_checkpoint_path(run, step, "/manifest.json", &manifest));
    *answer = lstat(manifest, &info) == 0;
    if (!*answer && errno != ENOENT)
        SL_FAIL(sl_io_open_status(errno), "%s: cannot examine it: %s", manifest, strerror(errno));
out:
    free(manifest);
    return rc;
}

static int is_run(const char *run, const enum looks looks[NAMES], bool *answer)
{
    int rc = SL_OK;
    uint64_t *steps = NULL;
    size_t count = 0;
    *answer = false;
    for (int i = 0; i < NAMES; i++)
        *answer |= names[i].tells && looks[i] == OURS;
    SL_TRY(sl_checkpoint_steps(run, &steps, &count));
    for (size_t i = 0; i < count && !*answer; i++)
        SL_TRY(has_manifest(run, steps[i], answer));
out:
    free(steps);
    return rc;
}

static int refuse_leftover(void *self, const char *name)
{
    return sl_checkpoint_leftover(name) ? refuse(self, name, FOREIGN) : SL_OK;
}

int sl_store_recognise(const char *run)
{
    int rc = SL_OK;
    bool ours;
    enum looks looks[NAMES];
    for (int i = 0; i < NAMES; i++)
        SL_TRY(look(run, &names[i], &looks[i]));
    SL_TRY(is_run(run, looks, &ours));
    for (int i = 0; i < NAMES; i++)
        if ((looks[i] == NO_FILE && !(ours && names[i].replaced)) ||
            (looks[i] == FOREIGN && (!ours || names[i].appended)))
            SL_TRY(refuse(run, names[i].name, looks[i]));
    if (!ours)
        SL_TRY(sl_folder_each(run, refuse_leftover, (void *)(uintptr_t)run));
out:
    return rc;
}
