#include "runtime/base/file_io.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* One write call's length: Linux takes at most 2 GiB at once, and a signal is answered in between. */
enum { WRITE_CHUNK = 64 << 20 };

sl_io_fault_fn *sl_io_fault_hook = NULL;

static _Thread_local int last_error;

int sl_io_fault(const char *step, const char *path)
{
    return sl_io_fault_hook ? sl_io_fault_hook(step, path) : 0;
}

int sl_io_status(int error)
{
    switch (error) {
    case ENOSPC:
    case EDQUOT:
    case EROFS:
    case EACCES:
    case EPERM:
    case ENOENT:
    case ENOTDIR:
    case EISDIR:
    case EEXIST:
    case ELOOP:
    case EFBIG:
    case ENAMETOOLONG:
        return SL_CANNOT_CREATE;
    case ENOMEM:
    case EMFILE:
    case ENFILE:
        return SL_SYSTEM;
    default:
        return SL_IO;
    }
}

int sl_io_open_status(int error)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR:
    case ESTALE: /* removed by another machine of a network file system */
        return SL_MISSING;
    case ELOOP:
    case ENXIO: /* a socket */
        return SL_BAD_DATA;
    case ENOMEM:
    case EMFILE:
    case ENFILE:
        return SL_SYSTEM;
    default:
        return SL_IO;
    }
}

int sl_io_fail(const char *what, const char *path, int error)
{
    last_error = error;
    return sl_fail(sl_io_status(error), "%s: cannot %s: %s", path, what, strerror(error));
}

int sl_io_last_error(void)
{
    return last_error;
}

void sl_io_clear_error(void)
{
    last_error = 0;
}

int sl_io_join(const char *folder, const char *name, char **path)
{
    if (asprintf(path, "%s/%s", folder, name) >= 0)
        return SL_OK;
    *path = NULL;
    return sl_fail(SL_SYSTEM, "out of memory for the path %s/%s", folder, name);
}

char *sl_io_path(const char *folder, const char *name)
{
    char *path = NULL;
    return sl_io_join(folder, name, &path) == SL_OK ? path : NULL;
}

int sl_io_parent(const char *path, char **parent)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    while (n > 0 && path[n - 1] != '/')
        n--;
    while (n > 1 && path[n - 1] == '/')
        n--;
    *parent = n ? strndup(path, n) : strdup(".");
    return *parent ? SL_OK : sl_fail(SL_SYSTEM, "%s: out of memory for a path", path);
}

int sl_io_create(const char *path, int *fd)
{
    const int error = sl_io_fault("create", path);
    *fd = error ? -1 : open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    return *fd >= 0 ? SL_OK : sl_io_fail("create it", path, error ? error : errno);
}

int sl_io_create_beside(const char *path, char **temporary, int *fd)
{
    uint64_t random = 0;
    *temporary = NULL;
    *fd = -1;
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        return sl_fail(SL_SYSTEM, "%s: no random bytes: %s", path, strerror(errno));
    if (asprintf(temporary, "%s.%016" PRIx64 ".tmp", path, random) < 0) {
        *temporary = NULL;
        return sl_fail(SL_SYSTEM, "%s: out of memory", path);
    }
    const int error = sl_io_fault("create", *temporary);
    *fd = error ? -1 : open(*temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (*fd >= 0)
        return SL_OK;
    const int rc = sl_io_fail("create it", path, error ? error : errno);
    free(*temporary);
    *temporary = NULL;
    return rc;
}

int sl_io_write(int fd, const char *path, const void *bytes, size_t n)
{
    const char *at = bytes;
    const int error = sl_io_fault("write", path);
    if (error) {
        /* A disk that fills up takes a part first. */
        const ssize_t part = write(fd, at, n / 2);
        (void)part;
        return sl_io_fail("write it", path, error);
    }
    while (n > 0) {
        const ssize_t written = write(fd, at, n < WRITE_CHUNK ? n : WRITE_CHUNK);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return sl_io_fail("write it", path, written < 0 ? errno : EIO);
        at += written;
        n -= (size_t)written;
    }
    return SL_OK;
}

int sl_io_sync_close(int *fd, const char *path)
{
    int error = sl_io_fault("sync", path);
    if (!error && fsync(*fd))
        error = errno;
    if (close(*fd) && !error && errno != EINTR)
        error = errno;
    *fd = -1;
    return error ? sl_io_fail("sync it", path, error) : SL_OK;
}

int sl_io_sync_folder(const char *path)
{
    int error = sl_io_fault("sync", path);
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    /* A folder that may be written but not listed cannot be synced. */
    if (fd < 0 && errno == EACCES && !error)
        return SL_OK;
    if (fd < 0)
        return sl_io_fail("open the folder", path, error ? error : errno);
    /* Some network file systems cannot sync a folder, and say EINVAL. */
    if (!error && fsync(fd) && errno != EINVAL)
        error = errno;
    close(fd);
    return error ? sl_io_fail("sync the folder", path, error) : SL_OK;
}

int sl_io_make_folder(const char *path)
{
    int rc = SL_OK;
    char *parent = NULL;
    int error = sl_io_fault("mkdir", path);
    if (!error && mkdir(path, 0777))
        error = errno;
    if (error)
        return sl_io_fail("create the folder", path, error);
    SL_TRY(sl_io_parent(path, &parent));
    rc = sl_io_sync_folder(parent);
out:
    free(parent);
    return rc;
}

int sl_io_rename(const char *from, const char *to)
{
    int error = sl_io_fault("rename", to);
    if (!error && rename(from, to))
        error = errno;
    return error ? sl_io_fail("move a finished file there", to, error) : SL_OK;
}

int sl_io_remove(const char *path)
{
    int error = sl_io_fault("remove", path);
    if (!error && remove(path) && errno != ENOENT)
        error = errno;
    return error ? sl_io_fail("remove it", path, error) : SL_OK;
}

/* The status of an errno met on an open file. */
static int read_status(int error)
{
    return error == ENXIO ? SL_IO : sl_io_open_status(error);
}

/* Opens a regular file for reading; a FIFO does not block. */
static int open_regular(const char *path, int links, size_t cap, int *fd, size_t *size)
{
    struct stat info;
    int error = sl_io_fault("open", path);
    *fd = error ? -1 : open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | links);
    if (*fd < 0 && !error)
        error = errno;
    if (error)
        return sl_fail(sl_io_open_status(error), "%s: cannot open it: %s", path, strerror(error));
    if (fstat(*fd, &info))
        return sl_fail(read_status(errno), "%s: cannot examine it: %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode))
        return sl_fail(SL_BAD_DATA, "%s: %s, not a file", path, S_ISDIR(info.st_mode) ? "a folder" : "a special file");
    if ((uint64_t)info.st_size > cap)
        return sl_fail(SL_BAD_DATA, "%s: %lld bytes, more than the %zu that are allowed", path, (long long)info.st_size,
                       cap);
    *size = (size_t)info.st_size;
    return SL_OK;
}

static int read_fully(int fd, const char *path, char *bytes, size_t size)
{
    size_t have = 0;
    const int error = sl_io_fault("read", path);
    while (have < size) {
        const ssize_t got = error ? -1 : read(fd, bytes + have, size - have);
        if (got < 0 && !error && errno == EINTR)
            continue;
        if (got < 0)
            return sl_fail(read_status(error ? error : errno), "%s: cannot read it at offset %zu: %s", path, have,
                           strerror(error ? error : errno));
        if (got == 0)
            return sl_fail(SL_IO, "%s: ends at offset %zu of %zu; it is being changed", path, have, size);
        have += (size_t)got;
    }
    return SL_OK;
}

/* `links`: O_NOFOLLOW, or 0 to follow them. */
static int read_file(const char *path, int links, size_t cap, char **text, size_t *n)
{
    int rc = SL_OK, fd = -1;
    size_t size = 0;
    char *bytes = NULL;
    *text = NULL;
    *n = 0;
    SL_TRY(open_regular(path, links, cap, &fd, &size));
    if (!(bytes = malloc(size + 1)))
        SL_FAIL(SL_SYSTEM, "%s: out of memory for %zu bytes", path, size);
    SL_TRY(read_fully(fd, path, bytes, size));
    bytes[size] = '\0';
    *text = bytes;
    *n = size;
    bytes = NULL;
out:
    if (fd >= 0)
        close(fd);
    free(bytes);
    return rc;
}

int sl_io_read_own(const char *path, size_t cap, char **text, size_t *n)
{
    return read_file(path, O_NOFOLLOW, cap, text, n);
}

int sl_io_read(const char *path, size_t cap, uint8_t **bytes, size_t *length)
{
    char *text;
    const int rc = read_file(path, 0, cap, &text, length);
    *bytes = (uint8_t *)text;
    return rc;
}
