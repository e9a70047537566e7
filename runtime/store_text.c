#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/file_io.h"
#include "runtime/store_folder.h"

/* The folder that holds the path, to be freed. */
static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return strdup(".");
    return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

/* PATH.RANDOM.tmp: not to be guessed, and the permissions are those of any new file. */
static int create_beside(const char *path, char **temporary, int *fd)
{
    uint64_t random = 0;
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        return sl_fail(SL_SYSTEM, "%s: no random bytes: %s", path, strerror(errno));
    if (asprintf(temporary, "%s.%016" PRIx64 ".tmp", path, random) < 0) {
        *temporary = NULL;
        return sl_fail(SL_SYSTEM, "%s: out of memory", path);
    }
    return sl_io_create(*temporary, fd);
}

int sl_store_replace(const char *path, const void *bytes, size_t length)
{
    int rc = SL_OK, fd = -1;
    char *temporary = NULL, *folder = folder_of(path);
    bool created = false;
    if (!folder)
        SL_FAIL(SL_SYSTEM, "%s: out of memory", path);
    SL_TRY(create_beside(path, &temporary, &fd));
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

static int write_in_place(const char *path, const void *bytes, size_t length)
{
    const int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return sl_io_fail("open it", path, errno);
    const int rc = sl_io_write(fd, path, bytes, length);
    if (close(fd) && rc == SL_OK)
        return sl_io_fail("close it", path, errno);
    return rc;
}

/* A device, a pipe, or a link such as /dev/stdout is written where it leads: to replace it would break it. */
int sl_write_atomically(const char *path, const void *bytes, size_t length)
{
    struct stat info;
    if (lstat(path, &info) == 0 && !S_ISREG(info.st_mode))
        return write_in_place(path, bytes, length);
    return sl_store_replace(path, bytes, length);
}
