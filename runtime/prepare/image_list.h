/* A list of image files with their labels. */
#ifndef SL_RUNTIME_PREPARE_IMAGE_LIST_H
#define SL_RUNTIME_PREPARE_IMAGE_LIST_H

#include "kernels/base.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sl_image_file {
    char *path;
    char *key; /* unique within the split; UTF-8 without dot, slash and control characters */
    int32_t label;
};

struct sl_image_list {
    size_t count, room;
    struct sl_image_file *at;
};

/* Appends a file. Takes over `path` and `key`, also when it fails; either may be NULL for want of memory. SL_SYSTEM. */
int sl_image_list_add(struct sl_image_list *list, char *path, char *key, int32_t label);
void sl_image_list_close(struct sl_image_list *list); /* a cleared one is fine */

/* How many files each class has: (*counts)[class_count], to be freed. Every label is below class_count. SL_SYSTEM. */
int sl_image_list_class_counts(const struct sl_image_list *list, size_t class_count, uint64_t **counts);

/* Makes every key unique: the first file of a key keeps it, the others get a number behind it. SL_SYSTEM. */
int sl_image_list_make_unique(struct sl_image_list *list);

#ifdef __cplusplus
}
#endif
#endif
