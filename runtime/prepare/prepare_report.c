#include "runtime/prepare/prepare_report.h"

#include <stdarg.h>
#include <stdio.h>

void sl_prepare_say(const struct sl_prepare_options *options, const char *format, ...)
{
    char line[1024];
    va_list arguments;
    if (!options->report)
        return;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    options->report(options->self, line);
}

void sl_prepare_advance(struct sl_prepare_pass *pass, size_t images)
{
    pass->done += images;
    if (pass->options->progress)
        pass->options->progress(pass->options->self, pass->what, pass->done, pass->total);
}
