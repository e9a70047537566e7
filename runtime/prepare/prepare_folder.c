/* The output folder: one preparation at a time fills it, and what a killed one left is taken over. The marker is the
 * file `unfinished`, under a kernel lock that ends with its process; where the file system has no locks, whoever
 * creates the marker owns the folder. */
#include "runtime/prepare/prepare_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/file_io.h"
#include "runtime/base/folder.h"

static const char marker_name[] = "unfinished";

static bool begins(const char *name, const char *with)
{
    return !strncmp(name, with, strlen(with));
}

static bool ends(const char *name, const char *with)
{
    const size_t n = strlen(name), m = strlen(with);
    return n >= m && !strcmp(name + n - m, with);
}

/* Something a killed preparation left behind: shards, and a dataset.json.NUMBER.tmp. */
static bool is_leftover(const char *name)
{
    return (begins(name, "dataset.json.") && ends(name, ".tmp")) ||
           ((begins(name, "train-") || begins(name, "val-")) && strstr(name, ".tar"));
}

static bool may_stay(const char *name)
{
    return !strcmp(name, ".") || !strcmp(name, "..") || !strcmp(name, marker_name) || sl_folder_is_clutter(name);
}

/* With `remove_leftovers` those go; anything else is in the way. */
static int clear_folder(const char *folder, bool remove_leftovers)
{
    int rc = SL_OK;
    const struct dirent *entry;
    DIR *stream = opendir(folder);
    if (!stream)
        SL_FAIL(SL_CANNOT_CREATE, "%s: cannot open the folder: %s", folder, strerror(errno));
    if (faccessat(dirfd(stream), "dataset.json", F_OK, 0) == 0)
        SL_FAIL(SL_CANNOT_CREATE, "%s: already holds a prepared data set; remove it or choose another folder", folder);
    while ((errno = 0, entry = readdir(stream))) {
        const char *name = entry->d_name;
        if (may_stay(name))
            continue;
        if (!remove_leftovers || !is_leftover(name))
            SL_FAIL(SL_CANNOT_CREATE, "%s: the folder is not empty (%s); remove it or choose another folder", folder,
                    name);
        if (unlinkat(dirfd(stream), name, 0) != 0)
            SL_FAIL(SL_CANNOT_CREATE, "%s/%s: cannot remove what a killed preparation left: %s", folder, name,
                    strerror(errno));
    }
    if (errno)
        SL_FAIL(SL_CANNOT_CREATE, "%s: cannot read the folder: %s", folder, strerror(errno));
out:
    if (stream)
        closedir(stream);
    return rc;
}

/* Opens the marker; *created says whether it is new. */
static int open_marker(const char *path, int *fd, bool *created)
{
    const int flags = O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    struct stat status;
    *fd = open(path, flags | O_CREAT | O_EXCL, 0666);
    *created = *fd >= 0;
    if (*fd < 0 && errno == EEXIST)
        *fd = open(path, flags);
    if (*fd < 0 && errno == ENOENT)
        return SL_OK; /* removed in between */
    /* A FIFO without a reader, a link, a folder. */
    if (*fd < 0 && errno != ENXIO && errno != ELOOP && errno != EISDIR)
        return sl_io_fail("create it", path, errno);
    if (*fd >= 0 && fstat(*fd, &status) == 0 && S_ISREG(status.st_mode))
        return SL_OK;
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    return sl_fail(SL_CANNOT_CREATE, "%s: not a regular file; remove it", path);
}

/* Is the open marker still the one under its name? Its owner may have removed it before it was locked here. */
static bool is_current(int fd, const char *path)
{
    struct stat mine, there;
    return fstat(fd, &mine) == 0 && stat(path, &there) == 0 && mine.st_dev == there.st_dev &&
           mine.st_ino == there.st_ino;
}

static int lock_error(int fd, const char *path)
{
    const int error = sl_io_fault("lock", path);
    if (error || flock(fd, LOCK_EX | LOCK_NB) == 0)
        return error;
    return errno;
}

/* Locks the open marker. */
static int take_lock(const struct sl_prepare_options *options, const char *marker, int fd, bool created)
{
    const int error = lock_error(fd, marker);
    switch (error) {
    case 0:
        return SL_OK;
    case EWOULDBLOCK:
        return sl_fail(SL_CANNOT_CREATE, "%s: another preparation is writing this folder", options->output);
    case ENOSYS:
    case EOPNOTSUPP:
    case ENOLCK:
    case EINVAL:
        if (!created)
            return sl_fail(SL_CANNOT_CREATE,
                           "%s: another preparation is writing this folder, or one was killed: the file system has no "
                           "locks to tell (%s); if none runs, remove the folder",
                           options->output, strerror(error));
        sl_tell(options->report, options->self,
                "%s: the file system has no locks (%s); the file %s alone keeps others out", options->output,
                strerror(error), marker_name);
        return SL_OK;
    default:
        return sl_io_fail("lock it", marker, error);
    }
}

/* One attempt; *fd -1 without an error: the marker was removed under our hands. */
static int try_marker(const struct sl_prepare_options *options, const char *marker, int *fd, bool *created)
{
    int rc = SL_OK, opened = -1;
    *fd = -1;
    SL_TRY(open_marker(marker, &opened, created));
    if (opened < 0)
        goto out;
    rc = take_lock(options, marker, opened, *created);
    if (rc != SL_OK || !is_current(opened, marker))
        close(opened);
    else
        *fd = opened;
out:
    return rc;
}

int sl_prepare_folder_open(const struct sl_prepare_options *options, struct sl_prepare_folder *folder)
{
    enum { ATTEMPTS = 100 };
    int rc = SL_OK;
    bool created = false;
    *folder = (struct sl_prepare_folder){options->output, sl_io_path(options->output, marker_name), -1};
    if (!folder->marker)
        SL_FAIL(SL_SYSTEM, "out of memory for a path");
    SL_TRY(sl_folder_create_all(folder->path));
    for (int i = 0; i < ATTEMPTS && folder->lock < 0; i++) {
        /* Looked at before anything is written into somebody's folder, and again once it is ours. */
        if (access(folder->marker, F_OK) != 0)
            SL_TRY(clear_folder(folder->path, false));
        SL_TRY(try_marker(options, folder->marker, &folder->lock, &created));
    }
    if (folder->lock < 0)
        SL_FAIL(SL_CANNOT_CREATE, "%s: other preparations come and go in this folder; try again", folder->path);
    SL_TRY(clear_folder(folder->path, !created));
out:
    return rc;
}

void sl_prepare_folder_close(struct sl_prepare_folder *folder)
{
    if (folder->lock >= 0) {
        unlink(folder->marker);
        close(folder->lock);
    }
    free(folder->marker);
}
