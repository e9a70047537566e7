/* A prepared data set: dataset.json and shards (plain or zstd-compressed tar in the WebDataset convention, KEY.jpg +
 * KEY.cls). */
#ifndef SL_RUNTIME_DATA_DATASET_H
#define SL_RUNTIME_DATA_DATASET_H

#include "kernels/base.h"

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
    uint64_t *class_samples; /* [classes] */
};

struct sl_dataset {
    char *folder;
    char *name;         /* for people */
    uint64_t skipped;   /* unreadable or missing images left out by the preparation */
    int32_t image_size; /* the loader's square output */
    /* Images are turned as their EXIF orientation says, for the statistics below and by the loader. A dataset.json that
     * says nothing of it was made without, and keeps its pixels. */
    bool apply_orientation;
    uint64_t turned; /* images whose EXIF orientation is not upright */
    size_t class_count;
    struct sl_class *classes;
    size_t split_count;
    struct sl_split *splits;
    double mean[3], deviation[3]; /* of the training images in [0,1], RGB */
    uint64_t hash;                /* XXH3-64 of dataset.json, where it was read from there */
};

enum { SL_DATASET_MAX_CLASSES = 65536, SL_DATASET_MAX_IMAGE_SIZE = 1024 };

/* Reads and checks FOLDER/dataset.json: its own hash, its types, its sums. FOLDER/dataset.json itself may be named as
 * well. SL_MISSING, SL_BAD_DATA, SL_IO. */
int sl_dataset_open(const char *folder, struct sl_dataset **dataset);
void sl_dataset_close(struct sl_dataset *dataset);

/* Writes FOLDER/dataset.json atomically. SL_BAD_DATA: a text is not UTF-8, or the whole too large to be read again.
 * SL_CANNOT_CREATE, SL_IO. */
int sl_dataset_write(const struct sl_dataset *dataset);

/* The split of that name, or NULL. */
const struct sl_split *sl_dataset_split(const struct sl_dataset *dataset, const char *name);

#ifdef __cplusplus
}
#endif
#endif
