/* The loader's memory and threads, from opening to closing. */
#include <stdlib.h>
#include <string.h>

#include "runtime/data/jpeg.h"
#include "runtime/data/loader_internal.h"

enum { DEFAULT_PREFETCH = 4, MAX_THREADS = 256, MAX_PREFETCH = 4096, MAX_PADDING = 1024 };

static int check_options(const struct sl_loader_options *o, int32_t size)
{
    if (o->crop_padding < 0 || o->crop_padding > MAX_PADDING)
        return sl_fail(SL_BAD_CONFIG, "a crop padding of %d pixels; it must be 0 to %d", o->crop_padding, MAX_PADDING);
    if (o->crop_padding >= size)
        return sl_fail(SL_BAD_CONFIG, "a crop padding of %d pixels; it must be less than the %d of an image's side",
                       o->crop_padding, size);
    if (o->threads < 0 || o->threads > MAX_THREADS || o->prefetch < 0 || o->prefetch > MAX_PREFETCH)
        return sl_fail(SL_BAD_CONFIG, "%d loader threads and %d batches ahead; at most %d and %d are allowed",
                       o->threads, o->prefetch, MAX_THREADS, MAX_PREFETCH);
    if (o->world < 0 || o->rank < 0 || o->rank >= (o->world ? o->world : 1))
        return sl_fail(SL_BAD_CONFIG, "the loader of rank %d of %d; ranks count from 0", o->rank, o->world);
    return SL_OK;
}

static int find_split(const struct sl_dataset *dataset, const struct sl_loader_options *options,
                      const struct sl_split **split)
{
    *split = sl_dataset_split(dataset, options->split);
    if (!*split || (*split)->samples == 0)
        return sl_fail(SL_MISSING, "%s: the data set has no images for %s", dataset->folder, options->split);
    return SL_OK;
}

static int thread_count(const struct sl_loader_options *o)
{
    return o->threads ? o->threads : 1;
}

/* One slot is in the consumer's hands; every thread wants one to fill. */
static uint64_t slot_count(const struct sl_loader_options *o)
{
    const int threads = thread_count(o), prefetch = o->prefetch ? o->prefetch : DEFAULT_PREFETCH;
    return (uint64_t)(prefetch > threads ? prefetch : threads) + 1;
}

static bool ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), m = strlen(end);
    return n >= m && !strcmp(text + n - m, end);
}

/* The model's pixels, or the data set's own. */
static int open_input(const struct sl_dataset *dataset, const struct sl_loader_options *options,
                      struct sl_image_input *input)
{
    struct sl_pixels pixels = options->pixels;
    if (!pixels.size) {
        pixels = dataset->pixels;
        pixels.range = options->pixels.range;
        pixels.fast_decode = options->pixels.fast_decode;
    }
    return sl_image_input_open(&pixels, options->batch_size, input);
}

/* What a decoder holds at once, as far as the shards' sizes tell: a JPEG has about a bit for a pixel, and what is
 * larger than usual is decoded smaller. The coefficients of progressive images come on top. */
static uint64_t decoder_bytes(const struct sl_split *split)
{
    enum { PIXELS_PER_BYTE = 8, CHANNELS = 3 };
    uint64_t packed = 0;
    for (size_t i = 0; i < split->shard_count; i++)
        packed += split->shards[i].bytes;
    const uint64_t pixels = packed / split->samples * PIXELS_PER_BYTE;
    return (pixels < SL_JPEG_USUAL_PIXELS ? pixels : SL_JPEG_USUAL_PIXELS) * CHANNELS;
}

int sl_loader_measure(const struct sl_dataset *dataset, const struct sl_loader_options *options,
                      struct sl_loader_memory *memory)
{
    int rc = SL_OK;
    /* A usual key, what malloc adds, and the tables that small JPEGs have in common, of which packing leaves little. */
    enum { KEY = 48, BLOCK = 16, TABLES = 600 };
    const struct sl_split *split;
    struct sl_image_input input;
    *memory = (struct sl_loader_memory){0};
    SL_TRY(open_input(dataset, options, &input));
    SL_TRY(check_options(options, input.size));
    SL_TRY(find_split(dataset, options, &split));
    const uint64_t image = sl_image_input_bytes(&input);
    const uint64_t each = image + sizeof(struct sl_image_place) + sizeof(int32_t) + sizeof(char *) + sizeof(uint32_t);
    memory->buffers = slot_count(options) * (uint64_t)options->batch_size * each +
                      (uint64_t)thread_count(options) * (image + decoder_bytes(split)) +
                      split->samples * (sizeof(struct sl_shard_sample) + 4 * sizeof(void *) + sizeof(uint32_t) + KEY);
    for (size_t i = 0; i < split->shard_count; i++)
        if (ends_with(split->shards[i].name, ".zst"))
            memory->shards += split->shards[i].bytes + (2 * BLOCK + TABLES) * split->shards[i].samples;
out:
    return rc;
}

static int open_slot(const struct sl_loader *loader, struct sl_loader_slot *slot)
{
    const size_t n = (size_t)loader->options.batch_size, bytes = n * sl_image_input_bytes(&loader->input);
    const bool cached = sl_samples_cached(loader->samples);
    slot->pixels = cached ? NULL : malloc(bytes);
    slot->batch.places = calloc(n, sizeof *slot->batch.places);
    slot->batch.labels = calloc(n, sizeof *slot->batch.labels);
    slot->keys = calloc(n, sizeof *slot->keys);
    slot->samples = calloc(n, sizeof *slot->samples);
    slot->batch.pixels = cached ? sl_samples_cache(loader->samples) : slot->pixels;
    slot->batch.keys = slot->keys;
    memcpy(slot->batch.scale, loader->input.scale, sizeof slot->batch.scale);
    memcpy(slot->batch.shift, loader->input.shift, sizeof slot->batch.shift);
    if (!slot->batch.pixels || !slot->batch.places || !slot->batch.labels || !slot->keys || !slot->samples)
        return sl_fail(SL_UNAVAILABLE, "out of memory for a batch of %zu images (%zu bytes)", n, bytes);
    return SL_OK;
}

static int open_worker(struct sl_loader *loader, struct sl_loader_worker *worker)
{
    worker->loader = loader;
    worker->scratch = malloc(sl_image_input_bytes(&loader->input));
    if (!worker->scratch)
        return sl_fail(SL_UNAVAILABLE, "out of memory for a loader thread");
    return sl_jpeg_open(&worker->jpeg);
}

static int open_buffers(struct sl_loader *loader)
{
    int rc = SL_OK;
    const int threads = thread_count(&loader->options);
    const uint64_t ring_size = slot_count(&loader->options);
    loader->order = calloc((size_t)sl_samples_count(loader->samples) + 1, sizeof *loader->order);
    loader->order_epoch = UINT64_MAX;
    loader->ring = calloc(ring_size, sizeof *loader->ring);
    loader->workers = calloc((size_t)threads, sizeof *loader->workers);
    if (!loader->order || !loader->ring || !loader->workers)
        SL_FAIL(SL_UNAVAILABLE, "out of memory for the loader");
    while (loader->ring_size < ring_size)
        SL_TRY(open_slot(loader, &loader->ring[loader->ring_size++]));
    while (loader->worker_count < threads)
        SL_TRY(open_worker(loader, &loader->workers[loader->worker_count++]));
out:
    return rc;
}

int sl_loader_open(const struct sl_dataset *dataset, const struct sl_loader_options *options, struct sl_loader **loader)
{
    int rc = SL_OK;
    const struct sl_split *split = NULL;
    struct sl_loader *self = calloc(1, sizeof *self);
    *loader = NULL;
    if (!self)
        SL_FAIL(SL_UNAVAILABLE, "out of memory for the loader");
    pthread_mutex_init(&self->lock, NULL);
    pthread_cond_init(&self->wake_workers, NULL);
    pthread_cond_init(&self->wake_consumer, NULL);
    SL_TRY(open_input(dataset, options, &self->input));
    SL_TRY(check_options(options, self->input.size));
    SL_TRY(find_split(dataset, options, &split));
    self->options = *options;
    self->options.split = split->name;
    self->options.world = options->world ? options->world : 1;
    SL_TRY(
        sl_samples_open(dataset, split, &self->input, options->cache_bytes, options->unpacked_limit, &self->samples));
    const uint64_t count = sl_samples_count(self->samples), each = (uint64_t)options->batch_size;
    self->batches = (count + each - 1) / each;
    SL_TRY(open_buffers(self));
    *loader = self;
    self = NULL;
out:
    sl_loader_close(self);
    return rc;
}

void sl_loader_close(struct sl_loader *loader)
{
    if (!loader)
        return;
    pthread_mutex_lock(&loader->lock);
    loader->closing = true;
    pthread_cond_broadcast(&loader->wake_workers);
    pthread_mutex_unlock(&loader->lock);
    for (int i = 0; i < loader->started; i++)
        pthread_join(loader->workers[i].thread, NULL);
    for (int i = 0; i < loader->worker_count; i++) {
        sl_jpeg_close(loader->workers[i].jpeg);
        free(loader->workers[i].scratch);
    }
    for (uint64_t i = 0; i < loader->ring_size; i++) {
        free(loader->ring[i].pixels);
        free(loader->ring[i].batch.places);
        free(loader->ring[i].batch.labels);
        free(loader->ring[i].keys);
        free(loader->ring[i].samples);
    }
    free(loader->workers);
    free(loader->ring);
    free(loader->order);
    sl_samples_close(loader->samples);
    pthread_cond_destroy(&loader->wake_consumer);
    pthread_cond_destroy(&loader->wake_workers);
    pthread_mutex_destroy(&loader->lock);
    free(loader);
}
