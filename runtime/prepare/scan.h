/* Finds the images of a folder and their labels: TinyImageNet's layout, or any folder-per-class tree. */
#ifndef SL_RUNTIME_PREPARE_SCAN_H
#define SL_RUNTIME_PREPARE_SCAN_H

#include "runtime/prepare/scan_set.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Finds the images and the classes of a folder by their names. No image is opened, but for the first bytes of a file
 * that is not named like one.
 *
 * A split is a folder named train or training; val, valid or validation; test or testing; in upper or lower case. A
 * test/ takes the place of a missing val/, unless `val_fraction` is given. Beside a val/ it is left out. What is left
 * out is reported.
 *
 * A folder named like a split may also be a class: it then holds images but no folders, other folders lie beside it,
 * and no second folder is named like a split.
 *
 * There are three layouts:
 *   wnids.txt or val/val_annotations.txt: TinyImageNet's. The lines of wnids.txt are the classes, words.txt has their
 *     words. Training images lie in train/CLASS/ or train/CLASS/images/. Images in val/images/, or in val/ itself, are
 *     labelled by val/val_annotations.txt. Where there are none, val/CLASS/ is read like train/CLASS/, and may not
 *     contradict the annotations that are there.
 *   train/CLASS/: train/ and val/ with a folder for each class, and images at any depth below it.
 *   CLASS/: the same without splits.
 * Without a val/, `val_fraction` of each class becomes the validation split, drawn by `seed`. With a val/,
 * `val_fraction` must be below 0. Hidden files are ignored. A class's id is its folder's name as UTF-8
 * (runtime/base/utf8.h).
 *
 * SL_MISSING: no such folder, no images, or a list is missing. SL_BAD_DATA: lists and folders contradict each other, a
 * class has no images, two folders are one split, or there is only one class. SL_USAGE: a fraction for a set with a
 * validation split. SL_IO, SL_SYSTEM. On failure the scan is closed. */
int sl_scan_open(const struct sl_scan_options *options, struct sl_scan *scan);
void sl_scan_close(struct sl_scan *scan); /* a cleared one is fine */

#ifdef __cplusplus
}
#endif
#endif
