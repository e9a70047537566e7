/* TinyImageNet's validation images, labelled by val_annotations.txt or by class folders. */
#ifndef SL_RUNTIME_PREPARE_SCAN_ANNOTATIONS_H
#define SL_RUNTIME_PREPARE_SCAN_ANNOTATIONS_H

#include "runtime/prepare/scan_set.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Lists the images below `val` with their labels. The errors of sl_scan_open. */
int sl_tinyimagenet_val(struct sl_scan *scan, const char *val);

#ifdef __cplusplus
}
#endif
#endif
