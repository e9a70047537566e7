#include "runtime/data/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode) ? SL_OK : sl_io_make_folder(path);
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
    SL_TRY(sl_io_remove(self->temporary));
    SL_TRY(sl_io_create(self->temporary, &self->fd));
    *output = self;
    self = NULL;
out:
    sl_output_close(self);
    return rc;
}

int sl_output_write(struct sl_output *output, const void *bytes, size_t n)
{
    return sl_io_write(output->fd, output->path, bytes, n);
}

int sl_output_commit(struct sl_output *output)
{
    int rc = SL_OK;
    const char *slash = strrchr(output->path, '/');
    char *folder =
        slash ? strndup(output->path, slash == output->path ? 1 : (size_t)(slash - output->path)) : strdup(".");
    if (!folder)
        SL_FAIL(SL_SYSTEM, "%s: no memory", output->path);
    SL_TRY(sl_io_sync_close(&output->fd, output->path));
    SL_TRY(sl_io_rename(output->temporary, output->path));
    output->committed = true;
    SL_TRY(sl_io_sync_folder(folder));
out:
    free(folder);
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
