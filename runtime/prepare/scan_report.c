#include "runtime/prepare/scan_report.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void sl_scan_say(const struct sl_scan *scan, const char *format, ...)
{
    char line[1024];
    va_list arguments;
    if (!scan->options->report)
        return;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    scan->options->report(scan->options->self, line);
}

void sl_left_out_add(struct sl_left_out *list, const char *name, bool is_folder)
{
    enum { MOST = 4 };
    const size_t have = strlen(list->names), room = sizeof list->names - have;
    list->count++;
    if (list->shown == MOST || strlen(name) + strlen(", /") >= room)
        return;
    snprintf(list->names + have, room, "%s%s%s", have ? ", " : "", name, is_folder ? "/" : "");
    list->shown++;
}

void sl_left_out_say(const struct sl_left_out *list, const struct sl_scan *scan, const char *folder)
{
    if (list->count > list->shown)
        sl_scan_say(scan, "left out of %s: %s and %zu more", folder, list->names, list->count - list->shown);
    else if (list->count > 0)
        sl_scan_say(scan, "left out of %s: %s", folder, list->names);
}
