#include "runtime/base/replace.h"

#include <stdlib.h>
#include <unistd.h>

#include "runtime/base/file_io.h"

int sl_replace(const char *path, const void *bytes, size_t length)
{
    int rc = SL_OK, fd = -1;
    char *temporary = NULL, *folder = NULL;
    bool created = false;
    SL_TRY(sl_io_parent(path, &folder));
    SL_TRY(sl_io_create_beside(path, &temporary, &fd));
    created = true;
    SL_TRY(sl_io_write(fd, temporary, bytes, length));
    SL_TRY(sl_io_sync_close(&fd, temporary));
    SL_TRY(sl_io_rename(temporary, path));
    created = false;
    rc = sl_io_sync_folder(folder);
out:
    if (fd >= 0)
        close(fd);
    if (created)
        unlink(temporary);
    free(temporary);
    free(folder);
    return rc;
}
