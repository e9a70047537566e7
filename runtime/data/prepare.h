/* Preparation: a folder of JPEGs becomes a data set of shards. */
#ifndef SL_RUNTIME_DATA_PREPARE_H
#define SL_RUNTIME_DATA_PREPARE_H

#include "runtime/data/dataset.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sl_prepare_options {
    const char *input, *output;
    int32_t images_per_file, image_size;
    bool zstd;
    uint64_t seed;
    bool skip_bad_images;   /* false: the first unreadable image ends it */
    bool apply_orientation; /* turn images as their EXIF orientation says; false: as stored */
    double val_fraction;    /* for sets without validation images; below 0: the default (a tenth) */
    int threads;
    void (*report)(void *self, const char *line); /* told of each skipped image, in order; may be NULL */
    void *self;
};

/* Reads OPTIONS.input (layouts: scan.h), decodes every image once at `image_size` to verify it and to sum up mean and
 * deviation, shuffles each split by the seed, writes the original bytes into shards SPLIT-NNNNNN.tar[.zst] and
 * dataset.json last of all. Same input, seed and options: same bytes, for any number of threads.
 *
 * The output folder must be new, empty, or left over from a preparation that was killed; while it is being written it
 * holds the file `unfinished`, and after a failure none of the shards. *dataset is what was written. SL_MISSING,
 * SL_BAD_DATA (path and reason), SL_BAD_CONFIG, SL_CANNOT_CREATE (the folder is in use, or cannot be written), SL_IO
 * (disk full). */
int sl_prepare(const struct sl_prepare_options *options, struct sl_dataset **dataset);

#ifdef __cplusplus
}
#endif
#endif
