/* Dense sums. `dense`: the gradient becomes the mean over all samples while the backward pass goes on. `updates`: what
 * the ranks' updaters made becomes a mean or a sum; that is `threshold` without a threshold, and tells what local
 * moments do to learning. */
#include <assert.h>
#include <stdlib.h>

#include "comm/exchange.h"
#include "comm/reduce.h"
#include "comm/traffic.h"

struct dense {
    struct sl_comm *comm;
    struct sl_reduce *reduce;
    int64_t n;
    enum sl_combine combine;
    bool begun; /* parts of this step's gradient have come */
    struct sl_traffic begin, step;
};

static void dense_close(void *self)
{
    struct dense *dense = self;
    if (!dense)
        return;
    sl_reduce_close(dense->reduce);
    free(dense);
}

static struct sl_reduce_options reduce_options(const struct sl_exchange_options *options)
{
    return (struct sl_reduce_options){.comm = options->comm, .device = options->device, .n = options->n};
}

static uint64_t dense_memory(const struct sl_exchange_options *options)
{
    const struct sl_reduce_options reduce = reduce_options(options);
    return sl_reduce_memory(&reduce);
}

static int dense_open(const struct sl_exchange_options *options, void **self)
{
    int rc = SL_OK;
    const struct sl_reduce_options reduce = reduce_options(options);
    struct dense *dense = calloc(1, sizeof *dense);
    if (!dense)
        SL_FAIL(SL_SYSTEM, "out of memory for the exchange");
    *dense = (struct dense){.comm = options->comm, .n = options->n, .combine = options->combine};
    SL_TRY(sl_reduce_open(&reduce, &dense->reduce));
    *self = dense;
    dense = NULL;
out:
    dense_close(dense);
    return rc;
}

static void begin(struct dense *dense, enum sl_reduce_weights weights, int32_t samples)
{
    dense->begin = sl_traffic_now(dense->comm);
    sl_reduce_begin(dense->reduce, weights, samples);
}

static int finish(struct dense *dense)
{
    const int rc = sl_reduce_finish(dense->reduce);
    dense->step = sl_traffic_since(dense->comm, dense->begin);
    return rc;
}

static int dense_gradient(void *self, struct sl_span part, int32_t samples, bool last)
{
    int rc = SL_OK;
    struct dense *dense = self;
    if (!dense->begun)
        begin(dense, SL_REDUCE_SAMPLES, samples);
    dense->begun = !last;
    SL_TRY(sl_reduce_put(dense->reduce, part));
    if (last)
        SL_TRY(finish(dense));
out:
    return rc;
}

static int updates_update(void *self, struct sl_span update, uint64_t step)
{
    int rc = SL_OK;
    struct dense *dense = self;
    (void)step;
    assert(update.n == (size_t)dense->n);
    begin(dense, dense->combine == SL_COMBINE_SUM ? SL_REDUCE_SUM : SL_REDUCE_MEAN, 0);
    SL_TRY(sl_reduce_put(dense->reduce, update));
    SL_TRY(finish(dense));
out:
    return rc;
}

static void dense_report(void *self, struct sl_exchange_report *report)
{
    const struct dense *dense = self;
    *report = (struct sl_exchange_report){
        .sent = dense->step.sent,
        .dense = sl_traffic_dense(sl_comm_group(dense->comm)->size, dense->n),
        .seconds = dense->step.seconds,
        .density = 1.0,
    };
}

const struct sl_exchange_row sl_exchange_dense = {
    .name = "dense",
    .memory = dense_memory,
    .open = dense_open,
    .close = dense_close,
    .gradient = dense_gradient,
    .report = dense_report,
};

const struct sl_exchange_row sl_exchange_updates = {
    .name = "updates",
    .own_moments = true,
    .memory = dense_memory,
    .open = dense_open,
    .close = dense_close,
    .update = updates_update,
    .report = dense_report,
};
