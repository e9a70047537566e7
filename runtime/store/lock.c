/* The lock of a run folder is a kernel lock on RUN/lock: it ends with its process, however that ends. The file's text
 * (pid, host) only serves the message, and decides where the file system has no locks. */
#include "runtime/store/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/file_io.h"

enum { HOST_LENGTH = 64 };

struct holder {
    long pid;
    char host[HOST_LENGTH + 1];
};

static void host_name(char host[HOST_LENGTH + 1])
{
    memset(host, 0, HOST_LENGTH + 1);
    if (gethostname(host, HOST_LENGTH) || !host[0])
        strcpy(host, "unknown");
}

static bool parse_holder(const char *text, struct holder *holder)
{
    return sscanf(text, "%ld %64[A-Za-z0-9._-]", &holder->pid, holder->host) == 2 && holder->pid > 0;
}

bool sl_store_lock_text(const char *text)
{
    struct holder holder;
    return parse_holder(text, &holder);
}

/* Who wrote the lock file; false if nobody did, or it is not ours to understand. */
static bool read_holder(int fd, struct holder *holder)
{
    char text[128];
    const ssize_t n = pread(fd, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    if (parse_holder(text, holder))
        return true;
    holder->pid = 0;
    strcpy(holder->host, "an unknown host");
    return false;
}

static bool alive(const struct holder *holder)
{
    char host[HOST_LENGTH + 1];
    host_name(host);
    if (strcmp(host, holder->host))
        return true; /* cannot be asked from here */
    return kill((pid_t)holder->pid, 0) == 0 || errno != ESRCH;
}

static int refuse(const char *run, const struct holder *holder, const char *advice)
{
    return sl_fail(SL_CANNOT_CREATE, "%s: in use by pid %ld on %s; %s", run, holder->pid, holder->host, advice);
}

/* *held: by the kernel; where it cannot, the file's text must do. */
static int take(const char *run, const char *path, int fd, bool *held)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    struct holder holder;
    int error = sl_io_fault("lock", path);
    if (!error && fcntl(fd, F_OFD_SETLK, &lock))
        error = errno;
    const bool written = read_holder(fd, &holder);
    *held = !error;
    switch (error) {
    case 0:
        return SL_OK;
    case EAGAIN:
    case EACCES:
        return refuse(run, &holder, "stop that process or choose another run folder");
    case ENOLCK:
    case ENOSYS:
    case EOPNOTSUPP:
    case EINVAL:
        if (written && alive(&holder))
            return refuse(run, &holder, "if that process is gone, remove the file \"lock\" there");
        return SL_OK;
    default:
        return sl_io_fail("lock it", path, error);
    }
}

static int sign(const char *path, int fd)
{
    char text[128], host[HOST_LENGTH + 1];
    host_name(host);
    const int n = snprintf(text, sizeof text, "%ld %s\n", (long)getpid(), host);
    if (ftruncate(fd, 0) || lseek(fd, 0, SEEK_SET))
        return sl_io_fail("write it", path, errno);
    const int rc = sl_io_write(fd, path, text, (size_t)n);
    if (rc == SL_OK && fsync(fd))
        return sl_io_fail("sync it", path, errno);
    return rc;
}

int sl_store_lock(const char *run, int *fd)
{
    int rc = SL_OK;
    char *path = NULL;
    struct stat info;
    bool held;
    *fd = -1;
    SL_TRY(sl_io_join(run, "lock", &path));
    *fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0666);
    if (*fd < 0)
        SL_FAIL(sl_io_status(errno), "%s: cannot create it: %s", path, strerror(errno));
    if (fstat(*fd, &info) || !S_ISREG(info.st_mode))
        SL_FAIL(SL_CANNOT_CREATE, "%s: not a regular file; remove it", path);
    SL_TRY(take(run, path, *fd, &held));
    rc = sign(path, *fd);
    /* On a full disk a run must be able to start, so that it can make room. */
    if (rc == SL_CANNOT_CREATE && held && (sl_io_last_error() == ENOSPC || sl_io_last_error() == EDQUOT))
        rc = SL_OK;
out:
    if (rc != SL_OK && *fd >= 0) {
        close(*fd);
        *fd = -1;
    }
    free(path);
    return rc;
}

void sl_store_unlock(int fd)
{
    if (fd < 0)
        return;
    /* An empty file says that nobody is there; its removal would race with the next owner. */
    const int emptied = ftruncate(fd, 0);
    (void)emptied;
    close(fd);
}
