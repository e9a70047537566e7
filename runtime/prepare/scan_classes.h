/* The classes of the set that a scan finds. */
#ifndef SL_RUNTIME_PREPARE_SCAN_CLASSES_H
#define SL_RUNTIME_PREPARE_SCAN_CLASSES_H

#include "runtime/prepare/scan_set.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Appends the class of that name. SL_BAD_DATA: too many. SL_SYSTEM. */
int sl_scan_add_class(struct sl_scan *scan, const char *name);

/* Sorts the classes by id. SL_BAD_DATA: an id occurs twice; the message begins with `where`. */
int sl_scan_sort_classes(struct sl_scan *scan, const char *where);

/* The index of a name among the sorted classes; -1: there is no such class. SL_SYSTEM. */
int sl_scan_label(const struct sl_scan *scan, const char *name, int32_t *label);

#ifdef __cplusplus
}
#endif
#endif
