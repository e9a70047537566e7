#include "runtime/base/result.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "runtime/base/file_io.h"

/* The kernel's number of /proc (statfs(2)). */
enum { MAX_LINKS = 40, PROC_FILE_SYSTEM = 0x9fa0 };

/* Where a link leads, one step; *path is replaced. */
static int follow_link(int link, char **path)
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
static bool replaceable(int fd, bool *link)
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

/* Follows the links of result->path; *replace: what is there, if anything, is a file to be replaced. */
static int resolve(struct sl_result *result, bool *replace)
{
    int rc = SL_OK;
    bool link = true;
    *replace = true;
    for (int links = 0; rc == SL_OK && link && *replace; links++) {
        if (links > MAX_LINKS)
            return sl_fail(SL_CANNOT_CREATE, "%s: %s", result->path, strerror(ELOOP));
        const int fd = open(result->path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        *replace = replaceable(fd, &link);
        if (link)
            rc = follow_link(fd, &result->path);
        if (fd >= 0)
            close(fd);
    }
    return rc;
}

int sl_result_open(const char *path, struct sl_result *result)
{
    int rc = SL_OK, fd = -1;
    bool replace;
    *result = (struct sl_result){.path = strdup(path)};
    if (!result->path)
        SL_FAIL(SL_SYSTEM, "%s: out of memory", path);
    SL_TRY(resolve(result, &replace));
    if (replace)
        SL_TRY(sl_io_create_beside(result->path, &result->temporary, &fd));
    else if ((fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOCTTY)) < 0)
        SL_TRY(sl_io_fail("open it", path, errno));
    if (!(result->to = fdopen(fd, "w")))
        SL_FAIL(SL_SYSTEM, "%s: out of memory", path);
    fd = -1;
out:
    if (fd >= 0)
        close(fd);
    return rc;
}

int sl_result_flush(struct sl_result *result)
{
    assert(result->to);
    errno = 0;
    const bool failed = ferror(result->to);
    if (fflush(result->to) == 0 && !failed)
        return SL_OK;
    return sl_io_fail("write it", result->path, errno ? errno : EIO);
}

/* What was written reaches the disk, the stream stays open. */
static int sync_stream(FILE *stream, const char *path)
{
    int fd = fcntl(fileno(stream), F_DUPFD_CLOEXEC, 0);
    return fd >= 0 ? sl_io_sync_close(&fd, path) : sl_io_fail("write it", path, errno);
}

int sl_result_commit(struct sl_result *result)
{
    int rc = SL_OK;
    char *folder = NULL;
    SL_TRY(sl_result_flush(result));
    if (!result->temporary)
        goto out;
    SL_TRY(sync_stream(result->to, result->temporary));
    SL_TRY(sl_io_parent(result->path, &folder));
    SL_TRY(sl_io_rename(result->temporary, result->path));
    free(result->temporary);
    result->temporary = NULL;
    SL_TRY(sl_io_sync_folder(folder));
out:
    free(folder);
    return rc;
}

void sl_result_close(struct sl_result *result)
{
    if (result->to)
        fclose(result->to);
    if (result->temporary)
        unlink(result->temporary);
    free(result->temporary);
    free(result->path);
    *result = (struct sl_result){0};
}
