/* TinyImageNet's classes: wnids.txt and words.txt. */
#ifndef SL_RUNTIME_PREPARE_SCAN_TINYIMAGENET_H
#define SL_RUNTIME_PREPARE_SCAN_TINYIMAGENET_H

#include "runtime/prepare/scan_set.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The scan's classes are the lines of wnids.txt; their words come from words.txt, where there is one. The errors of
 * sl_scan_open. */
int sl_tinyimagenet_classes(struct sl_scan *scan);

#ifdef __cplusplus
}
#endif
#endif
