#include "kernels/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { ERROR_LENGTH = 1024 };

static _Thread_local char last_error[ERROR_LENGTH];

const char *sl_status_text(int status)
{
    switch (status) {
#define X(name, code, text) \
    case code:              \
        return text;
        SL_STATUS_MAP(X)
#undef X
    default:
        return "unknown status";
    }
}

const char *sl_last_error(void)
{
    return last_error;
}

void sl_clear_error(void)
{
    last_error[0] = '\0';
}

int sl_fail(int status, const char *format, ...)
{
    /* The arguments may hold the old detail, so the new one is made apart. */
    char text[ERROR_LENGTH];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    memcpy(last_error, text, sizeof text);
    return status;
}

int sl_fail_prefix(int status, const char *format, ...)
{
    char prefix[ERROR_LENGTH / 2], text[ERROR_LENGTH];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(prefix, sizeof prefix, format, arguments);
    va_end(arguments);
    const int length = snprintf(text, sizeof text, "%s: ", prefix);
    snprintf(text + length, sizeof text - (size_t)length, "%.*s", (int)(sizeof text - (size_t)length - 1), last_error);
    memcpy(last_error, text, sizeof text);
    return status;
}
