#include "runtime/data/samples.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* What is known about the pixels of a sample. FILLING: one thread writes them to the cache. */
enum { UNKNOWN, FILLING, CACHED, BAD };

struct sl_samples {
    const struct sl_dataset *dataset;
    const struct sl_image_input *input;
    size_t shard_count;
    struct sl_shard_reader *shards;
    uint32_t count;
    const struct sl_shard_sample **at;
    size_t image_bytes, cache_bytes;
    uint64_t unpacked;
    uint8_t *cache; /* [count][size][size][3], NULL: decoded live */
    atomic_uchar *state;
    atomic_uint_least64_t bad;
};

void sl_samples_close(struct sl_samples *samples)
{
    if (!samples)
        return;
    for (size_t i = 0; samples->shards && i < samples->shard_count; i++)
        sl_shard_reader_close(&samples->shards[i]);
    if (samples->cache)
        munmap(samples->cache, samples->cache_bytes);
    free(samples->shards);
    free(samples->at);
    free(samples->state);
    free(samples);
}

static int by_key(const void *a, const void *b)
{
    return strcmp((*(const struct sl_shard_sample *const *)a)->key, (*(const struct sl_shard_sample *const *)b)->key);
}

static int refuse_twins(const struct sl_samples *samples, const struct sl_split *split)
{
    int rc = SL_OK;
    const struct sl_shard_sample **sorted = calloc((size_t)samples->count + 1, sizeof *sorted);
    if (!sorted)
        SL_FAIL(SL_UNAVAILABLE, "out of memory for the keys of %u samples", samples->count);
    memcpy(sorted, samples->at, samples->count * sizeof *sorted);
    qsort(sorted, samples->count, sizeof *sorted, by_key);
    for (uint32_t i = 1; i < samples->count; i++)
        if (!by_key(&sorted[i - 1], &sorted[i]))
            SL_FAIL(SL_BAD_DATA, "%s: the key %s occurs twice in the split %s; prepare the set again",
                    samples->dataset->folder, sorted[i]->key, split->name);
out:
    free(sorted);
    return rc;
}

static int check_class_counts(const struct sl_samples *samples, const struct sl_split *split)
{
    int rc = SL_OK;
    const size_t classes = samples->dataset->class_count;
    uint64_t *counts = calloc(classes, sizeof *counts);
    if (!counts)
        SL_FAIL(SL_UNAVAILABLE, "out of memory for the counts of %zu classes", classes);
    for (uint32_t i = 0; i < samples->count; i++)
        counts[samples->at[i]->label]++;
    for (size_t i = 0; i < classes; i++)
        if (counts[i] != split->class_samples[i])
            SL_FAIL(SL_BAD_DATA, "%s: the shards of %s hold other labels than dataset.json says; prepare the set again",
                    samples->dataset->folder, split->name);
out:
    free(counts);
    return rc;
}

/* The next shard of the split. */
static int open_shard(struct sl_samples *samples, const struct sl_shard *shard, uint64_t unpacked_limit)
{
    int rc = SL_OK;
    const struct sl_dataset *dataset = samples->dataset;
    struct sl_shard_reader *reader = &samples->shards[samples->shard_count];
    SL_TRY(sl_shard_reader_open(dataset->folder, shard, dataset->class_count, reader));
    samples->shard_count++;
    samples->unpacked += reader->copied_bytes;
    if (unpacked_limit && samples->unpacked > unpacked_limit)
        SL_FAIL(SL_UNAVAILABLE,
                "%s: its compressed shards unpack to more than the %.1f MB that are left for them; raise "
                "--memory-limit, or prepare the set without compression",
                dataset->folder, (double)unpacked_limit / 1e6);
    for (size_t j = 0; j < reader->count; j++)
        samples->at[samples->count++] = &reader->samples[j];
out:
    return rc;
}

static int open_shards(struct sl_samples *samples, const struct sl_split *split, uint64_t unpacked_limit)
{
    int rc = SL_OK;
    samples->shards = calloc(split->shard_count + 1, sizeof *samples->shards);
    samples->at = calloc((size_t)split->samples + 1, sizeof *samples->at);
    samples->state = calloc((size_t)split->samples + 1, sizeof *samples->state);
    if (!samples->shards || !samples->at || !samples->state)
        SL_FAIL(SL_UNAVAILABLE, "out of memory for the index of %llu samples", (unsigned long long)split->samples);
    for (size_t i = 0; i < split->shard_count; i++)
        SL_TRY(open_shard(samples, &split->shards[i], unpacked_limit));
    SL_TRY(refuse_twins(samples, split));
    SL_TRY(check_class_counts(samples, split));
out:
    return rc;
}

/* Pages of the cache come into being when they are written. Without them images are decoded live, which is no error. */
static void reserve_cache(struct sl_samples *samples, uint64_t limit)
{
    if (samples->count > limit / samples->image_bytes)
        return;
    samples->cache_bytes = samples->count * samples->image_bytes;
    void *cache = mmap(NULL, samples->cache_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    samples->cache = cache == MAP_FAILED ? NULL : cache;
}

int sl_samples_open(const struct sl_dataset *dataset, const struct sl_split *split, const struct sl_image_input *input,
                    uint64_t cache_bytes, uint64_t unpacked_limit, struct sl_samples **samples)
{
    int rc = SL_OK;
    struct sl_samples *self = calloc(1, sizeof *self);
    *samples = NULL;
    if (!self)
        SL_FAIL(SL_UNAVAILABLE, "out of memory for the samples");
    self->dataset = dataset;
    self->input = input;
    self->image_bytes = sl_image_input_bytes(input);
    SL_TRY(open_shards(self, split, unpacked_limit));
    reserve_cache(self, cache_bytes > self->unpacked ? cache_bytes - self->unpacked : 0);
    *samples = self;
    self = NULL;
out:
    sl_samples_close(self);
    return rc;
}

uint64_t sl_samples_unpacked(const struct sl_samples *samples)
{
    return samples->unpacked;
}

uint32_t sl_samples_count(const struct sl_samples *samples)
{
    return samples->count;
}

const uint8_t *sl_samples_cache(const struct sl_samples *samples)
{
    return samples->cache;
}

bool sl_samples_cached(const struct sl_samples *samples)
{
    return samples->cache != NULL;
}

const struct sl_shard_sample *sl_samples_at(const struct sl_samples *samples, uint32_t index)
{
    return samples->at[index];
}

uint64_t sl_samples_bad(const struct sl_samples *samples)
{
    return atomic_load(&((struct sl_samples *)(uintptr_t)samples)->bad);
}

void sl_samples_prefetch(const struct sl_samples *samples, uint32_t index, uint32_t later)
{
    enum { LINE = 64, MOST = 4096 };
    const struct sl_shard_sample *sample = samples->at[index];
    const bool cached = atomic_load_explicit(&samples->state[index], memory_order_relaxed) == CACHED;
    const uint8_t *bytes = cached ? samples->cache + (size_t)index * samples->image_bytes : sample->jpeg;
    const size_t length = cached ? samples->image_bytes : sample->length;
    for (size_t i = 0; i < length && i < MOST; i += LINE)
        __builtin_prefetch(bytes + i);
    __builtin_prefetch(samples->at[later]);
}

/* One thread decodes a sample into the cache; another that wants it meanwhile waits for that. */
static int fill_cache(struct sl_samples *samples, uint32_t index, struct sl_jpeg *jpeg, uint8_t *scratch,
                      uint8_t **pixels)
{
    const struct sl_shard_sample *sample = samples->at[index];
    atomic_uchar *state = &samples->state[index];
    unsigned char seen = atomic_load_explicit(state, memory_order_acquire);
    *pixels = samples->cache + (size_t)index * samples->image_bytes;
    while (seen == FILLING || (seen == UNKNOWN && !atomic_compare_exchange_strong(state, &seen, FILLING))) {
        sched_yield();
        seen = atomic_load_explicit(state, memory_order_acquire);
    }
    if (seen == CACHED)
        return SL_OK;
    /* What is known to be bad is decoded again for its message. */
    const int rc =
        sl_image_input_decode(samples->input, jpeg, sample->jpeg, sample->length, seen == BAD ? scratch : *pixels);
    if (seen == UNKNOWN)
        atomic_store_explicit(state, rc == SL_OK ? CACHED : rc == SL_BAD_DATA ? BAD : UNKNOWN, memory_order_release);
    if (seen == UNKNOWN && rc == SL_BAD_DATA)
        atomic_fetch_add(&samples->bad, 1);
    return rc;
}

int sl_samples_pixels(struct sl_samples *samples, uint32_t index, struct sl_jpeg *jpeg, uint8_t *scratch,
                      const uint8_t **pixels)
{
    int rc;
    uint8_t *to = scratch;
    const struct sl_shard_sample *sample = samples->at[index];
    if (samples->cache) {
        rc = fill_cache(samples, index, jpeg, scratch, &to);
    } else {
        rc = sl_image_input_decode(samples->input, jpeg, sample->jpeg, sample->length, scratch);
        if (rc == SL_BAD_DATA && atomic_exchange(&samples->state[index], BAD) != BAD)
            atomic_fetch_add(&samples->bad, 1);
    }
    *pixels = to;
    return rc == SL_OK ? SL_OK : sl_fail_prefix(rc, "sample %s of %s", sample->key, samples->dataset->folder);
}
