/* Which folders of the input hold the training and the validation images. */
#ifndef SL_RUNTIME_PREPARE_SCAN_LAYOUT_H
#define SL_RUNTIME_PREPARE_SCAN_LAYOUT_H

#include "runtime/prepare/scan_set.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sl_layout {
    char *train, *val; /* folders; val NULL: a set without validation images */
    bool tinyimagenet;
    bool stands_in; /* val is a test/ */
};

/* Finds the layout of the scan's folder. The errors of sl_scan_open; sl_layout_close() follows in any case. */
int sl_layout_find(const struct sl_scan *scan, struct sl_layout *layout);
void sl_layout_close(struct sl_layout *layout); /* a cleared one is fine */

#ifdef __cplusplus
}
#endif
#endif
