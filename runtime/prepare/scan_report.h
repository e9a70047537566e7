/* What a scan tells its caller. */
#ifndef SL_RUNTIME_PREPARE_SCAN_REPORT_H
#define SL_RUNTIME_PREPARE_SCAN_REPORT_H

#include "runtime/prepare/scan_set.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Names in a folder that the scan does not read. */
struct sl_left_out {
    size_t count, shown;
    char names[256]; /* the shown ones */
};

void sl_left_out_add(struct sl_left_out *list, const char *name, bool is_folder);

/* Tells them in one line; nothing where there are none. */
void sl_left_out_say(const struct sl_left_out *list, const struct sl_scan *scan, const char *folder);

#ifdef __cplusplus
}
#endif
#endif
