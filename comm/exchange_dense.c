/* Dense sums. `dense`: the gradient becomes the mean over all samples while the backward pass goes on. `updates`: what
 * the ranks' updaters made becomes a mean or a sum; that is `threshold` without a threshold, and tells what local
 * moments do to learning. */
#include <assert.h>
#include <stdlib.h>

#include "comm/exchange.h"
#include "comm/reduce.h"
#include "comm/traffic.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/launch.h"

struct dense {
    struct sl_team team;
    const struct sl_device *device;
    struct sl_reduce *reduce; /* between the nodes; NULL: this rank speaks for none */
    int64_t n;
    enum sl_combine combine;
    bool begun; /* parts of this step's gradient have come */
    struct sl_traffic begin, step;
    /* Where ranks join. */
    struct sl_choice scale;
    void *samples; /* a float of the device: the node's */
    float *first;  /* the lowest part of the gradient so far */
    int64_t given; /* floats of its parts */
};

/* ---- opening ---- */

static void dense_close(void *self)
{
    struct dense *dense = self;
    if (!dense)
        return;
    sl_reduce_close(dense->reduce);
    sl_choice_close(&dense->scale);
    dense->device->free(dense->device->self, dense->samples);
    free(dense);
}

static uint64_t dense_memory(const struct sl_exchange_options *options)
{
    const struct sl_reduce_options reduce = {.comm = options->comm, .device = options->device, .n = options->n};
    return sl_reduce_memory(&reduce);
}

static int open_node(struct dense *dense)
{
    int rc = SL_OK;
    const struct sl_flat shape = {.n = dense->n};
    SL_TRY(sl_choose_scale(dense->device, &shape, &dense->scale));
    SL_TRY(dense->device->alloc(dense->device->self, sizeof(float), &dense->samples));
out:
    return rc;
}

static int dense_open(const struct sl_exchange_options *options, void **self)
{
    int rc = SL_OK;
    struct dense *dense = calloc(1, sizeof *dense);
    if (!dense)
        SL_FAIL(SL_SYSTEM, "out of memory for the exchange");
    *dense = (struct dense){.team = options->team ? *options->team : sl_team_apart(options->comm),
                            .device = options->device,
                            .n = options->n,
                            .combine = options->combine};
    const struct sl_reduce_options reduce = {.comm = dense->team.speakers, .device = options->device, .n = options->n};
    if (sl_team_speaks(&dense->team))
        SL_TRY(sl_reduce_open(&reduce, &dense->reduce));
    if (sl_team_joins(&dense->team))
        SL_TRY(open_node(dense));
    *self = dense;
    dense = NULL;
out:
    dense_close(dense);
    return rc;
}

/* ---- between nodes ---- */

/* The node's span becomes what it and the other nodes' come to; this rank speaks for it, or waits for who does. */
static int share(struct dense *dense, struct sl_span span, enum sl_reduce_weights weights, int32_t samples)
{
    int rc = SL_OK;
    if (!sl_team_speaks(&dense->team)) {
        sl_comm_pass(dense->team.comm, sl_reduce_calls(dense->team.nodes, dense->n));
        goto out;
    }
    sl_reduce_begin(dense->reduce, weights, samples);
    SL_TRY(sl_reduce_put(dense->reduce, span));
    SL_TRY(sl_reduce_finish(dense->reduce));
out:
    return rc;
}

static int scale(struct dense *dense, struct sl_span span, double factor)
{
    const struct sl_flat shape = {.n = (int64_t)span.n};
    const struct sl_scale args = {span.at, (float)factor};
    return sl_launch_scale(&dense->scale, &shape, &args);
}

/* ---- gradients ---- */

/* *samples: of this rank; of who speaks, the node's, exact as far as 2^24. */
static int add_samples(struct dense *dense, int32_t *samples)
{
    int rc = SL_OK;
    const struct sl_device *device = dense->device;
    float count = (float)*samples;
    SL_TRY(device->copy(device->self, dense->samples, &count, sizeof count));
    SL_TRY(sl_team_reduce(&dense->team, (struct sl_span){dense->samples, 1}));
    SL_TRY(device->sync(device->self));
    SL_TRY(device->copy(device->self, &count, dense->samples, sizeof count));
    *samples = (int32_t)count;
out:
    return rc;
}

/* Sums of samples within the node, their mean between the nodes. */
static int share_gradient(struct dense *dense, struct sl_span whole, int32_t samples)
{
    int rc = SL_OK;
    const struct sl_device *device = dense->device;
    if (samples > 0)
        SL_TRY(scale(dense, whole, samples));
    else
        SL_TRY(device->fill(device->self, whole.at, 0, whole.n * sizeof *whole.at));
    SL_TRY(sl_team_reduce(&dense->team, whole));
    SL_TRY(add_samples(dense, &samples));
    if (sl_team_speaks(&dense->team) && samples > 0)
        SL_TRY(scale(dense, whole, 1.0 / samples));
    SL_TRY(share(dense, whole, SL_REDUCE_SAMPLES, samples));
    SL_TRY(sl_team_broadcast(&dense->team, whole));
out:
    return rc;
}

/* The parts tile a flat buffer, so all of them are one span. */
static int gather_gradient(struct dense *dense, struct sl_span part, int32_t samples, bool last)
{
    dense->first = dense->given == 0 || part.at < dense->first ? part.at : dense->first;
    dense->given += (int64_t)part.n;
    if (!last)
        return SL_OK;
    assert(dense->given == dense->n);
    dense->given = 0;
    return share_gradient(dense, (struct sl_span){dense->first, (size_t)dense->n}, samples);
}

static int put_gradient(struct dense *dense, struct sl_span part, int32_t samples, bool first, bool last)
{
    int rc = SL_OK;
    if (first)
        sl_reduce_begin(dense->reduce, SL_REDUCE_SAMPLES, samples);
    SL_TRY(sl_reduce_put(dense->reduce, part));
    if (last)
        SL_TRY(sl_reduce_finish(dense->reduce));
out:
    return rc;
}

static int dense_gradient(void *self, struct sl_span part, int32_t samples, bool last)
{
    int rc = SL_OK;
    struct dense *dense = self;
    const bool first = !dense->begun;
    if (first)
        dense->begin = sl_traffic_now(&dense->team);
    dense->begun = !last;
    if (sl_team_joins(&dense->team))
        SL_TRY(gather_gradient(dense, part, samples, last));
    else
        SL_TRY(put_gradient(dense, part, samples, first, last));
    if (last)
        dense->step = sl_traffic_since(&dense->team, dense->begin);
out:
    return rc;
}

/* ---- updates ---- */

/* The mean over the nodes is to be that over the ranks. */
static int weigh_node(struct dense *dense, struct sl_span update)
{
    const struct sl_team *team = &dense->team;
    if (!sl_team_joins(team) || !sl_team_speaks(team) || dense->combine == SL_COMBINE_SUM)
        return SL_OK;
    return scale(dense, update, (double)team->nodes / team->ranks);
}

static int updates_update(void *self, struct sl_span update, uint64_t step)
{
    int rc = SL_OK;
    struct dense *dense = self;
    const struct sl_traffic begin = sl_traffic_now(&dense->team);
    (void)step;
    assert(update.n == (size_t)dense->n);
    SL_TRY(sl_team_reduce(&dense->team, update));
    SL_TRY(weigh_node(dense, update));
    SL_TRY(share(dense, update, dense->combine == SL_COMBINE_SUM ? SL_REDUCE_SUM : SL_REDUCE_MEAN, 0));
    SL_TRY(sl_team_broadcast(&dense->team, update));
    dense->step = sl_traffic_since(&dense->team, begin);
out:
    return rc;
}

static void dense_report(void *self, struct sl_exchange_report *report)
{
    const struct dense *dense = self;
    *report = (struct sl_exchange_report){
        .sent = dense->step.sent,
        .dense = sl_traffic_dense(dense->team.nodes, dense->n),
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
