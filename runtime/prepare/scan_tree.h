/* Folders of classes, with images at any depth below each. */
#ifndef SL_RUNTIME_PREPARE_SCAN_TREE_H
#define SL_RUNTIME_PREPARE_SCAN_TREE_H

#include "runtime/prepare/scan_walk.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The scan's classes are the folders in `train`. SL_MISSING: there are none. Else the errors of sl_scan_open. */
int sl_tree_classes(struct sl_scan *scan, const char *train);

/* Lists the images of ROOT/CLASS/ for every class; of `walk` it replaces root, class and label. What else lies in ROOT
 * is left out. SL_BAD_DATA: a folder that is no class; `unknown` says what it is then ("not in wnids.txt"). Else the
 * errors of sl_image_walk. */
int sl_scan_class_folders(const struct sl_walk *walk, const char *root, const char *unknown);

#ifdef __cplusplus
}
#endif
#endif
