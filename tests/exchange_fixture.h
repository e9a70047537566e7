/* A run of an exchange between threads: every rank makes up its updates, and what comes back is kept. */
#ifndef SL_TESTS_EXCHANGE_FIXTURE_H
#define SL_TESTS_EXCHANGE_FIXTURE_H

#include <math.h>

#include "comm/exchange.h"
#include "runtime/base/clock.h"
#include "runtime/base/hash.h"
#include "tests/flock.h"
#include "tests/strict_device.h"

enum { FLIGHT_STEPS = 150, FLIGHT_TENSORS = 3 };

struct flight {
    const char *name;
    int64_t n;
    int steps;
    enum sl_combine combine;
    struct sl_threshold_options threshold;
    double clip_multiple;
    int64_t clip_every;
    double size;              /* of the updates: about lr */
    int merged;               /* a rank learns the sum of what so many would; 0: 1 */
    float weight;             /* times this; 0: 1 */
    bool flush;               /* after the last step */
    int break_at;             /* closes and opens again before this step, as a resumed run does; 0: never */
    uint32_t isa[RANKS_MOST]; /* what its device is held to; 0: all */
    int strict;               /* the rank with a device that the host cannot read; -1: none */
    /* What came of it. */
    int rc[RANKS_MOST];
    char text[RANKS_MOST][1024];
    uint64_t hashes[RANKS_MOST][FLIGHT_STEPS + 1]; /* of each step's update, and of the flushed one */
    struct sl_exchange_report reports[RANKS_MOST][FLIGHT_STEPS];
    int64_t counts[RANKS_MOST][FLIGHT_TENSORS]; /* of the last step */
    double *given;                              /* [n] what all ranks learned, added up */
    double *applied;                            /* [n] what rank 0 got, added up */
    double *kept;                               /* [n] what all ranks kept back */
    double clipped;                             /* of all ranks */
    double took;                                /* seconds of rank 0 in the hooks, from the second step on */
};

static inline struct flight *flight_new(const char *name, int64_t n, int steps)
{
    struct flight *flight = calloc(1, sizeof *flight);
    assert_non_null(flight);
    assert_true(steps <= FLIGHT_STEPS);
    flight->name = name;
    flight->n = n;
    flight->steps = steps;
    flight->threshold = sl_threshold_defaults();
    flight->size = 8e-3;
    flight->strict = -1;
    flight->given = calloc((size_t)n, sizeof(double));
    flight->applied = calloc((size_t)n, sizeof(double));
    flight->kept = calloc((size_t)n, sizeof(double));
    assert_true(flight->given && flight->applied && flight->kept);
    return flight;
}

static inline void flight_free(struct flight *flight)
{
    free(flight->given);
    free(flight->applied);
    free(flight->kept);
    free(flight);
}

/* What a rank learns at a step. */
static inline float flight_update(const struct flight *flight, int rank, int step, int64_t i)
{
    const int count = flight->merged ? flight->merged : 1;
    float sum = 0.0f;
    for (int k = 0; k < count; k++) {
        const float one = (float)flight->size * flock_float((uint64_t)(rank * count + k), (uint64_t)step, (uint64_t)i);
        sum = k ? sum + one : one;
    }
    return flight->weight > 0.0f ? sum * flight->weight : sum;
}

static inline void flight_tensors(const struct flight *flight, struct sl_exchange_tensor tensors[FLIGHT_TENSORS])
{
    static const char *const names[FLIGHT_TENSORS] = {"a", "b", "c"};
    const int64_t ends[] = {0, flight->n / 3, flight->n / 3 + flight->n / 2, flight->n};
    for (int t = 0; t < FLIGHT_TENSORS; t++)
        tensors[t] = (struct sl_exchange_tensor){names[t], ends[t], ends[t + 1] - ends[t]};
}

static inline int flight_open(const struct flight *flight, struct flock_rank *rank,
                              const struct sl_exchange_tensor *tensors, void **self)
{
    const struct sl_exchange_options options = {.comm = rank->comm,
                                                .team = rank->team,
                                                .device = &rank->device,
                                                .n = flight->n,
                                                .tensors = tensors,
                                                .tensor_count = FLIGHT_TENSORS,
                                                .combine = flight->combine,
                                                .threshold = flight->threshold,
                                                .clip_multiple = flight->clip_multiple,
                                                .clip_every = flight->clip_every};
    return sl_exchange_find(flight->name)->open(&options, self);
}

static inline size_t flight_bytes(const struct sl_exchange_array *array)
{
    return (size_t)array->n * (array->type == SL_EXCHANGE_F32 ? sizeof(float) : sizeof(double));
}

/* Copies between an array and the host. */
static inline void flight_array(const struct sl_device *device, const struct sl_exchange_array *array, void *host,
                                bool save)
{
    if (device->sync(device->self) != SL_OK ||
        device->copy(device->self, save ? host : array->at, save ? array->at : host, flight_bytes(array)) != SL_OK)
        abort();
}

/* As between two runs: only what state() names is carried over. */
static inline int flight_break(const struct flight *flight, struct flock_rank *rank,
                               const struct sl_exchange_tensor *tensors, void **self)
{
    const struct sl_exchange_row *row = sl_exchange_find(flight->name);
    struct sl_exchange_array old[SL_EXCHANGE_ARRAYS], new[SL_EXCHANGE_ARRAYS];
    void *saved[SL_EXCHANGE_ARRAYS];
    const size_t count = row->state ? row->state(*self, old) : 0;
    for (size_t i = 0; i < count; i++) {
        saved[i] = malloc(flight_bytes(&old[i]));
        flight_array(&rank->device, &old[i], saved[i], true);
    }
    row->close(*self);
    const int rc = flight_open(flight, rank, tensors, self);
    if (rc == SL_OK)
        CHECK(!row->state || row->state(*self, new) == count);
    for (size_t i = 0; i < count; i++) {
        if (rc == SL_OK)
            flight_array(&rank->device, &new[i], saved[i], false);
        free(saved[i]);
    }
    return rc;
}

/* One hook or the other: a gradient comes in parts from the end. All ranks have as many samples. */
static inline int flight_share(const struct flight *flight, void *self, float *at, uint64_t step)
{
    const struct sl_exchange_row *row = sl_exchange_find(flight->name);
    int rc = SL_OK;
    if (row->update)
        return row->update(self, (struct sl_span){at, (size_t)flight->n}, step);
    for (int64_t end = flight->n; rc == SL_OK && end > 0;) {
        const int64_t length = end < 1000 ? end : 1000;
        end -= length;
        rc = row->gradient(self, (struct sl_span){at + end, (size_t)length}, 32, end == 0);
    }
    return rc;
}

static inline void flight_keep(struct flight *flight, struct flock_rank *rank, const float *host, int step)
{
    flight->hashes[rank->number][step] = sl_hash64(host, (size_t)flight->n * sizeof *host);
    for (int64_t i = 0; rank->number == 0 && i < flight->n; i++)
        flight->applied[i] += (double)host[i];
}

static inline int flight_step(struct flight *flight, struct flock_rank *rank, void *self, int step, float *at,
                              float *host)
{
    int rc = SL_OK;
    struct sl_exchange_report *report = &flight->reports[rank->number][step];
    for (int64_t i = 0; i < flight->n; i++)
        host[i] = flight_update(flight, rank->number, step, i);
    flock_copy(&rank->device, at, host, (size_t)flight->n);
    pthread_mutex_lock(&rank_lock);
    for (int64_t i = 0; i < flight->n; i++)
        flight->given[i] += (double)host[i];
    pthread_mutex_unlock(&rank_lock);
    const double begin = sl_clock();
    SL_TRY(flight_share(flight, self, at, (uint64_t)step));
    if (rank->number == 0 && step > 0)
        flight->took += sl_clock() - begin;
    flock_copy(&rank->device, host, at, (size_t)flight->n);
    flight_keep(flight, rank, host, step);
    sl_exchange_find(flight->name)->report(self, report);
    if (report->counts)
        memcpy(flight->counts[rank->number], report->counts, sizeof *flight->counts);
    pthread_mutex_lock(&rank_lock);
    flight->clipped += report->clipped;
    pthread_mutex_unlock(&rank_lock);
out:
    return rc;
}

static inline int flight_end(struct flight *flight, struct flock_rank *rank, void *self, float *at, float *host)
{
    int rc = SL_OK;
    const struct sl_exchange_row *row = sl_exchange_find(flight->name);
    struct sl_exchange_array arrays[SL_EXCHANGE_ARRAYS];
    if (flight->flush && row->flush) {
        SL_TRY(row->flush(self, (struct sl_span){at, (size_t)flight->n}));
        flock_copy(&rank->device, host, at, (size_t)flight->n);
        flight_keep(flight, rank, host, FLIGHT_STEPS);
    }
    if (row->state && row->state(self, arrays) > 0) {
        flight_array(&rank->device, &arrays[0], host, true);
        pthread_mutex_lock(&rank_lock);
        for (int64_t i = 0; i < flight->n; i++)
            flight->kept[i] += (double)host[i];
        pthread_mutex_unlock(&rank_lock);
    }
out:
    return rc;
}

static inline void flight_body(struct flock_rank *rank, void *argument)
{
    int rc = SL_OK;
    struct flight *flight = argument;
    struct sl_exchange_tensor tensors[FLIGHT_TENSORS];
    void *self = NULL;
    float *at = flock_alloc(&rank->device, (size_t)flight->n), *host = malloc((size_t)flight->n * sizeof *host);
    flight_tensors(flight, tensors);
    SL_TRY(flight_open(flight, rank, tensors, &self));
    for (int step = 0; step < flight->steps; step++) {
        if (flight->break_at && step == flight->break_at)
            SL_TRY(flight_break(flight, rank, tensors, &self));
        SL_TRY(flight_step(flight, rank, self, step, at, host));
    }
    SL_TRY(flight_end(flight, rank, self, at, host));
out:
    flight->rc[rank->number] = rc;
    snprintf(flight->text[rank->number], sizeof *flight->text, "%s", rc == SL_OK ? "" : sl_last_error());
    sl_exchange_find(flight->name)->close(self);
    rank->device.free(rank->device.self, at);
    free(host);
}

static inline void flight_device(int rank, struct sl_device *device, void *self)
{
    const struct flight *flight = self;
    if (rank == flight->strict) {
        device->close(device->self);
        strict_device_open(1, device);
    }
    if (flight->isa[rank])
        device->isa &= flight->isa[rank];
}

/* All ranks come to the end, with the same bits at every step. */
static inline void flight_fly(struct flight *flight, int size)
{
    flock_fly(size, (struct flock){.body = flight_body, .self = flight, .device = flight_device});
    for (int r = 0; r < size; r++) {
        if (flight->rc[r] != SL_OK)
            fail_msg("rank %d: status %d: %s", r, flight->rc[r], flight->text[r]);
        assert_memory_equal(flight->hashes[r], flight->hashes[0], sizeof *flight->hashes);
    }
}

/* What came back, times what it was multiplied by, and what is kept is what all have given; at most `allowed` is
 * missing beside the rounding. */
static inline double flight_missing(const struct flight *flight, int size)
{
    const double factor = flight->combine == SL_COMBINE_SUM ? 1.0 : size;
    double missing = 0.0;
    for (int64_t i = 0; i < flight->n; i++) {
        const double gap = fabs(flight->given[i] - factor * flight->applied[i] - flight->kept[i]);
        /* Each of `steps` additions of each rank rounds at most to half a bit of values below 1/4. */
        const double rounding = size * (flight->steps + 2) * 0x1p-26;
        missing += gap > rounding ? gap : 0.0;
    }
    return missing;
}
#endif
