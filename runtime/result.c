#include "runtime/result.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/file_io.h"

/* PATH.RANDOM.tmp: not to be guessed, and the permissions are those of any new file. */
static int create_temporary(struct sl_result *result, int *fd)
{
    uint64_t random = 0;
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        return sl_fail(SL_SYSTEM, "%s: no random bytes: %s", result->path, strerror(errno));
    if (asprintf(&result->temporary, "%s.%016" PRIx64 ".tmp", result->path, random) < 0) {
        result->temporary = NULL;
        return sl_fail(SL_SYSTEM, "%s: out of memory", result->path);
    }
    *fd = open(result->temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (*fd >= 0)
        return SL_OK;
    const int error = errno;
    free(result->temporary);
    result->temporary = NULL;
    return sl_io_fail("create it", result->path, error);
}

/* Where `path` leads to: a link to a file that is there, or the path itself. */
static char *follow(const char *path)
{
    struct stat info;
    const bool link = lstat(path, &info) == 0 && S_ISLNK(info.st_mode);
    return link ? realpath(path, NULL) : strdup(path);
}

int sl_result_open(const char *path, struct sl_result *result)
{
    int rc = SL_OK, fd = -1;
    struct stat info;
    *result = (struct sl_result){0};
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode)) {
        if (!(result->path = strdup(path)))
            SL_FAIL(SL_SYSTEM, "%s: out of memory", path);
        if ((fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY)) < 0)
            SL_TRY(sl_io_fail("open it", path, errno));
    } else {
        if (!(result->path = follow(path)))
            SL_TRY(sl_io_fail("follow the link", path, errno));
        SL_TRY(create_temporary(result, &fd));
    }
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
    errno = 0;
    const bool failed = ferror(result->to);
    if (fflush(result->to) == 0 && !failed)
        return SL_OK;
    return sl_io_fail("write it", result->path, errno ? errno : EIO);
}

static int sync_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = !slash ? strdup(".") : strndup(path, slash == path ? 1 : (size_t)(slash - path));
    const int rc = folder ? sl_io_sync_folder(folder) : sl_fail(SL_SYSTEM, "%s: out of memory", path);
    free(folder);
    return rc;
}

int sl_result_commit(struct sl_result *result)
{
    int rc = SL_OK;
    SL_TRY(sl_result_flush(result));
    if (!result->temporary)
        goto out;
    if (fsync(fileno(result->to)))
        SL_TRY(sl_io_fail("write it", result->path, errno));
    SL_TRY(sl_io_rename(result->temporary, result->path));
    free(result->temporary);
    result->temporary = NULL;
    SL_TRY(sync_folder(result->path));
out:
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
