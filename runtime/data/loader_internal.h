/* The loader's parts: a ring of slots, workers that fill them (loader_fill.c), and the order in which they are claimed
 * and taken (loader.c). */
#ifndef SL_RUNTIME_DATA_LOADER_INTERNAL_H
#define SL_RUNTIME_DATA_LOADER_INTERNAL_H

#include <pthread.h>

#include "runtime/data/image_input.h"
#include "runtime/data/loader.h"
#include "runtime/data/samples.h"

struct sl_loader_slot {
    struct sl_batch batch;
    uint8_t *pixels; /* of its own, [batch_size] images; NULL where all are cached */
    const char **keys;
    uint32_t *samples; /* claimed, [batch_size] */
    int32_t claimed;
    bool ready;
    int status;
    char detail[1024];
};

struct sl_loader_worker {
    pthread_t thread;
    struct sl_loader *loader;
    struct sl_jpeg *jpeg;
    uint8_t *scratch; /* an image's bytes */
};

struct sl_loader {
    struct sl_samples *samples;
    struct sl_loader_options options;
    struct sl_image_input input;
    uint64_t batches;
    struct sl_loader_worker *workers;
    int worker_count, started;

    pthread_mutex_t lock;
    pthread_cond_t wake_workers, wake_consumer;
    struct sl_loader_slot *ring;
    uint64_t ring_size;
    uint64_t epoch, index;   /* of the step that is filled next */
    uint64_t claim, deliver; /* steps since the last seek: filled or being filled, taken */
    uint64_t busy;           /* workers that are filling */
    bool holding;            /* the consumer still reads the batch before `deliver` */
    bool paused, closing;
    uint32_t *order; /* of epoch order_epoch */
    uint64_t order_epoch;
};

/* Decodes what the slot has claimed, and places it, outside the lock. The errors of sl_samples_pixels; the batch then
 * holds what came before. */
int sl_loader_fill(const struct sl_loader_worker *worker, struct sl_loader_slot *slot);

#endif
