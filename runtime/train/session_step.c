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
    s->batch = NULL;
    s->unread = samples ? 0 : s->unread + 1;
    p->iteration++;
    p->samples += samples;
    p->loss_sum += loss_sum;
    p->index = next < batches ? next : batches;
}

static int next_batch(struct sl_session *s)
{
    int rc = SL_OK;
    const struct sl_position *p = &s->position;
    const struct sl_batch *next = s->batch;
    if (!next)
        SL_TRY(sl_loader_next(s->train, &next));
    if (next->epoch != p->epoch || next->index != p->index)
        SL_FAIL(SL_INTERNAL,
                "the loader is at batch %" PRIu64 " of epoch %" PRIu64 ", training at %" PRIu64 " of %" PRIu64,
                next->index, next->epoch, p->index, p->epoch);
    s->batch = next;
out:
    return rc;
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

static int train_on(struct sl_session *s, const struct sl_batch *batch, int status, double rate,
                    struct sl_train_result *result)
{
    struct sl_plan_pixels pixels;
    struct sl_train_input train = {
        .batch = {.seed = seed_of(s), .iteration = s->position.iteration},
        .rate = rate,
        .ranks = sl_group_size(s->options.group),
        .status = status,
    };
    if (status == SL_OK) {
        pixels = sl_batch_pixels(batch);
        train.batch.pixels = &pixels;
        train.batch.labels = batch->labels;
        train.batch.count = batch->count;
    }
    if (sl_group_size(s->options.group) == 1 && status == SL_OK && batch->count == 0)
        return SL_OK;
    return sl_train(s->training, s->updater, &train, &s->hooks, s->update, result);
}

int sl_session_step(struct sl_session *session, struct sl_session_result *step)
{
    int rc = SL_OK;
    const double start = sl_clock();
    struct sl_train_result result = {0};
    const struct sl_position *p = &session->position;
    int status = session->hooks.update ? reserve_update(session) : SL_OK;
    if (status == SL_OK)
        status = next_batch(session);
    const struct sl_batch *batch = status == SL_OK ? session->batch : NULL;
    *step = (struct sl_session_result){
        .epoch = p->epoch,
        .index = p->index,
        .iteration = p->iteration,
        .local = batch ? batch->count : 0,
        .waited = batch ? batch->waited : 0.0,
        .rate = sl_schedule_rate(&session->options.schedule, p->epoch),
    };
    SL_TRY(train_on(session, batch, status, step->rate, &result));
    step->samples = result.samples;
    step->loss = result.loss;
    step->score = result.score;
    step->seconds = sl_clock() - start;
    advance(session, result.samples, result.loss_sum);
    SL_TRY(check_readable(session));
out:
    return rc;
}

int sl_session_apply(struct sl_session *session, int (*give)(void *self, struct sl_span update), void *self)
{
    int rc = SL_OK;
    const struct sl_device *device = &session->device;
    struct sl_now *now = sl_plan_now(session->training);
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
    SL_TRY(sl_statistics_average(session->weights, group, &own));
    SL_TRY(sl_evaluate(session->inference, session->val, group, metrics, NULL, NULL, stop));
out:;
    const int restored = sl_statistics_restore(session->weights, &own);
    return rc == SL_OK ? sl_group_settle(group, restored) : rc;
}
