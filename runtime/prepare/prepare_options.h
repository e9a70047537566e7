/* What a preparation is asked for. */
#ifndef SL_RUNTIME_PREPARE_PREPARE_OPTIONS_H
#define SL_RUNTIME_PREPARE_PREPARE_OPTIONS_H

#include "kernels/base.h"
#include "runtime/base/tell.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sl_prepare_options {
    const char *input, *output; /* folders */
    int32_t images_per_file;    /* most images in a shard, 1 to 2^20 */
    int32_t image_size;         /* pixels a side, 1 to SL_DATASET_MAX_IMAGE_SIZE */
    bool zstd;                  /* compress the shards */
    uint64_t seed;
    bool skip_bad_images;   /* leave unreadable images out; false: the first one ends the preparation */
    bool apply_orientation; /* turn images as their EXIF orientation says; false: as stored */
    bool one_class;         /* a set of one class is allowed */
    double val_fraction;    /* of each class, for sets without validation images; below 0: the default, a tenth */
    int threads;            /* that decode; below 1: one */
    /* Told, in order, what is left out or skipped, and what looks wrong: "skipped PATH: reason"; may be NULL. */
    sl_tell_fn *report;
    /* Told, every few images, how many are "verified", later "written"; may be NULL. */
    void (*progress)(void *self, const char *what, uint64_t done, uint64_t total);
    void *self; /* for both */
};

#ifdef __cplusplus
}
#endif
#endif
