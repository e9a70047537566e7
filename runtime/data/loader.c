/* A ring of batches. Workers claim the next batch in order, fill it outside the lock, and mark it ready; the consumer
 * takes them in the same order. Which worker fills which batch never matters: a batch depends on (seed, epoch, index)
 * alone. */
#include "runtime/data/loader.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernels/image/image.h"
#include "kernels/kernels.h"
#include "runtime/data/draw.h"
#include "runtime/data/pixels.h"
#include "runtime/data/samples.h"

enum { DEFAULT_PREFETCH = 4, MAX_THREADS = 256, MAX_PREFETCH = 4096, MAX_PADDING = 1024, DETAIL_LENGTH = 1024 };
static const uint64_t max_epoch = UINT64_C(1) << 56, max_slot_bytes = UINT64_C(1) << 34;

struct slot {
    struct sl_batch batch;
    const char **keys;
    uint32_t *samples; /* claimed, [batch_size] */
    int32_t claimed;
    bool ready;
    int status;
    char detail[DETAIL_LENGTH];
};

struct worker {
    pthread_t thread;
    struct sl_loader *loader;
    struct sl_jpeg *jpeg;
    uint8_t *rgb;
    void *scratch; /* of the kernel */
};

struct sl_loader {
    struct sl_samples *samples;
    struct sl_loader_options options;
    struct sl_image shape;
    const struct sl_kernel *to_float;
    float scale[3], shift[3];
    uint64_t batches;
    struct worker *workers;
    int worker_count, started;

    pthread_mutex_t lock;
    pthread_cond_t wake_workers, wake_consumer;
    struct slot *ring;
    uint64_t ring_size;
    uint64_t claim, deliver; /* batches since the beginning of epoch 0: the next to be filled, the next to be taken */
    uint64_t busy;           /* workers that are filling */
    bool holding;            /* the consumer still reads the batch before `deliver` */
    bool paused, closing;
    uint32_t *order; /* of epoch order_epoch */
    uint64_t order_epoch;
};

/* ---- filling ---- */

static void set_order(struct sl_loader *loader, uint64_t epoch)
{
    const uint32_t count = sl_samples_count(loader->samples);
    if (epoch == loader->order_epoch)
        return;
    loader->order_epoch = epoch;
    if (loader->options.shuffle)
        sl_draw_permutation(loader->options.seed, SL_DRAW_EPOCH, epoch, loader->order, count);
    else
        for (uint32_t i = 0; i < count; i++)
            loader->order[i] = i;
}

/* Takes the next batch, under the lock. */
static struct slot *claim_slot(struct sl_loader *loader)
{
    const uint64_t epoch = loader->claim / loader->batches, index = loader->claim % loader->batches;
    const uint64_t first = index * (uint64_t)loader->options.batch_size;
    const uint64_t left = sl_samples_count(loader->samples) - first;
    struct slot *slot = &loader->ring[loader->claim % loader->ring_size];
    set_order(loader, epoch);
    slot->claimed = left < (uint64_t)loader->options.batch_size ? (int32_t)left : loader->options.batch_size;
    memcpy(slot->samples, loader->order + first, (size_t)slot->claimed * sizeof *slot->samples);
    slot->batch.epoch = epoch;
    slot->batch.index = index;
    slot->ready = false;
    loader->claim++;
    loader->busy++;
    return slot;
}

static void to_float(const struct worker *worker, uint64_t epoch, uint32_t sample, const uint8_t *pixels, float *image)
{
    const struct sl_loader *loader = worker->loader;
    const struct sl_loader_options *o = &loader->options;
    struct sl_image_to_float args = {.x = pixels, .y = image};
    memcpy(args.scale, loader->scale, sizeof args.scale);
    memcpy(args.shift, loader->shift, sizeof args.shift);
    if (o->flip || o->crop_padding) {
        const struct sl_philox bits = sl_draw(o->seed, SL_DRAW_AUGMENT, epoch, sample);
        const uint32_t places = 2 * (uint32_t)o->crop_padding + 1;
        args.flip = o->flip && (bits.word[0] & 1);
        args.top = (int32_t)sl_draw_below(bits.word[1], places) - o->crop_padding;
        args.left = (int32_t)sl_draw_below(bits.word[2], places) - o->crop_padding;
    }
    const struct sl_work work = {0, sl_kernel_units(loader->to_float, &loader->shape), worker->scratch, NULL};
    loader->to_float->run(&loader->shape, &args, &work);
}

static size_t image_floats(const struct sl_loader *loader)
{
    return (size_t)loader->shape.oh * (size_t)loader->shape.ow * 3;
}

static int fill(const struct worker *worker, struct slot *slot)
{
    const struct sl_loader *loader = worker->loader;
    const size_t floats = image_floats(loader);
    int32_t count = 0;
    for (int32_t i = 0; i < slot->claimed; i++) {
        const uint32_t sample = slot->samples[i];
        const uint8_t *pixels = NULL;
        const int rc = sl_samples_pixels(loader->samples, sample, worker->jpeg, worker->rgb, &pixels);
        if (rc == SL_BAD_DATA && loader->options.skip_bad_images)
            continue;
        if (rc != SL_OK)
            return rc;
        to_float(worker, slot->batch.epoch, sample, pixels, slot->batch.images + (size_t)count * floats);
        slot->batch.labels[count] = sl_samples_at(loader->samples, sample)->label;
        slot->keys[count++] = sl_samples_at(loader->samples, sample)->key;
    }
    const size_t rest = (size_t)(loader->options.batch_size - count);
    memset(slot->batch.images + (size_t)count * floats, 0, rest * floats * sizeof *slot->batch.images);
    memset(slot->batch.labels + count, 0, rest * sizeof *slot->batch.labels);
    slot->batch.count = count;
    return SL_OK;
}

static bool may_claim(const struct sl_loader *loader)
{
    return !loader->paused && loader->claim - loader->deliver + (loader->holding ? 1 : 0) < loader->ring_size;
}

static void *work(void *self)
{
    const struct worker *worker = self;
    struct sl_loader *loader = worker->loader;
    pthread_mutex_lock(&loader->lock);
    for (;;) {
        while (!loader->closing && !may_claim(loader))
            pthread_cond_wait(&loader->wake_workers, &loader->lock);
        if (loader->closing)
            break;
        struct slot *slot = claim_slot(loader);
        pthread_mutex_unlock(&loader->lock);
        slot->status = fill(worker, slot);
        if (slot->status != SL_OK)
            strncpy(slot->detail, sl_last_error(), sizeof slot->detail - 1);
        pthread_mutex_lock(&loader->lock);
        slot->ready = true;
        loader->busy--;
        pthread_cond_signal(&loader->wake_consumer);
    }
    pthread_mutex_unlock(&loader->lock);
    return NULL;
}

static int start_workers(struct sl_loader *loader)
{
    for (; loader->started < loader->worker_count; loader->started++)
        if (pthread_create(&loader->workers[loader->started].thread, NULL, work, &loader->workers[loader->started]))
            break;
    return loader->started ? SL_OK : sl_fail(SL_SYSTEM, "the system refuses a thread for the loader");
}

/* ---- taking ---- */

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* Waits for the next batch. It stays the consumer's until the following call. */
static struct slot *take_slot(struct sl_loader *loader)
{
    pthread_mutex_lock(&loader->lock);
    if (loader->holding) {
        loader->holding = false;
        pthread_cond_broadcast(&loader->wake_workers);
    }
    struct slot *slot = &loader->ring[loader->deliver % loader->ring_size];
    while (loader->claim == loader->deliver || !slot->ready)
        pthread_cond_wait(&loader->wake_consumer, &loader->lock);
    if (slot->status == SL_OK) {
        loader->deliver++;
        loader->holding = true;
    }
    pthread_mutex_unlock(&loader->lock);
    return slot;
}

int sl_loader_next(struct sl_loader *loader, const struct sl_batch **batch)
{
    int rc = SL_OK;
    const double begin = now();
    *batch = NULL;
    if (loader->started < loader->worker_count)
        SL_TRY(start_workers(loader));
    for (uint64_t empty = 0; empty <= loader->batches; empty++) {
        struct slot *slot = take_slot(loader);
        if (slot->status != SL_OK)
            SL_FAIL(slot->status, "%s", slot->detail);
        if (slot->batch.count == 0)
            continue;
        slot->batch.waited = now() - begin;
        *batch = &slot->batch;
        goto out;
    }
    SL_FAIL(SL_BAD_DATA, "no image of the split %s can be read", loader->options.split);
out:
    return rc;
}

int sl_loader_seek(struct sl_loader *loader, uint64_t epoch, uint64_t index)
{
    if (epoch >= max_epoch || index >= loader->batches || epoch > (UINT64_MAX - index) / loader->batches)
        return sl_fail(SL_BAD_CONFIG, "batch %llu of epoch %llu: an epoch has %llu batches", (unsigned long long)index,
                       (unsigned long long)epoch, (unsigned long long)loader->batches);
    pthread_mutex_lock(&loader->lock);
    loader->paused = true;
    while (loader->busy > 0)
        pthread_cond_wait(&loader->wake_consumer, &loader->lock);
    loader->claim = loader->deliver = epoch * loader->batches + index;
    loader->holding = false;
    loader->paused = false;
    for (uint64_t i = 0; i < loader->ring_size; i++)
        loader->ring[i].ready = false;
    pthread_cond_broadcast(&loader->wake_workers);
    pthread_mutex_unlock(&loader->lock);
    return SL_OK;
}

uint64_t sl_loader_batches(const struct sl_loader *loader)
{
    return loader->batches;
}

uint64_t sl_loader_samples(const struct sl_loader *loader)
{
    return sl_samples_count(loader->samples);
}

bool sl_loader_cached(const struct sl_loader *loader)
{
    return sl_samples_cached(loader->samples);
}

uint64_t sl_loader_skipped(const struct sl_loader *loader)
{
    return sl_samples_bad(loader->samples);
}

/* ---- opening ---- */

static int check_options(const struct sl_loader_options *o, int32_t size)
{
    const uint64_t bytes = (uint64_t)size * (uint64_t)size * 3 * sizeof(float);
    if (o->batch_size < 1 || (uint64_t)o->batch_size > max_slot_bytes / bytes)
        return sl_fail(SL_BAD_CONFIG, "a batch size of %d; 1 to %llu can be at %d pixels a side", o->batch_size,
                       (unsigned long long)(max_slot_bytes / bytes), size);
    if (o->crop_padding < 0 || o->crop_padding > MAX_PADDING)
        return sl_fail(SL_BAD_CONFIG, "a crop padding of %d; 0 to %d can be", o->crop_padding, MAX_PADDING);
    if (o->threads < 0 || o->threads > MAX_THREADS || o->prefetch < 0 || o->prefetch > MAX_PREFETCH)
        return sl_fail(SL_BAD_CONFIG, "%d loader threads and %d batches ahead; at most %d and %d can be", o->threads,
                       o->prefetch, MAX_THREADS, MAX_PREFETCH);
    return SL_OK;
}

static int open_slot(const struct sl_loader *loader, struct slot *slot)
{
    const size_t n = (size_t)loader->options.batch_size;
    const size_t bytes = (n * image_floats(loader) * sizeof(float) + 63) / 64 * 64;
    slot->batch.images = aligned_alloc(64, bytes);
    slot->batch.labels = calloc(n, sizeof *slot->batch.labels);
    slot->keys = calloc(n, sizeof *slot->keys);
    slot->samples = calloc(n, sizeof *slot->samples);
    slot->batch.keys = slot->keys;
    if (!slot->batch.images || !slot->batch.labels || !slot->keys || !slot->samples)
        return sl_fail(SL_UNAVAILABLE, "no memory for a batch of %zu images (%zu bytes)", n, bytes);
    return SL_OK;
}

static int open_worker(struct sl_loader *loader, struct worker *worker)
{
    const size_t scratch = sl_kernel_scratch(loader->to_float, &loader->shape);
    worker->loader = loader;
    worker->rgb = malloc(image_floats(loader));
    worker->scratch = aligned_alloc(64, (scratch + 64) / 64 * 64);
    if (!worker->rgb || !worker->scratch)
        return sl_fail(SL_UNAVAILABLE, "no memory for a loader thread");
    return sl_jpeg_open(&worker->jpeg);
}

static int open_buffers(struct sl_loader *loader)
{
    int rc = SL_OK;
    const int threads = loader->options.threads ? loader->options.threads : 1;
    const int prefetch = loader->options.prefetch ? loader->options.prefetch : DEFAULT_PREFETCH;
    /* One slot is in the consumer's hands; every thread wants one to fill. */
    const uint64_t ring_size = (uint64_t)(prefetch > threads ? prefetch : threads) + 1;
    loader->order = calloc((size_t)sl_samples_count(loader->samples) + 1, sizeof *loader->order);
    loader->order_epoch = UINT64_MAX;
    loader->ring = calloc(ring_size, sizeof *loader->ring);
    loader->workers = calloc((size_t)threads, sizeof *loader->workers);
    if (!loader->order || !loader->ring || !loader->workers)
        SL_FAIL(SL_UNAVAILABLE, "no memory for the loader");
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
    const struct sl_split *split = sl_dataset_split(dataset, options->split);
    struct sl_loader *self = calloc(1, sizeof *self);
    *loader = NULL;
    if (!self)
        SL_FAIL(SL_UNAVAILABLE, "no memory for the loader");
    pthread_mutex_init(&self->lock, NULL);
    pthread_cond_init(&self->wake_workers, NULL);
    pthread_cond_init(&self->wake_consumer, NULL);
    SL_TRY(check_options(options, dataset->image_size));
    if (!split || split->samples == 0)
        SL_FAIL(SL_MISSING, "%s: the data set has no images for %s", dataset->folder, options->split);
    self->options = *options;
    self->options.split = split->name;
    self->shape = (struct sl_image){dataset->image_size, dataset->image_size, dataset->image_size, dataset->image_size};
    self->to_float = sl_pick(SL_OP_image_to_float, &self->shape, sl_isa())->kernel;
    sl_pixel_range(options->range, dataset->mean, dataset->deviation, self->scale, self->shift);
    SL_TRY(sl_samples_open(dataset, split, options->cache_bytes, &self->samples));
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
        free(loader->workers[i].rgb);
        free(loader->workers[i].scratch);
    }
    for (uint64_t i = 0; i < loader->ring_size; i++) {
        free(loader->ring[i].batch.images);
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
