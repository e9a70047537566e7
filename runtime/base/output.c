#include "runtime/base/output.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/file_io.h"

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
        SL_FAIL(SL_SYSTEM, "%s: out of memory", path);
    self->fd = -1;
    self->path = strdup(path);
    if (!self->path || asprintf(&self->temporary, "%s.tmp", path) < 0) {
        self->temporary = NULL;
        SL_FAIL(SL_SYSTEM, "%s: out of memory", path);
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
    assert(output->fd >= 0 && !output->committed);
    return sl_io_write(output->fd, output->path, bytes, n);
}

int sl_output_commit(struct sl_output *output)
{
    int rc = SL_OK;
    char *folder = NULL;
    assert(output->fd >= 0 && !output->committed);
    SL_TRY(sl_io_parent(output->path, &folder));
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
