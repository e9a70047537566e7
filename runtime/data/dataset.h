/* A prepared data set: a folder with dataset.json and shards (shard.h). */
#ifndef SL_RUNTIME_DATA_DATASET_H
#define SL_RUNTIME_DATA_DATASET_H

#include "kernels/base.h"
#include "runtime/data/pixels.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sl_class {
    char *id;    /* "n01443537", or the folder's name */
    char *words; /* "goldfish, Carassius auratus", or the id again */
};

struct sl_shard {
    char *name;     /* relative to the data set's folder */
    uint64_t bytes; /* of the file as stored */
    uint64_t samples;
    uint64_t hash; /* XXH3-64 of the file as stored */
};

struct sl_split {
    char *name; /* "train", "val" */
    uint64_t samples;
    size_t shard_count;
    struct sl_shard *shards;
    uint64_t *class_samples; /* [class_count] */
};

struct sl_dataset {
    char *folder;
    char *name;       /* of the set, for people */
    uint64_t skipped; /* unreadable or missing images left out by the preparation */
    /* What a model gets unless it wants something else; the statistics are of the training images. Where dataset.json
     * does not mention the orientation, images are used as stored. */
    struct sl_pixels pixels;
    uint64_t turned; /* images whose EXIF orientation is not upright */
    size_t class_count;
    struct sl_class *classes;
    size_t split_count;
    struct sl_split *splits;
    uint64_t hash; /* XXH3-64 of dataset.json; 0 if it was not read from one */
};

enum { SL_DATASET_MAX_CLASSES = 65536, SL_DATASET_MAX_IMAGE_SIZE = 1024 };

/* Reads FOLDER/dataset.json and checks its hash, its types and its sums. `folder` may also be the path of dataset.json
 * itself. SL_MISSING, SL_BAD_DATA, SL_IO, SL_SYSTEM. */
int sl_dataset_open(const char *folder, struct sl_dataset **dataset);
void sl_dataset_close(struct sl_dataset *dataset); /* NULL is fine */

/* Writes dataset.json into the set's folder, whole or not at all. SL_BAD_DATA: a text is not UTF-8, or the whole is
 * too large to be read again. SL_CANNOT_CREATE, SL_IO, SL_SYSTEM. */
int sl_dataset_write(const struct sl_dataset *dataset);

/* The split of that name, or NULL. */
const struct sl_split *sl_dataset_split(const struct sl_dataset *dataset, const char *name);

#ifdef __cplusplus
}
#endif
#endif
