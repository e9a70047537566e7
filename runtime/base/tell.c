#include "runtime/base/tell.h"

#include <stdarg.h>
#include <stdio.h>

void sl_tell(sl_tell_fn *to, void *self, const char *format, ...)
{
    char line[1024];
    va_list arguments;
    if (!to)
        return;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    to(self, line);
}
