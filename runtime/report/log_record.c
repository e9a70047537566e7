#include "runtime/report/log_record.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/file_io.h"
#include "runtime/base/utf8.h"

/* Room kept for the end of a record, and the longest form of one character. */
enum { TAIL = 8, LONGEST_ESCAPE = 6 };

static void __attribute__((format(printf, 2, 3))) append(struct sl_record *record, const char *format, ...)
{
    va_list arguments;
    const size_t room = SL_RECORD_LENGTH - TAIL - record->n;
    va_start(arguments, format);
    const int n = vsnprintf(record->text + record->n, room, format, arguments);
    va_end(arguments);
    if (n > 0 && (size_t)n < room)
        record->n += (size_t)n;
}

void sl_record_open(struct sl_record *record, const char *event)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    record->n = 0;
    append(record, "{\"schema_version\":%d", SL_LOG_SCHEMA_VERSION);
    sl_record_string(record, "event", event);
    append(record, ",\"time\":%lld.%03ld", (long long)now.tv_sec, now.tv_nsec / 1000000);
}

void sl_record_count(struct sl_record *record, const char *key, uint64_t value)
{
    append(record, ",\"%s\":%" PRIu64, key, value);
}

void sl_record_number(struct sl_record *record, const char *key, double value)
{
    if (isfinite(value))
        append(record, ",\"%s\":%.9g", key, value);
    else
        append(record, ",\"%s\":null", key);
}

void sl_record_any(struct sl_record *record, const char *key, double value)
{
    if (fabs(value) <= 0x1p53 && value == trunc(value))
        append(record, ",\"%s\":%.0f", key, value + 0.0); /* no -0 */
    else
        sl_record_number(record, key, value);
}

void sl_record_string(struct sl_record *record, const char *key, const char *value)
{
    append(record, ",\"%s\":\"", key);
    for (const char *at = value; *at;) {
        if (record->n + LONGEST_ESCAPE + 2 + TAIL > SL_RECORD_LENGTH)
            break;
        const int length = (int)sl_utf8_length(at);
        if (length == 0)
            append(record, "?");
        else if (*at == '"' || *at == '\\')
            append(record, "\\%c", *at);
        else if ((unsigned char)*at < 0x20 || *at == 0x7f)
            append(record, "\\u%04x", (unsigned)*at);
        else
            append(record, "%.*s", length, at);
        at += length ? length : 1;
    }
    append(record, "\"");
}

void sl_record_close(struct sl_record *record)
{
    memcpy(record->text + record->n, "}\n", 3);
    record->n += 2;
}

void sl_record_field(struct sl_record *record, double value)
{
    if (record->n)
        append(record, ",");
    if (isfinite(value))
        append(record, "%.9g", value);
}

/* Where the last whole line ends. */
static int end_of_lines(int fd, off_t size, off_t *end)
{
    char block[4096];
    for (*end = size; *end > 0;) {
        const off_t from = *end > (off_t)sizeof block ? *end - (off_t)sizeof block : 0;
        const ssize_t got = pread(fd, block, (size_t)(*end - from), from);
        if (got != (ssize_t)(*end - from))
            return got < 0 ? errno : EIO;
        const char *newline = memrchr(block, '\n', (size_t)got);
        if (newline) {
            *end = from + (newline - block) + 1;
            return 0;
        }
        *end = from;
    }
    return 0;
}

int sl_lines_open(const char *path, int *fd, bool *empty)
{
    int rc = SL_OK;
    struct stat info;
    off_t end = 0;
    *fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0666);
    if (*fd < 0)
        SL_FAIL(sl_io_status(errno), "%s: cannot open it for appending: %s", path, strerror(errno));
    if (fstat(*fd, &info) || !S_ISREG(info.st_mode))
        SL_FAIL(SL_CANNOT_CREATE, "%s: not a regular file; remove it", path);
    const int error = end_of_lines(*fd, info.st_size, &end);
    if (error)
        SL_FAIL(SL_IO, "%s: cannot read it: %s", path, strerror(error));
    if (end < info.st_size && ftruncate(*fd, end))
        SL_FAIL(sl_io_status(errno), "%s: cannot cut off an unfinished line: %s", path, strerror(errno));
    *empty = end == 0;
out:
    if (rc != SL_OK && *fd >= 0) {
        close(*fd);
        *fd = -1;
    }
    return rc;
}

int sl_lines_append(int fd, const char *path, const char *text, size_t n)
{
    struct stat info;
    if (fstat(fd, &info))
        return sl_io_fail("examine it", path, errno);
    const int rc = sl_io_write(fd, path, text, n);
    if (rc != SL_OK && ftruncate(fd, info.st_size))
        return sl_io_fail("take back an unfinished line", path, errno);
    return rc;
}
