/* Batches of images, decoded ahead of the training loop.
 *
 * The order of an epoch is a true permutation of (seed, epoch), so a position is two integers: epoch and batch.
 * Augmentation is a Philox draw of (seed, epoch, sample): the same bits for any number of threads.
 *
 * Several ranks cut the same permutation into the same batches. In a step at batch i rank r gets batch i + r, nothing
 * if the epoch has no such batch, and the next step is at i + world, or at the beginning of the next epoch. So every
 * sample comes once in an epoch whatever the world is, and a position means the same for each. */
#ifndef SL_RUNTIME_DATA_LOADER_H
#define SL_RUNTIME_DATA_LOADER_H

#include "kernels/image/image.h"
#include "runtime/data/dataset.h"
#include "runtime/data/pixels.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sl_loader_options {
    const char *split;
    int32_t batch_size;
    uint64_t seed;
    bool shuffle;
    bool flip;               /* mirror half of the images */
    int32_t crop_padding;    /* random crop out of the image padded by that many pixels, less than its side; 0: none */
    struct sl_pixels pixels; /* of a model; size 0: all but range and fast_decode are the data set's */
    int threads;             /* decoding threads; 0: 1 */
    int prefetch;            /* batches decoded ahead; 0: 4 */
    uint64_t cache_bytes; /* most bytes for decoded images; kept if the whole split fits beside the unpacked shards */
    uint64_t unpacked_limit; /* most bytes that compressed shards may unpack to; 0: no limit */
    bool skip_bad_images;    /* leave a bad image out of its batch, which gets shorter; false: it ends the run */
    int rank, world;         /* whose batches: those of rank 0 to world - 1; world 0 or 1: all of them */
};

/* Number i of the batch is the window places[i] of image places[i].index of `pixels`, a store of images
 * [size][size][3]: the loader's cache, or this batch's own. kernels/image/image.h makes floats of them. */
struct sl_batch {
    /* True number of samples; the epoch's last batch may be short. 0: none of them could be read, or this rank has no
     * batch in this step. */
    int32_t count;
    const uint8_t *pixels;
    struct sl_image_place *places; /* [batch_size] */
    float scale[3], shift[3];      /* value = byte*scale + shift, per channel */
    int32_t *labels;               /* [batch_size]; those past count are 0 */
    const char *const *keys;       /* [count], valid until the loader closes */
    uint64_t epoch, index;         /* of this step: 0-based within the epoch, rank 0's batch */
    double waited;                 /* seconds the caller waited for it */
};

/* Bytes that a loader takes, its cache left out. Only dataset.json is used. It does not say what compressed shards
 * unpack to, so `shards` is estimated from their packed size: JPEGs hardly shrink. unpacked_limit enforces a limit.
 * Errors: sl_loader_open's for the options. */
struct sl_loader_memory {
    uint64_t buffers, shards; /* batches ahead, decoders and the index; compressed shards */
};
int sl_loader_measure(const struct sl_dataset *dataset, const struct sl_loader_options *options,
                      struct sl_loader_memory *memory);

struct sl_loader;

/* Opens the split: verifies the hash of every shard, reads the indexes, decodes nothing; threads start at the first
 * batch. `dataset` must outlive the loader. SL_MISSING for a split the data set lacks or that is empty, SL_BAD_DATA,
 * SL_BAD_CONFIG, SL_IO, SL_UNAVAILABLE (memory). */
int sl_loader_open(const struct sl_dataset *dataset, const struct sl_loader_options *options,
                   struct sl_loader **loader);
void sl_loader_close(struct sl_loader *loader);

uint64_t sl_loader_batches(const struct sl_loader *loader); /* per epoch, of all ranks */
uint64_t sl_loader_samples(const struct sl_loader *loader);
uint64_t sl_loader_unpacked(const struct sl_loader *loader); /* bytes held of compressed shards */
bool sl_loader_cached(const struct sl_loader *loader);
const uint8_t *sl_loader_cache(const struct sl_loader *loader); /* the batches' pixels, where all are kept; or NULL */
uint64_t sl_loader_skipped(const struct sl_loader *loader);     /* bad images so far */

/* Goes on with the step at that batch of that epoch; what was decoded ahead is dropped. SL_BAD_CONFIG: the epoch has no
 * such batch. */
int sl_loader_seek(struct sl_loader *loader, uint64_t epoch, uint64_t index);

/* Gives the batch of the next step, valid until the next call. The first of an epoch follows the last of the one
 * before. SL_BAD_DATA names the sample; *batch holds the samples before it, or is NULL. The error repeats until
 * sl_loader_seek. */
int sl_loader_next(struct sl_loader *loader, const struct sl_batch **batch);

#ifdef __cplusplus
}
#endif
#endif
