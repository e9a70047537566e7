#include "apps/predict_list.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/file_io.h"

enum { LINE_BYTES = 64 << 10 };

struct predict_list {
    const char *name;
    int fd;
    char separator;
    bool ended;
    uint64_t lines;
    size_t begin, end; /* of what is read and not yet taken */
    char bytes[LINE_BYTES + 1];
};

int predict_list_open(const char *path, bool zeros, struct predict_list **list)
{
    int rc = SL_OK;
    struct stat info;
    const bool standard = !strcmp(path, "-");
    struct predict_list *self = calloc(1, sizeof *self);
    *list = NULL;
    if (!self)
        SL_FAIL(SL_SYSTEM, "%s: out of memory", path);
    self->name = standard ? "standard input" : path;
    self->separator = zeros ? '\0' : '\n';
    self->fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (self->fd < 0 || fstat(self->fd, &info))
        SL_FAIL(sl_io_open_status(errno), "%s: cannot open the list: %s", self->name, strerror(errno));
    if (S_ISDIR(info.st_mode))
        SL_FAIL(SL_BAD_DATA, "%s: a folder, not a list of paths", self->name);
    *list = self;
    self = NULL;
out:
    predict_list_close(self);
    return rc;
}

void predict_list_close(struct predict_list *list)
{
    if (list && list->fd > STDIN_FILENO)
        close(list->fd);
    free(list);
}

/* One line, its separator replaced by a zero, and its length; NULL: not yet a whole one. */
static char *take_line(struct predict_list *list, size_t *length)
{
    char *line = list->bytes + list->begin;
    const size_t n = list->end - list->begin;
    const char *found = n ? memchr(line, list->separator, n) : NULL;
    if (!found && (!list->ended || !n))
        return NULL;
    *length = found ? (size_t)(found - line) : n;
    line[*length] = '\0';
    list->begin += *length + (found ? 1 : 0);
    list->lines++;
    return line;
}

static int check_room(struct predict_list *list)
{
    if (list->begin > 0)
        memmove(list->bytes, list->bytes + list->begin, list->end - list->begin);
    list->end -= list->begin;
    list->begin = 0;
    if (list->end < LINE_BYTES)
        return SL_OK;
    return sl_fail(SL_BAD_DATA, "%s: line %" PRIu64 " is longer than %d bytes; one path a line is expected%s",
                   list->name, list->lines + 1, LINE_BYTES,
                   memchr(list->bytes, '\0', list->end) ? ", and after --null a zero byte behind each" : "");
}

/* Waits for whatever comes next, a whole line or not. */
static int read_more(struct predict_list *list, int (*idle)(void *self), void *self)
{
    int rc = SL_OK;
    struct pollfd input = {.fd = list->fd, .events = POLLIN};
    SL_TRY(check_room(list));
    if (poll(&input, 1, 0) == 0)
        SL_TRY(idle(self));
    ssize_t n;
    while ((n = read(list->fd, list->bytes + list->end, LINE_BYTES - list->end)) < 0 && errno == EINTR)
        ;
    if (n < 0)
        SL_FAIL(SL_IO, "%s: cannot read the list: %s", list->name, strerror(errno));
    list->end += (size_t)n;
    list->ended = n == 0;
out:
    return rc;
}

/* Where the path begins, or NULL for an empty line. */
static const char *trim(const struct predict_list *list, char *line, size_t length)
{
    if (list->lines == 1 && !strncmp(line, "\xef\xbb\xbf", 3)) {
        line += 3;
        length -= 3;
    }
    if (list->separator == '\n' && length > 0 && line[length - 1] == '\r')
        line[length - 1] = '\0';
    return *line ? line : NULL;
}

int predict_list_next(struct predict_list *list, int (*idle)(void *self), void *self, const char **path)
{
    int rc = SL_OK;
    *path = NULL;
    while (!*path) {
        size_t length;
        char *line = take_line(list, &length);
        if (!line && list->ended)
            break;
        if (!line) {
            SL_TRY(read_more(list, idle, self));
            continue;
        }
        if (strlen(line) != length)
            SL_FAIL(SL_BAD_DATA,
                    "%s: line %" PRIu64 " holds a zero byte; one path a line is expected, or after --null a zero byte "
                    "behind each",
                    list->name, list->lines);
        *path = trim(list, line, length);
    }
out:
    return rc;
}
