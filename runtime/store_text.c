#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "runtime/file_io.h"
#include "runtime/store_folder.h"

/* The kernel's number of /proc (statfs(2)). */
enum { MAX_LINKS = 40, PROC_FILE_SYSTEM = 0x9fa0 };

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
    char *temporary = NULL, *folder = NULL;
    bool created = false;
    SL_TRY(sl_io_parent(path, &folder));
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

/* Where a link leads, one step; *path is replaced. */
static int follow(int link, char **path)
{
    int rc = SL_OK;
    char text[PATH_MAX], *parent = NULL, *next = NULL;
    const ssize_t n = readlinkat(link, "", text, sizeof text - 1);
    if (n < 0)
        SL_FAIL(sl_io_status(errno), "%s: cannot read the link: %s", *path, strerror(errno));
    text[n] = '\0';
    SL_TRY(sl_io_parent(*path, &parent));
    if (text[0] != '/')
        SL_TRY(sl_io_join(parent, text, &next));
    else if (!(next = strdup(text)))
        SL_FAIL(SL_SYSTEM, "%s: out of memory", *path);
    free(*path);
    *path = next;
out:
    free(parent);
    return rc;
}

/* Is it a regular file, or nothing yet? *link: it is a link, not yet followed. The links of /proc are open descriptors:
 * what they lead to must stay the same file. */
static int replaceable(int fd, bool *link)
{
    struct stat info;
    struct statfs system;
    *link = false;
    if (fd < 0)
        return errno == ENOENT;
    if (fstat(fd, &info))
        return false;
    *link = S_ISLNK(info.st_mode) && fstatfs(fd, &system) == 0 && system.f_type != PROC_FILE_SYSTEM;
    return *link || S_ISREG(info.st_mode);
}

/* A device, a pipe, or a link such as /dev/stdout is written where it leads: to replace it would break it. */
int sl_write_atomically(const char *path, const void *bytes, size_t length)
{
    int rc = SL_OK;
    bool link = true, replace = true;
    char *target = strdup(path);
    if (!target)
        SL_FAIL(SL_SYSTEM, "%s: out of memory", path);
    for (int links = 0; link && replace; links++) {
        if (links > MAX_LINKS)
            SL_FAIL(SL_CANNOT_CREATE, "%s: %s", path, strerror(ELOOP));
        const int fd = open(target, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        replace = replaceable(fd, &link);
        if (link)
            rc = follow(fd, &target);
        if (fd >= 0)
            close(fd);
        if (rc != SL_OK)
            goto out;
    }
    rc = replace ? sl_store_replace(target, bytes, length) : write_in_place(path, bytes, length);
out:
    free(target);
    return rc;
}
