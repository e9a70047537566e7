/* A ring of batches. Workers claim the next batch in order, fill it outside the lock, and mark it ready; the consumer
 * takes them in the same order. Which worker fills which batch never matters: a batch depends on (seed, epoch, index)
 * and the rank alone. */
#include "runtime/data/loader.h"

#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/base/random.h"
#include "runtime/data/loader_internal.h"

static const uint64_t max_epoch = UINT64_C(1) << 56;

/* ---- filling ---- */

static void set_order(struct sl_loader *loader, uint64_t epoch)
{
    const uint32_t count = sl_samples_count(loader->samples);
    if (epoch == loader->order_epoch)
        return;
    loader->order_epoch = epoch;
    if (loader->options.shuffle)
        sl_draw_permutation(loader->options.seed, SL_RANDOM_EPOCH, epoch, loader->order, count);
    else
        for (uint32_t i = 0; i < count; i++)
            loader->order[i] = i;
}

/* This rank's samples of the step at loader->index. */
static int32_t take_samples(struct sl_loader *loader, uint32_t *samples)
{
    const uint64_t mine = loader->index + (uint64_t)loader->options.rank;
    const uint64_t first = mine * (uint64_t)loader->options.batch_size;
    if (mine >= loader->batches)
        return 0;
    const uint64_t left = sl_samples_count(loader->samples) - first;
    const int32_t count = left < (uint64_t)loader->options.batch_size ? (int32_t)left : loader->options.batch_size;
    memcpy(samples, loader->order + first, (size_t)count * sizeof *samples);
    return count;
}

static void advance(struct sl_loader *loader)
{
    loader->index += (uint64_t)loader->options.world;
    if (loader->index < loader->batches)
        return;
    loader->index = 0;
    loader->epoch++;
}

/* Takes the next step, under the lock. */
static struct sl_loader_slot *claim_slot(struct sl_loader *loader)
{
    struct sl_loader_slot *slot = &loader->ring[loader->claim % loader->ring_size];
    set_order(loader, loader->epoch);
    slot->claimed = take_samples(loader, slot->samples);
    slot->batch.epoch = loader->epoch;
    slot->batch.index = loader->index;
    slot->ready = false;
    advance(loader);
    loader->claim++;
    loader->busy++;
    return slot;
}

static bool may_claim(const struct sl_loader *loader)
{
    return !loader->paused && loader->claim - loader->deliver + (loader->holding ? 1 : 0) < loader->ring_size;
}

static void *work(void *self)
{
    const struct sl_loader_worker *worker = self;
    struct sl_loader *loader = worker->loader;
    pthread_mutex_lock(&loader->lock);
    for (;;) {
        while (!loader->closing && !may_claim(loader))
            pthread_cond_wait(&loader->wake_workers, &loader->lock);
        if (loader->closing)
            break;
        struct sl_loader_slot *slot = claim_slot(loader);
        pthread_mutex_unlock(&loader->lock);
        slot->status = sl_loader_fill(worker, slot);
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

/* Waits for the next batch. It stays the consumer's until the following call. */
static struct sl_loader_slot *take_slot(struct sl_loader *loader)
{
    pthread_mutex_lock(&loader->lock);
    if (loader->holding) {
        loader->holding = false;
        pthread_cond_broadcast(&loader->wake_workers);
    }
    struct sl_loader_slot *slot = &loader->ring[loader->deliver % loader->ring_size];
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
    const double begin = sl_clock();
    *batch = NULL;
    if (loader->started < loader->worker_count)
        SL_TRY(start_workers(loader));
    struct sl_loader_slot *slot = take_slot(loader);
    slot->batch.waited = sl_clock() - begin;
    if (slot->status == SL_OK || slot->batch.count > 0)
        *batch = &slot->batch;
    if (slot->status != SL_OK)
        SL_FAIL(slot->status, "%s", slot->detail);
out:
    return rc;
}

int sl_loader_seek(struct sl_loader *loader, uint64_t epoch, uint64_t index)
{
    if (epoch >= max_epoch || index >= loader->batches)
        return sl_fail(SL_BAD_CONFIG, "batch %llu of epoch %llu: an epoch has %llu batches", (unsigned long long)index,
                       (unsigned long long)epoch, (unsigned long long)loader->batches);
    pthread_mutex_lock(&loader->lock);
    loader->paused = true;
    while (loader->busy > 0)
        pthread_cond_wait(&loader->wake_consumer, &loader->lock);
    loader->epoch = epoch;
    loader->index = index;
    loader->claim = loader->deliver = 0;
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

uint64_t sl_loader_unpacked(const struct sl_loader *loader)
{
    return sl_samples_unpacked(loader->samples);
}

bool sl_loader_cached(const struct sl_loader *loader)
{
    return sl_samples_cached(loader->samples);
}

const uint8_t *sl_loader_cache(const struct sl_loader *loader)
{
    return sl_samples_cache(loader->samples);
}

uint64_t sl_loader_skipped(const struct sl_loader *loader)
{
    return sl_samples_bad(loader->samples);
}
