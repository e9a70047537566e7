/* Finds the images of a folder and their labels: TinyImageNet's original layout, or any folder-per-class tree. */
#ifndef SL_RUNTIME_DATA_SCAN_H
#define SL_RUNTIME_DATA_SCAN_H

#include "runtime/data/dataset.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sl_image_file {
    char *path;
    char *key; /* unique within the split; no dot, no slash */
    int32_t label;
};

struct sl_image_list {
    size_t count, room;
    struct sl_image_file *at;
};

struct sl_scan {
    size_t class_count;
    struct sl_class *classes; /* sorted by id */
    struct sl_image_list train, val;
};

/* Reads the names, opens no image. Layouts:
 *   wnids.txt or val/val_annotations.txt or val/images: TinyImageNet's. Classes are those of wnids.txt, words come from
 * words.txt, labels of val/images from val/val_annotations.txt, never from folders. train/CLASS/: train/ and val/ with
 * a folder for each class, images at any depth below it. CLASS/: the same without a split. Without a val/,
 * `val_fraction` of each class (below 0: a tenth) becomes the validation split, drawn by `seed`; with one it must be
 * below 0. Hidden files are ignored. SL_MISSING: no such folder, no images, a list missing. SL_BAD_DATA: lists and
 * folders that contradict each other, a class without images. SL_USAGE: a fraction for a set that has its own split.
 * SL_IO. */
int sl_scan_open(const char *folder, double val_fraction, uint64_t seed, struct sl_scan *scan);
void sl_scan_close(struct sl_scan *scan); /* a cleared one is fine */

#ifdef __cplusplus
}
#endif
#endif
