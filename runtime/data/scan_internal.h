/* What the layouts of scan.h share. */
#ifndef SL_RUNTIME_DATA_SCAN_INTERNAL_H
#define SL_RUNTIME_DATA_SCAN_INTERNAL_H

#include <dirent.h>

#include "runtime/data/scan.h"

/* The sorted names of a folder, without hidden ones; sl_names_free() frees them. SL_MISSING, SL_IO. */
int sl_names_read(const char *folder, struct dirent ***names, int *count);
void sl_names_free(struct dirent **names, int count);

bool sl_is_folder(const char *path);
bool sl_exists_in(const char *folder, const char *name);

/* A folder with the name of an image is listed as an image, and refused as one later. */
bool sl_has_image_name(const char *name);

/* Takes `path` and `key` over, also when it fails; NULL is no memory. SL_SYSTEM. */
int sl_image_list_add(struct sl_image_list *list, char *path, char *key, int32_t label);
void sl_image_list_close(struct sl_image_list *list);

/* Lists every file below `root`/`relative` under keys that begin with `class`; callers begin with "" and depth 0.
 * SL_MISSING, SL_BAD_DATA: too deep. SL_SYSTEM, SL_IO. */
int sl_image_list_walk(struct sl_image_list *list, const char *root, const char *relative, const char *class,
                       int32_t label, int depth);

/* Numbers all but the first image of the same key. SL_SYSTEM. */
int sl_image_list_make_unique(struct sl_image_list *list);

/* Appends a class called by its id. SL_BAD_DATA: too many. SL_SYSTEM. */
int sl_scan_add_class(struct sl_scan *scan, const char *id);
void sl_scan_sort_classes(struct sl_scan *scan);
int32_t sl_scan_label(const struct sl_scan *scan, const char *id); /* of the sorted classes; -1: no such class */

/* The layouts: fill classes and images. `val`: NULL for a set without validation images. Errors of sl_scan_open. */
int sl_scan_tinyimagenet(const char *folder, bool with_val, struct sl_scan *scan);
int sl_scan_tree(const char *train, const char *val, struct sl_scan *scan);

#endif
