/* The samples of one split: JPEG bytes in memory or in mapped shards, and a cache of decoded pixels. */
#ifndef SL_RUNTIME_DATA_SAMPLES_H
#define SL_RUNTIME_DATA_SAMPLES_H

#include "runtime/data/image_input.h"
#include "runtime/data/shard.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sl_samples;

/* Opens every shard of the split (in turn, as SHARD readers do) and refuses keys that occur twice. `unpacked_limit`:
 * most bytes that compressed shards may unpack to, 0: no limit; SL_UNAVAILABLE when they exceed it. The decoded bytes
 * are kept if all of them fit into `cache_bytes` beside what was unpacked. `dataset` and `input` must outlive the
 * samples. */
int sl_samples_open(const struct sl_dataset *dataset, const struct sl_split *split, const struct sl_image_input *input,
                    uint64_t cache_bytes, uint64_t unpacked_limit, struct sl_samples **samples);
void sl_samples_close(struct sl_samples *samples);

uint64_t sl_samples_unpacked(const struct sl_samples *samples); /* bytes held of compressed shards */
uint32_t sl_samples_count(const struct sl_samples *samples);
bool sl_samples_cached(const struct sl_samples *samples);
const uint8_t *sl_samples_cache(const struct sl_samples *samples); /* [count][size][size][3], or NULL */
const struct sl_shard_sample *sl_samples_at(const struct sl_samples *samples, uint32_t index);

/* The pixels [size][size][3] of a sample: *pixels points into the cache if there is one, else to `scratch`, which is as
 * large. Any number
 * of threads, each with a decoder and a scratch of its own. SL_BAD_DATA: names the sample and its reason; counted once.
 * SL_SYSTEM: no memory; the sample may be asked for again. */
int sl_samples_pixels(struct sl_samples *samples, uint32_t index, struct sl_jpeg *jpeg, uint8_t *scratch,
                      const uint8_t **pixels);

/* Asks for what sl_samples_pixels will read of this sample and of a later one: a shuffled epoch leaps in memory. */
void sl_samples_prefetch(const struct sl_samples *samples, uint32_t index, uint32_t later);

/* Samples found to be bad so far. */
uint64_t sl_samples_bad(const struct sl_samples *samples);

#ifdef __cplusplus
}
#endif
#endif
