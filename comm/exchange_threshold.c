/* What exceeds the threshold goes to everybody in the same step; the rest stays in the residual. */
#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "comm/exchange.h"
#include "comm/inbox.h"
#include "comm/reduce.h"
#include "comm/residual.h"
#include "comm/traffic.h"
#include "kernels/threshold/threshold.h"

struct threshold {
    struct sl_exchange_options options;
    const struct sl_group *group;
    struct sl_residual *residual;
    struct sl_inbox *inbox;
    struct sl_threshold_state state;
    void *message; /* of this rank */
    /* Of the last step. */
    struct sl_traffic traffic;
    struct sl_message head;
    double clipped;
    int64_t *counts; /* [tensors] */
};

/* ---- opening ---- */

static int check_options(const struct sl_exchange_options *options)
{
    const double multiple = options->clip_multiple;
    if (options->n < 1 || options->n > INT32_MAX)
        return sl_fail(SL_BAD_CONFIG, "the exchange threshold takes 1 to %ld parameters, not %lld", (long)INT32_MAX,
                       (long long)options->n);
    if (multiple != 0.0 && !(multiple >= 1.0 && isfinite(multiple)))
        return sl_fail(SL_BAD_CONFIG, "a residual is clipped at 1 threshold or more, not at %g; 0: never", multiple);
    if (multiple != 0.0 && options->clip_every < 1)
        return sl_fail(SL_BAD_CONFIG, "a residual is clipped every 1 steps or more, not every %lld",
                       (long long)options->clip_every);
    return sl_threshold_check(&options->threshold);
}

/* Its flush sums densely, once. */
static uint64_t threshold_memory(const struct sl_exchange_options *options)
{
    const int64_t n = options->n, most = (int64_t)ceil(fmin(options->threshold.cap, 1.0) * (double)n);
    const struct sl_reduce_options flush = {.comm = options->comm, .device = options->device, .n = n};
    return sl_residual_memory(options->device, n) + sl_message_most_bytes(n) + sl_reduce_memory(&flush) +
           sl_inbox_memory(options->device, sl_comm_group(options->comm)->size, n, most);
}

static void threshold_close(void *self)
{
    struct threshold *t = self;
    if (!t)
        return;
    sl_residual_close(t->residual);
    sl_inbox_close(t->inbox);
    free(t->message);
    free(t->counts);
    free(t);
}

static int threshold_open(const struct sl_exchange_options *options, void **self)
{
    int rc = SL_OK;
    struct threshold *t = NULL;
    SL_TRY(check_options(options));
    if (!(t = calloc(1, sizeof *t)))
        SL_FAIL(SL_SYSTEM, "out of memory for the exchange");
    t->options = *options;
    t->group = sl_comm_group(options->comm);
    SL_TRY(sl_residual_open(options->device, options->n, &t->residual));
    SL_TRY(sl_inbox_open(options->comm, options->device, options->n, &t->inbox));
    t->message = malloc(sl_message_most_bytes(options->n));
    t->counts = calloc(options->tensor_count + 1, sizeof *t->counts);
    if (!t->message || !t->counts)
        SL_FAIL(SL_SYSTEM, "out of memory for the messages of %lld parameters", (long long)options->n);
    *self = t;
    t = NULL;
out:
    threshold_close(t);
    return rc;
}

/* ---- a step ---- */

static int choose_tau(struct threshold *t, const float *update, float *tau)
{
    const float *sample = NULL;
    size_t m = 0;
    const int rc = t->options.threshold.cap < 1.0 ? sl_residual_sample(t->residual, update, &sample, &m) : SL_OK;
    if (rc == SL_OK)
        *tau = sl_threshold_next(&t->options.threshold, &t->state, sample, m);
    return rc;
}

/* Adds the update to the residual and writes what leaves it as this rank's message. */
static int write_message(struct threshold *t, const float *update, uint64_t step, size_t *bytes)
{
    int rc = SL_OK;
    const uint32_t *entries;
    const int64_t *counts;
    float tau;
    SL_TRY(choose_tau(t, update, &tau));
    SL_TRY(sl_residual_encode(t->residual, update, tau, t->state.density >= SL_THRESHOLD_DENSE, &entries, &counts));
    t->head = (struct sl_message){.step = step, .rank = (uint32_t)t->group->rank, .n = t->options.n, .tau = tau};
    sl_message_write(&t->head, entries, counts, t->message, bytes);
out:
    return rc;
}

static int clip(struct threshold *t, uint64_t step)
{
    const double multiple = t->options.clip_multiple;
    t->clipped = 0.0;
    if (multiple == 0.0 || step == 0 || step % (uint64_t)t->options.clip_every != 0)
        return SL_OK;
    return sl_residual_clip(t->residual, (float)(multiple * t->head.tau), &t->clipped);
}

static void count_tensors(struct threshold *t)
{
    for (size_t i = 0; i < t->options.tensor_count; i++) {
        const struct sl_exchange_tensor *tensor = &t->options.tensors[i];
        t->counts[i] = sl_inbox_count(t->inbox, t->group->rank, tensor->at, tensor->at + tensor->n);
    }
}

static int threshold_update(void *self, struct sl_span update, uint64_t step)
{
    int rc = SL_OK;
    struct threshold *t = self;
    size_t bytes;
    const struct sl_traffic begin = sl_traffic_now(t->options.comm);
    const float scale = t->options.combine == SL_COMBINE_SUM ? 1.0f : 1.0f / (float)t->group->size;
    assert(update.n == (size_t)t->options.n);
    SL_TRY(write_message(t, update.at, step, &bytes));
    SL_TRY(sl_inbox_gather(t->inbox, t->message, bytes, step));
    SL_TRY(sl_inbox_decode(t->inbox, scale, update.at));
    sl_threshold_note(&t->state, t->head.tau, t->head.count, t->options.n);
    SL_TRY(clip(t, step));
    count_tensors(t);
    t->traffic = sl_traffic_since(t->options.comm, begin);
out:
    return rc;
}

/* ---- at the end, and between runs ---- */

static int threshold_flush(void *self, struct sl_span update)
{
    int rc = SL_OK;
    struct threshold *t = self;
    const struct sl_device *device = t->options.device;
    float *r = sl_residual_floats(t->residual);
    const size_t bytes = update.n * sizeof(float);
    const struct sl_reduce_options options = {.comm = t->options.comm, .device = device, .n = t->options.n};
    struct sl_reduce *reduce = NULL;
    assert(update.n == (size_t)t->options.n);
    SL_TRY(sl_reduce_open(&options, &reduce));
    SL_TRY(device->copy(device->self, update.at, r, bytes));
    sl_reduce_begin(reduce, t->options.combine == SL_COMBINE_SUM ? SL_REDUCE_SUM : SL_REDUCE_MEAN, 0);
    SL_TRY(sl_reduce_put(reduce, update));
    SL_TRY(sl_reduce_finish(reduce));
    SL_TRY(device->fill(device->self, r, 0, bytes));
out:
    sl_reduce_close(reduce);
    return rc;
}

static size_t threshold_state(void *self, struct sl_exchange_array arrays[SL_EXCHANGE_ARRAYS])
{
    struct threshold *t = self;
    const enum sl_exchange_join join = t->options.combine == SL_COMBINE_SUM ? SL_JOIN_SUM : SL_JOIN_MEAN;
    const struct sl_exchange_array all[] = {
        {"residual", SL_EXCHANGE_F32, t->options.n, sl_residual_floats(t->residual), join},
        {"threshold.tau", SL_EXCHANGE_F64, 1, &t->state.tau, SL_JOIN_OWN},
        {"threshold.density", SL_EXCHANGE_F64, 1, &t->state.density, SL_JOIN_OWN},
        {"threshold.steps", SL_EXCHANGE_U64, 1, &t->state.steps, SL_JOIN_OWN},
    };
    const size_t count = sizeof all / sizeof *all;
    for (size_t i = 0; i < count; i++)
        arrays[i] = all[i];
    return count;
}

/* The norm takes a pass over the residual, so only who asks pays for it. */
static void threshold_report(void *self, struct sl_exchange_report *report)
{
    struct threshold *t = self;
    *report = (struct sl_exchange_report){
        .sent = t->traffic.sent,
        .dense = sl_traffic_dense(t->group->size, t->options.n),
        .seconds = t->traffic.seconds,
        .tau = t->head.tau,
        .density = (double)t->head.count / (double)t->options.n,
        .clipped = t->clipped,
        .form = sl_message_form_name(t->head.form),
        .counts = t->counts,
    };
    if (sl_residual_norm(t->residual, &report->residual_norm) != SL_OK)
        report->residual_norm = NAN;
}

const struct sl_exchange_row sl_exchange_threshold = {
    .name = "threshold",
    .own_moments = true,
    .memory = threshold_memory,
    .open = threshold_open,
    .close = threshold_close,
    .update = threshold_update,
    .flush = threshold_flush,
    .state = threshold_state,
    .report = threshold_report,
};
