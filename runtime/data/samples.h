/* The samples of one split: JPEG bytes in memory or in mapped shards, and a cache of decoded pixels. */
#ifndef SL_RUNTIME_DATA_SAMPLES_H
#define SL_RUNTIME_DATA_SAMPLES_H

#include "runtime/data/image_input.h"
#include "runtime/data/shard.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sl_samples;

/* Opens every shard of the split and refuses keys that occur twice. `unpacked_limit`: the most bytes that compressed
 * shards may unpack to, 0: no limit; more is SL_UNAVAILABLE. Decoded images are kept if all of them fit into
 * `cache_bytes` beside the unpacked shards. `dataset` and `input` must outlive the samples. */
int sl_samples_open(const struct sl_dataset *dataset, const struct sl_split *split, const struct sl_image_input *input,
                    uint64_t cache_bytes, uint64_t unpacked_limit, struct sl_samples **samples);
void sl_samples_close(struct sl_samples *samples);

uint64_t sl_samples_unpacked(const struct sl_samples *samples); /* bytes held of compressed shards */
uint32_t sl_samples_count(const struct sl_samples *samples);
bool sl_samples_cached(const struct sl_samples *samples);
const uint8_t *sl_samples_cache(const struct sl_samples *samples); /* [count][size][size][3], or NULL */
const struct sl_shard_sample *sl_samples_at(const struct sl_samples *samples, uint32_t index);

/* Gives the pixels [size][size][3] of a sample. *pixels points into the cache if there is one, else to `scratch`, which
 * has room for one image. Any number of threads may call it, each with its own decoder and scratch. SL_BAD_DATA names
 * the sample and the reason; a bad sample is counted once. SL_SYSTEM: out of memory; the sample may be asked for
 * again. */
int sl_samples_pixels(struct sl_samples *samples, uint32_t index, struct sl_jpeg *jpeg, uint8_t *scratch,
                      const uint8_t **pixels);

/* Brings near what sl_samples_pixels will soon read: this sample and a later one. A shuffled epoch jumps about in
 * memory. */
void sl_samples_prefetch(const struct sl_samples *samples, uint32_t index, uint32_t later);

/* Samples found to be bad so far. */
uint64_t sl_samples_bad(const struct sl_samples *samples);

#ifdef __cplusplus
}
#endif
#endif
