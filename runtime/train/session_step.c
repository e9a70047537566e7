/* An open session at work: steps, what happens between them, and validation. */
#include <inttypes.h>

#include "runtime/base/clock.h"
#include "runtime/train/batch_input.h"
#include "runtime/train/evaluate.h"
#include "runtime/train/session.h"
#include "runtime/train/statistics.h"

/* Room for an update, once somebody asks. */
static int reserve_update(struct sl_session *s)
{
    void *memory = NULL;
    if (s->update)
        return SL_OK;
    const int rc = s->device.alloc(s->device.self, (size_t)s->weights->trained * sizeof(float), &memory);
    s->update = memory;
    return rc;
}

/* One batch for each rank. */
static void advance(struct sl_session *s, uint64_t samples, double loss_sum)
{
    struct sl_position *p = &s->position;
    const uint64_t batches = sl_loader_batches(s->train), next = p->index + (uint64_t)sl_group_size(s->options.group);
    s->batch = s->next;
    s->next = NULL;
    s->unread = samples ? 0 : s->unread + 1;
    p->iteration++;
    p->samples += samples;
    p->loss_sum += loss_sum;
    p->index = next < batches ? next : batches;
}

/* The loader's next, which has to be that of the position, or `later` steps behind it. */
static int take_batch(struct sl_session *s, uint64_t later, const struct sl_batch **batch)
{
    int rc = SL_OK;
    const struct sl_position *p = &s->position;
    const struct sl_batch *next;
    SL_TRY(sl_loader_next(s->train, &next));
    if (next->epoch != p->epoch || next->index != p->index + later)
        SL_FAIL(SL_INTERNAL,
                "the loader is at batch %" PRIu64 " of epoch %" PRIu64 ", training at %" PRIu64 " of %" PRIu64,
                next->index, next->epoch, p->index + later, p->epoch);
    *batch = next;
out:
    return rc;
}

static int next_batch(struct sl_session *s)
{
    return s->batch ? SL_OK : take_batch(s, 0, &s->batch);
}

/* What no rank has been able to read for a whole epoch is not going to become readable. */
static int check_readable(const struct sl_session *s)
{
    const uint64_t world = (uint64_t)sl_group_size(s->options.group);
    if (s->unread < (sl_loader_batches(s->train) + world - 1) / world)
        return SL_OK;
    return sl_group_settle(s->options.group, sl_fail(SL_BAD_DATA, "no image of the split train can be read"));
}

/* Every rank drops other elements. */
static uint64_t seed_of(const struct sl_session *s)
{
    return s->options.seed + (uint64_t)sl_group_rank(s->options.group) * UINT64_C(0x9e3779b97f4a7c15);
}

/* The step `later` ones behind the position, as far as it is known before it has run. */
static struct sl_session_result describe(const struct sl_session *s, uint64_t later, const struct sl_batch *batch)
{
    const struct sl_position *p = &s->position;
    return (struct sl_session_result){
        .epoch = p->epoch,
        .index = p->index + later,
        .iteration = p->iteration + later,
        .local = batch ? batch->count : 0,
        .waited = batch ? batch->waited : 0.0,
        .rate = sl_schedule_rate(&s->options.schedule, p->epoch),
    };
}

/* The input of that step; without a batch it has none. `pixels` is room that it points to. */
static struct sl_train_input input_of(const struct sl_session *s, const struct sl_session_result *step,
                                      const struct sl_batch *batch, struct sl_plan_pixels *pixels)
{
    struct sl_train_input input = {
        .batch = {.seed = seed_of(s), .iteration = step->iteration},
        .rate = step->rate,
        .ranks = sl_group_size(s->options.group),
    };
    if (!batch)
        return input;
    *pixels = sl_batch_pixels(batch);
    input.batch.pixels = pixels;
    input.batch.labels = batch->labels;
    input.batch.count = batch->count;
    return input;
}

/* ---- alone ---- */

static int start(struct sl_session *s, uint64_t later, const struct sl_batch *batch, struct sl_session_started *started)
{
    struct sl_plan_pixels pixels;
    *started = (struct sl_session_started){.what = describe(s, later, batch)};
    if (batch->count == 0)
        return SL_OK;
    const struct sl_train_input input = input_of(s, &started->what, batch, &pixels);
    const int rc = sl_train_start(s->training, s->updater, &input, &started->ticket);
    started->there = rc == SL_OK;
    return rc;
}

/* Does another step of this epoch follow, on a device that works while the host goes on, and unobserved? */
static bool may_go_ahead(const struct sl_session *s)
{
    return s->goes_on && s->device.mark && !s->device.listener && s->position.index + 1 < sl_loader_batches(s->train);
}

/* A batch that cannot be had is met again by the step that needs it. */
static int go_ahead(struct sl_session *s)
{
    if (take_batch(s, 1, &s->next) != SL_OK)
        return SL_OK;
    return start(s, 1, s->next, &s->ahead);
}

/* The step at the position, which may have been started before; where another one follows, that is started before this
 * one's numbers are waited for, so that the device does not wait for the host. */
static int step_alone(struct sl_session *s, struct sl_session_result *step, struct sl_train_result *result)
{
    int rc = SL_OK;
    struct sl_session_started now = s->ahead;
    s->ahead.there = false;
    if (!now.there) {
        SL_TRY(next_batch(s));
        SL_TRY(start(s, 0, s->batch, &now));
    } else if (now.what.iteration != s->position.iteration)
        SL_FAIL(SL_INTERNAL, "step %" PRIu64 " was started after one that was neither taken nor skipped",
                now.what.iteration);
    *step = now.what;
    if (may_go_ahead(s))
        SL_TRY(go_ahead(s));
    if (now.there)
        SL_TRY(sl_train_finish(s->training, s->updater, &now.ticket, result));
out:
    return rc;
}

/* ---- with others ---- */

static int step_together(struct sl_session *s, struct sl_session_result *step, struct sl_train_result *result)
{
    struct sl_plan_pixels pixels;
    int status = s->hooks.update ? reserve_update(s) : SL_OK;
    if (status == SL_OK)
        status = next_batch(s);
    const struct sl_batch *batch = status == SL_OK ? s->batch : NULL;
    *step = describe(s, 0, batch);
    struct sl_train_input input = input_of(s, step, batch, &pixels);
    input.status = status;
    if (sl_group_size(s->options.group) == 1 && status == SL_OK && batch->count == 0)
        return SL_OK;
    return sl_train(s->training, s->updater, &input, &s->hooks, s->update, result);
}

int sl_session_step(struct sl_session *session, struct sl_session_result *step)
{
    int rc = SL_OK;
    const double begin = sl_clock();
    struct sl_train_result result = {0};
    const bool alone = sl_group_size(session->options.group) == 1 && !sl_train_shares(&session->hooks);
    SL_TRY((alone ? step_alone : step_together)(session, step, &result));
    step->samples = result.samples;
    step->loss = result.loss;
    step->score = result.score;
    step->seconds = sl_clock() - begin;
    advance(session, result.samples, result.loss_sum);
    SL_TRY(check_readable(session));
out:
    return rc;
}

int sl_session_settled(const struct sl_session *session)
{
    return session->ahead.there ? sl_fail(SL_INTERNAL, "a step was started and not yet taken") : SL_OK;
}

int sl_session_apply(struct sl_session *session, int (*give)(void *self, struct sl_span update), void *self)
{
    int rc = SL_OK;
    const struct sl_device *device = &session->device;
    struct sl_now *now = sl_plan_now(session->training);
    SL_TRY(sl_session_settled(session));
    SL_TRY(reserve_update(session));
    SL_TRY(give(self, (struct sl_span){session->update, (size_t)session->weights->trained}));
    SL_TRY(device->fill(device->self, now, 0, sizeof *now)); /* the last step may have been bad; this is none */
    SL_TRY(sl_updater_subtract(session->updater, now, session->update));
    rc = device->sync(device->self);
out:
    return rc;
}

void sl_session_skip(struct sl_session *session)
{
    advance(session, 0, 0.0);
    session->unread = 0;
}

bool sl_session_epoch_trained(const struct sl_session *session)
{
    return session->position.index >= sl_loader_batches(session->train);
}

void sl_session_next_epoch(struct sl_session *session)
{
    struct sl_position *p = &session->position;
    *p = (struct sl_position){.epoch = p->epoch + 1, .iteration = p->iteration};
}

int sl_session_validate(struct sl_session *session, struct sl_metrics *metrics, const volatile int *stop)
{
    int rc = SL_OK;
    float *own = NULL;
    const struct sl_group *group = session->options.group;
    sl_metrics_reset(metrics);
    sl_range_push(&session->device, "validate");
    SL_TRY(sl_session_settled(session));
    SL_TRY(sl_statistics_average(session->weights, group, &own));
    SL_TRY(sl_evaluate(session->inference, session->val, group, metrics, NULL, NULL, stop));
out:;
    const int restored = sl_statistics_restore(session->weights, &own);
    sl_range_pop(&session->device);
    return rc == SL_OK ? sl_group_settle(group, restored) : rc;
}
