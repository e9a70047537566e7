/* What the layouts of scan.h share. */
#ifndef SL_RUNTIME_PREPARE_SCAN_INTERNAL_H
#define SL_RUNTIME_PREPARE_SCAN_INTERNAL_H

#include <dirent.h>

#include "runtime/prepare/scan.h"

/* ---- folders ---- */

/* The sorted names of a folder, without hidden ones; sl_names_free() frees them. SL_MISSING, SL_IO, SL_SYSTEM. */
int sl_names_read(const char *folder, struct dirent ***names, int *count);
void sl_names_free(struct dirent **names, int count);

/* Is the entry a folder, or a link to one, that may hold images? Those that systems leave everywhere (file.h) are not.
 * SL_IO, SL_SYSTEM: it cannot be known. */
int sl_holds_images(const char *folder, const struct dirent *entry, bool *is_folder);

/* Is there a file or folder of that name? SL_IO, SL_SYSTEM: it cannot be known. */
int sl_exists_in(const char *folder, const char *name, bool *exists);

/* ---- what is said ---- */

void sl_scan_say(const struct sl_scan *scan, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Names that lie where they are not read. */
struct sl_left_out {
    size_t count, shown;
    char names[256]; /* the shown ones */
};

void sl_left_out_add(struct sl_left_out *list, const char *name, bool is_folder);
void sl_left_out_say(const struct sl_left_out *list, const struct sl_scan *scan, const char *folder);

/* ---- images ---- */

/* Takes `path` and `key` over, also when it fails; NULL is no memory. SL_SYSTEM. */
int sl_image_list_add(struct sl_image_list *list, char *path, char *key, int32_t label);
void sl_image_list_close(struct sl_image_list *list);

/* Numbers all but the first image of the same key. SL_SYSTEM. */
int sl_image_list_make_unique(struct sl_image_list *list);

/* A folder of images. */
struct sl_walk {
    struct sl_scan *scan;
    struct sl_image_list *list; /* where they go */
    const char *root;
    const char *class; /* keys begin with it; "": with the name */
    int32_t label;
    bool images_level; /* ROOT/images/ does not show in keys */
    bool rest_is_read; /* somebody looked at the files beside class folders, and at images/ */
};

/* Lists every image below ROOT/`relative`; callers begin with "" and depth 0. A file that neither is called like an
 * image nor begins like a JPEG is a stray. A folder with the name of an image is listed as an image, and refused as one
 * later. SL_MISSING, SL_BAD_DATA: too deep. SL_SYSTEM, SL_IO. */
int sl_image_walk(const struct sl_walk *walk, const char *relative, int depth);

/* Lists the file ROOT/`relative` if it is an image. */
int sl_image_take(const struct sl_walk *walk, const char *relative);

/* ---- classes ---- */

/* Appends the class of that name. SL_BAD_DATA: too many. SL_SYSTEM. */
int sl_scan_add_class(struct sl_scan *scan, const char *name);

/* SL_BAD_DATA: two are the same; `where` is for the message. */
int sl_scan_sort_classes(struct sl_scan *scan, const char *where);

/* Of the sorted classes; -1: no such class. SL_SYSTEM. */
int sl_scan_label(const struct sl_scan *scan, const char *name, int32_t *label);

/* Lists the images of ROOT/CLASS/ for every class, as `walk` says but for root, class and label. What else lies in ROOT
 * is left out, but SL_BAD_DATA: a folder that is no class, which is `unknown` ("not in wnids.txt"). */
int sl_scan_class_folders(const struct sl_walk *walk, const char *root, const char *unknown);

/* ---- layouts ---- */

struct sl_layout {
    char *train, *val; /* folders; val NULL: a set without validation images */
    bool tinyimagenet;
    bool stands_in; /* val is a test/ */
};

/* Errors of sl_scan_open. */
int sl_layout_find(const struct sl_scan *scan, struct sl_layout *layout);
void sl_layout_close(struct sl_layout *layout); /* a cleared one is fine */

/* The classes, from wnids.txt and words.txt, or from the folders in `train`. */
int sl_tinyimagenet_classes(struct sl_scan *scan);
int sl_tree_classes(struct sl_scan *scan, const char *train);

/* The validation images of TinyImageNet's layout. */
int sl_tinyimagenet_val(struct sl_scan *scan, const char *val);

#endif
