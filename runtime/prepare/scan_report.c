#include "runtime/prepare/scan_report.h"

#include <stdio.h>
#include <string.h>

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
        sl_tell(scan->options->report, scan->options->self, "left out of %s: %s and %zu more", folder, list->names,
                list->count - list->shown);
    else if (list->count > 0)
        sl_tell(scan->options->report, scan->options->self, "left out of %s: %s", folder, list->names);
}
