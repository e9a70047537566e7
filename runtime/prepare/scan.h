/* Finds the images of a folder and their labels: TinyImageNet's layout, or any folder-per-class tree. */
#ifndef SL_RUNTIME_PREPARE_SCAN_H
#define SL_RUNTIME_PREPARE_SCAN_H

#include "runtime/prepare/scan_set.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Reads the names, opens no image (but the first bytes of files whose name is not an image's).
 *
 * Splits are folders called train or training; val, valid or validation; test or testing, in any case of letters. A
 * test/ stands in for a missing val/ unless a `val_fraction` is given, and is left out beside one. What is left out is
 * reported. A folder called like a split that holds images but no folder is a class where other folders lie beside it
 * and no second split.
 *
 * Layouts:
 *   wnids.txt or val/val_annotations.txt: TinyImageNet's. Classes are those of wnids.txt, words come from words.txt.
 *     Training images lie in train/CLASS/ or train/CLASS/images/. Labels of images in val/images/, or in val/ itself,
 *     come from val/val_annotations.txt, never from folders; without such images val/CLASS/ is read as train/CLASS/,
 *     and must agree with the annotations that are there.
 *   train/CLASS/: train/ and val/ with a folder for each class, images at any depth below it.
 *   CLASS/: the same without a split.
 * Without a val/, `val_fraction` of each class becomes the validation split, drawn by `seed`; with one it must be below
 * 0. Hidden files are ignored. Class ids are the folders' names, as UTF-8 (text.h).
 *
 * SL_MISSING: no such folder, no images, a list missing. SL_BAD_DATA: lists and folders that contradict each other, a
 * class without images, two folders for one split, less than two classes. SL_USAGE: a fraction for a set that has its
 * own split. SL_IO. */
int sl_scan_open(const struct sl_scan_options *options, struct sl_scan *scan);
void sl_scan_close(struct sl_scan *scan); /* a cleared one is fine */

#ifdef __cplusplus
}
#endif
#endif
