/* What exceeds the threshold goes to everybody in the same step; the rest stays in the residual. */
#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "comm/exchange.h"
#include "comm/inbox.h"
#include "comm/reduce.h"
#include "comm/residual.h"
#include "comm/traffic.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/launch.h"
#include "kernels/threshold/threshold.h"

struct threshold {
    struct sl_exchange_options options;
    struct sl_team team;
    struct sl_residual *residual;
    struct sl_threshold_state state;
    /* Of who speaks for a node. */
    struct sl_inbox *inbox;
    void *message;
    /* Where ranks join. */
    void *news;   /* on the device */
    bool settled; /* the residual lies where the node's belongs */
    /* Of the last step. */
    struct sl_traffic traffic;
    struct sl_message head;
    double clipped;
    int64_t *counts; /* [tensors] */
};

/* What the ranks of a node learn of its message, as two floats. */
struct news {
    float tau;
    uint32_t count;
};
enum { NEWS_FLOATS = sizeof(struct news) / sizeof(float) };

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
    t->options.device->free(t->options.device->self, t->news);
    free(t->message);
    free(t->counts);
    free(t);
}

static int open_speaker(struct threshold *t)
{
    int rc = SL_OK;
    const struct sl_exchange_options *options = &t->options;
    SL_TRY(sl_inbox_open(t->team.speakers, options->device, options->n, &t->inbox));
    t->message = malloc(sl_message_most_bytes(options->n));
    t->counts = calloc(options->tensor_count + 1, sizeof *t->counts);
    if (!t->message || !t->counts)
        SL_FAIL(SL_SYSTEM, "out of memory for the messages of %lld parameters", (long long)options->n);
out:
    return rc;
}

static int threshold_open(const struct sl_exchange_options *options, void **self)
{
    int rc = SL_OK;
    struct threshold *t = NULL;
    SL_TRY(check_options(options));
    if (!(t = calloc(1, sizeof *t)))
        SL_FAIL(SL_SYSTEM, "out of memory for the exchange");
    t->options = *options;
    t->team = options->team ? *options->team : sl_team_apart(options->comm);
    SL_TRY(sl_residual_open(options->device, options->n, &t->residual));
    if (sl_team_speaks(&t->team))
        SL_TRY(open_speaker(t));
    if (sl_team_joins(&t->team))
        SL_TRY(options->device->alloc(options->device->self, sizeof(struct news), &t->news));
    *self = t;
    t = NULL;
out:
    threshold_close(t);
    return rc;
}

/* ---- the residual of a node ---- */

/* A run that goes on with other ranks to a node may find what it kept back with any of them: once, it moves to who
 * speaks. Where all is in place nothing is touched, so that the bits stay. */
static int settle(struct threshold *t)
{
    int rc = SL_OK;
    double norm = 0.0;
    const struct sl_device *device = t->options.device;
    const struct sl_span r = {sl_residual_floats(t->residual), (size_t)t->options.n};
    if (t->settled || !sl_team_joins(&t->team))
        goto out;
    if (!sl_team_speaks(&t->team))
        rc = sl_residual_norm(t->residual, &norm);
    struct sl_vote vote = {.status = rc, .bad = norm != 0.0};
    SL_TRY(sl_group_vote(sl_comm_group(t->team.comm), &vote));
    t->settled = true;
    if (!vote.bad)
        goto out;
    SL_TRY(sl_team_reduce(&t->team, r));
    if (!sl_team_speaks(&t->team))
        rc = device->fill(device->self, r.at, 0, r.n * sizeof *r.at);
out:
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

/* Adds the update to the residual and writes what leaves it as the node's message. */
static int write_message(struct threshold *t, const float *update, uint64_t step, size_t *bytes)
{
    int rc = SL_OK;
    const uint32_t *entries;
    const int64_t *counts;
    float tau;
    SL_TRY(choose_tau(t, update, &tau));
    SL_TRY(sl_residual_encode(t->residual, update, tau, t->state.density >= SL_THRESHOLD_DENSE, &entries, &counts));
    t->head = (struct sl_message){
        .step = step, .rank = (uint32_t)sl_comm_group(t->team.comm)->rank, .n = t->options.n, .tau = tau};
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
        t->counts[i] =
            sl_inbox_count(t->inbox, sl_comm_group(t->team.speakers)->rank, tensor->at, tensor->at + tensor->n);
    }
}

/* The node's update goes into its residual, and becomes what all nodes have sent. */
static int speak(struct threshold *t, float *update, uint64_t step)
{
    int rc = SL_OK;
    size_t bytes;
    const float scale = t->options.combine == SL_COMBINE_SUM ? 1.0f : 1.0f / (float)t->team.ranks;
    SL_TRY(write_message(t, update, step, &bytes));
    SL_TRY(sl_inbox_gather(t->inbox, t->message, bytes, step));
    SL_TRY(sl_inbox_decode(t->inbox, scale, update));
    SL_TRY(clip(t, step));
    count_tensors(t);
out:
    return rc;
}

/* Who did not write the message learns what it was, and so keeps the same state. */
static int spread_news(struct threshold *t)
{
    int rc = SL_OK;
    const struct sl_device *device = t->options.device;
    struct news news = {t->head.tau, (uint32_t)t->head.count};
    if (!sl_team_joins(&t->team))
        goto out;
    if (sl_team_speaks(&t->team))
        SL_TRY(device->copy(device->self, t->news, &news, sizeof news));
    SL_TRY(sl_team_broadcast(&t->team, (struct sl_span){t->news, NEWS_FLOATS}));
    SL_TRY(device->sync(device->self));
    SL_TRY(device->copy(device->self, &news, t->news, sizeof news));
    t->head.tau = news.tau;
    t->head.count = news.count;
out:
    return rc;
}

static int threshold_update(void *self, struct sl_span update, uint64_t step)
{
    int rc = SL_OK;
    struct threshold *t = self;
    const struct sl_traffic begin = sl_traffic_now(&t->team);
    assert(update.n == (size_t)t->options.n);
    SL_TRY(settle(t));
    SL_TRY(sl_team_reduce(&t->team, update));
    if (sl_team_speaks(&t->team))
        SL_TRY(speak(t, update.at, step));
    else
        sl_comm_pass(t->team.comm, SL_INBOX_CALLS);
    SL_TRY(sl_team_broadcast(&t->team, update));
    SL_TRY(spread_news(t));
    sl_threshold_note(&t->state, t->head.tau, t->head.count, t->options.n);
    t->traffic = sl_traffic_since(&t->team, begin);
out:
    return rc;
}

/* ---- at the end, and between runs ---- */

/* The mean over the nodes is to be that over the ranks. */
static int weigh_node(const struct threshold *t, struct sl_span update)
{
    int rc = SL_OK;
    struct sl_choice scale = {0};
    const struct sl_flat shape = {.n = (int64_t)update.n};
    const struct sl_scale args = {update.at, (float)((double)t->team.nodes / t->team.ranks)};
    if (!sl_team_joins(&t->team) || t->options.combine == SL_COMBINE_SUM)
        goto out;
    SL_TRY(sl_choose_scale(t->options.device, &shape, &scale));
    SL_TRY(sl_launch_scale(&scale, &shape, &args));
out:
    sl_choice_close(&scale);
    return rc;
}

static int flush_node(struct threshold *t, struct sl_span update)
{
    int rc = SL_OK;
    const struct sl_device *device = t->options.device;
    float *r = sl_residual_floats(t->residual);
    const size_t bytes = update.n * sizeof(float);
    const struct sl_reduce_options options = {.comm = t->team.speakers, .device = device, .n = t->options.n};
    struct sl_reduce *reduce = NULL;
    SL_TRY(sl_reduce_open(&options, &reduce));
    SL_TRY(device->copy(device->self, update.at, r, bytes));
    SL_TRY(weigh_node(t, update));
    sl_reduce_begin(reduce, t->options.combine == SL_COMBINE_SUM ? SL_REDUCE_SUM : SL_REDUCE_MEAN, 0);
    SL_TRY(sl_reduce_put(reduce, update));
    SL_TRY(sl_reduce_finish(reduce));
    SL_TRY(device->fill(device->self, r, 0, bytes));
out:
    sl_reduce_close(reduce);
    return rc;
}

static int threshold_flush(void *self, struct sl_span update)
{
    int rc = SL_OK;
    struct threshold *t = self;
    assert(update.n == (size_t)t->options.n);
    SL_TRY(settle(t));
    if (sl_team_speaks(&t->team))
        SL_TRY(flush_node(t, update));
    else
        sl_comm_pass(t->team.comm, sl_reduce_calls(t->team.nodes, t->options.n));
    SL_TRY(sl_team_broadcast(&t->team, update));
out:
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
        .dense = sl_traffic_dense(t->team.nodes, t->options.n),
        .seconds = t->traffic.seconds,
        .tau = t->head.tau,
        .density = (double)t->head.count / (double)t->options.n,
        .clipped = t->clipped,
        .form = sl_team_speaks(&t->team) ? sl_message_form_name(t->head.form) : NULL,
        .counts = t->counts,
    };
    if (sl_team_speaks(&t->team) && sl_residual_norm(t->residual, &report->residual_norm) != SL_OK)
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
