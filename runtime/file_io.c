#include "runtime/file_io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* One write call's length: Linux takes at most 2 GiB at once, and a signal is answered in between. */
enum { WRITE_CHUNK = 64 << 20 };

sl_store_fault_fn *sl_store_fault = NULL;

/* 0, or the errno with which the coming step is to fail. */
static int fault(const char *step, const char *path)
{
    return sl_store_fault ? sl_store_fault(step, path) : 0;
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
    return sl_fail(sl_io_status(error), "%s: cannot %s: %s", path, what, strerror(error));
}

int sl_io_join(const char *folder, const char *name, char **path)
{
    if (asprintf(path, "%s/%s", folder, name) >= 0)
        return SL_OK;
    *path = NULL;
    return sl_fail(SL_SYSTEM, "out of memory for the path %s/%s", folder, name);
}

int sl_io_create(const char *path, int *fd)
{
    const int error = fault("create", path);
    *fd = error ? -1 : open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    return *fd >= 0 ? SL_OK : sl_io_fail("create it", path, error ? error : errno);
}

int sl_io_write(int fd, const char *path, const void *bytes, size_t n)
{
    const char *at = bytes;
    const int error = fault("write", path);
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
    int error = fault("sync", path);
    if (!error && fsync(*fd))
        error = errno;
    if (close(*fd) && !error && errno != EINTR)
        error = errno;
    *fd = -1;
    return error ? sl_io_fail("sync it", path, error) : SL_OK;
}

int sl_io_sync_folder(const char *path)
{
    int error = fault("sync", path);
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return sl_io_fail("open the folder", path, errno);
    /* Some network file systems cannot sync a folder, and say EINVAL. */
    if (!error && fsync(fd) && errno != EINVAL)
        error = errno;
    close(fd);
    return error ? sl_io_fail("sync the folder", path, error) : SL_OK;
}

int sl_io_make_folder(const char *path)
{
    int error = fault("mkdir", path);
    if (!error && mkdir(path, 0777))
        error = errno;
    return error ? sl_io_fail("create the folder", path, error) : SL_OK;
}

int sl_io_rename(const char *from, const char *to)
{
    int error = fault("rename", to);
    if (!error && rename(from, to))
        error = errno;
    return error ? sl_io_fail("move a finished file there", to, error) : SL_OK;
}

int sl_io_remove(const char *path)
{
    int error = fault("remove", path);
    if (!error && remove(path) && errno != ENOENT)
        error = errno;
    return error ? sl_io_fail("remove it", path, error) : SL_OK;
}

int sl_io_remove_folder(const char *path)
{
    int rc = SL_OK;
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return sl_io_remove(path);
    DIR *folder = fdopendir(fd);
    if (!folder) {
        close(fd);
        return sl_fail(SL_SYSTEM, "%s: cannot list the folder: %s", path, strerror(errno));
    }
    const struct dirent *entry;
    while (rc == SL_OK && (entry = readdir(folder))) {
        char *inner = NULL;
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        rc = sl_io_join(path, entry->d_name, &inner);
        if (rc == SL_OK)
            rc = sl_io_remove(inner);
        free(inner);
    }
    closedir(folder);
    return rc == SL_OK ? sl_io_remove(path) : rc;
}

/* The status of an errno met on an open file. */
static int read_status(int error)
{
    return error == ENOMEM ? SL_SYSTEM : SL_IO;
}

/* Opens a regular file for reading; a FIFO does not block. */
static int open_regular(const char *path, int links, size_t cap, int *fd, size_t *size)
{
    struct stat info;
    *fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | links);
    if (*fd < 0)
        return sl_fail(sl_io_open_status(errno), "%s: cannot open it: %s", path, strerror(errno));
    if (fstat(*fd, &info))
        return sl_fail(read_status(errno), "%s: cannot examine it: %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode))
        return sl_fail(SL_BAD_DATA, "%s: %s, not a file", path,
                       S_ISDIR(info.st_mode) ? "a directory" : "a special file");
    if ((uint64_t)info.st_size > cap)
        return sl_fail(SL_BAD_DATA, "%s: %lld bytes, more than the %zu allowed here", path, (long long)info.st_size,
                       cap);
    *size = (size_t)info.st_size;
    return SL_OK;
}

static int read_fully(int fd, const char *path, char *bytes, size_t size)
{
    size_t have = 0;
    while (have < size) {
        const ssize_t got = read(fd, bytes + have, size - have);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return sl_fail(read_status(errno), "%s: cannot read it at offset %zu: %s", path, have, strerror(errno));
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

int sl_io_read_small(const char *path, size_t cap, char **text, size_t *n)
{
    return read_file(path, O_NOFOLLOW, cap, text, n);
}

int sl_file_read(const char *path, size_t cap, uint8_t **bytes, size_t *length)
{
    char *text;
    const int rc = read_file(path, 0, cap, &text, length);
    *bytes = (uint8_t *)text;
    return rc;
}
