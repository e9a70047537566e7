/* Lists the images below a folder. */
#ifndef SL_RUNTIME_PREPARE_SCAN_WALK_H
#define SL_RUNTIME_PREPARE_SCAN_WALK_H

#include "runtime/prepare/scan_set.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A folder of images. */
struct sl_walk {
    struct sl_scan *scan;
    struct sl_image_list *list; /* where the images go */
    const char *root;
    const char *class_id; /* the class that keys begin with; "": they begin with the file's name */
    int32_t label;
    bool images_level; /* ROOT/images/ does not show in keys */
    bool rest_is_read; /* the caller reads the files beside the class folders, and images/, by itself */
};

/* Lists every image below ROOT/`relative`; callers begin with "" and depth 0. A file that neither is called like an
 * image nor begins like a JPEG is a stray. A folder with the name of an image is listed as an image; decoding refuses
 * it later. SL_MISSING. SL_BAD_DATA: too deep. SL_SYSTEM, SL_IO. */
int sl_image_walk(const struct sl_walk *walk, const char *relative, int depth);

/* Lists the file ROOT/`relative` if it is an image; else it is a stray. SL_SYSTEM. */
int sl_image_take(const struct sl_walk *walk, const char *relative);

#ifdef __cplusplus
}
#endif
#endif
