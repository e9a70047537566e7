#include "runtime/data/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char *sl_path_join(const char *folder, const char *name)
{
    char *path = NULL;
    if (asprintf(&path, "%s/%s", folder, name) < 0) {
        sl_fail(SL_SYSTEM, "no memory for the path %s/%s", folder, name);
        return NULL;
    }
    return path;
}

static int read_fully(int fd, const char *path, uint8_t *bytes, size_t length)
{
    size_t have = 0;
    while (have < length) {
        const ssize_t got = read(fd, bytes + have, length - have);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return sl_fail(SL_IO, "%s: cannot read at offset %zu: %s", path, have, strerror(errno));
        if (got == 0)
            return sl_fail(SL_IO, "%s: ends at offset %zu of %zu; it is being changed", path, have, length);
        have += (size_t)got;
    }
    return SL_OK;
}

int sl_file_read(const char *path, size_t cap, uint8_t **bytes, size_t *length)
{
    int rc = SL_OK;
    uint8_t *memory = NULL;
    struct stat status;
    *bytes = NULL;
    *length = 0;
    /* Without O_NONBLOCK a named pipe would wait for a writer for ever. */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        SL_FAIL(errno == ENOENT || errno == ENOTDIR ? SL_MISSING : SL_IO, "%s: cannot open: %s", path, strerror(errno));
    if (fstat(fd, &status) != 0)
        SL_FAIL(SL_IO, "%s: cannot stat: %s", path, strerror(errno));
    if (!S_ISREG(status.st_mode))
        SL_FAIL(SL_BAD_DATA, "%s: %s, not a file", path, S_ISDIR(status.st_mode) ? "a directory" : "a special file");
    if ((uint64_t)status.st_size > cap)
        SL_FAIL(SL_BAD_DATA, "%s: %lld bytes, more than the %zu allowed here", path, (long long)status.st_size, cap);
    memory = malloc((size_t)status.st_size + 1);
    if (!memory)
        SL_FAIL(SL_SYSTEM, "%s: no memory for its %lld bytes", path, (long long)status.st_size);
    SL_TRY(read_fully(fd, path, memory, (size_t)status.st_size));
    memory[status.st_size] = 0;
    *bytes = memory;
    *length = (size_t)status.st_size;
    memory = NULL;
out:
    free(memory);
    if (fd >= 0)
        close(fd);
    return rc;
}

int sl_folder_create(const char *path)
{
    struct stat status;
    if (mkdir(path, 0777) == 0)
        return SL_OK;
    const int error = errno;
    if (error == EEXIST && stat(path, &status) == 0 && S_ISDIR(status.st_mode))
        return SL_OK;
    return sl_fail(SL_CANNOT_CREATE, "%s: cannot create the folder: %s", path, strerror(error));
}

struct sl_output {
    char *path, *temporary;
    int fd;
    bool committed;
};

int sl_output_open(const char *path, struct sl_output **output)
{
    int rc = SL_OK;
    struct sl_output *self = calloc(1, sizeof *self);
    *output = NULL;
    if (!self)
        SL_FAIL(SL_SYSTEM, "%s: no memory", path);
    self->fd = -1;
    self->path = strdup(path);
    if (!self->path || asprintf(&self->temporary, "%s.tmp", path) < 0) {
        self->temporary = NULL;
        SL_FAIL(SL_SYSTEM, "%s: no memory", path);
    }
    self->fd = open(self->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (self->fd < 0)
        SL_FAIL(SL_CANNOT_CREATE, "%s: cannot create: %s", self->temporary, strerror(errno));
    *output = self;
    self = NULL;
out:
    sl_output_close(self);
    return rc;
}

int sl_output_write(struct sl_output *output, const void *bytes, size_t n)
{
    const uint8_t *at = bytes;
    while (n > 0) {
        const ssize_t put = write(output->fd, at, n);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return sl_fail(SL_IO, "%s: cannot write: %s", output->path, strerror(errno));
        at += put;
        n -= (size_t)put;
    }
    return SL_OK;
}

static int sync_parent(const char *path)
{
    int rc = SL_OK, fd = -1;
    const char *slash = strrchr(path, '/');
    char *folder = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
    if (!folder)
        SL_FAIL(SL_SYSTEM, "%s: no memory", path);
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    /* Some file systems refuse to sync a folder with EINVAL; nothing more can be done there. */
    if (fd < 0 || (fsync(fd) != 0 && errno != EINVAL))
        SL_FAIL(SL_IO, "%s: cannot sync the folder: %s", folder, strerror(errno));
out:
    if (fd >= 0)
        close(fd);
    free(folder);
    return rc;
}

int sl_output_commit(struct sl_output *output)
{
    int rc = SL_OK;
    if (fsync(output->fd) != 0)
        SL_FAIL(SL_IO, "%s: cannot sync: %s", output->path, strerror(errno));
    const int closed = close(output->fd);
    output->fd = -1;
    if (closed != 0)
        SL_FAIL(SL_IO, "%s: cannot close: %s", output->path, strerror(errno));
    if (rename(output->temporary, output->path) != 0)
        SL_FAIL(SL_IO, "%s: cannot rename from %s: %s", output->path, output->temporary, strerror(errno));
    output->committed = true;
    SL_TRY(sync_parent(output->path));
out:
    return rc;
}

void sl_output_close(struct sl_output *output)
{
    if (!output)
        return;
    if (output->fd >= 0)
        close(output->fd);
    if (output->temporary && !output->committed)
        unlink(output->temporary);
    free(output->temporary);
    free(output->path);
    free(output);
}
