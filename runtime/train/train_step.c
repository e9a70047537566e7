#include "runtime/train/train_step.h"

#include <inttypes.h>

static double score_of(const struct sl_updater *updater, double loss, const struct sl_now *now)
{
    return loss + updater->options.l2 * now->half_norm;
}

static int refuse(uint32_t bad, uint64_t iteration, const char *where)
{
    return sl_fail(SL_NUMERICS, "%s is not finite at iteration %" PRIu64 "%s; lower the learning rate",
                   bad & SL_BAD_LOSS ? "the loss" : "a gradient", iteration, where);
}

/* ---- alone ---- */

struct alone {
    struct sl_plan *plan;
    struct sl_updater *updater;
};

/* All that a step computes, once its batch is there. */
static int run_alone(void *self)
{
    const struct alone *alone = self;
    struct sl_plan *plan = alone->plan;
    int rc = SL_OK;
    SL_TRY(sl_plan_run(plan));
    SL_TRY(sl_plan_backward(plan, NULL));
    SL_TRY(sl_plan_judge(plan));
    SL_TRY(sl_updater_step(alone->updater, sl_plan_now(plan), NULL));
    SL_TRY(sl_plan_commit(plan));
out:
    return rc;
}

int sl_train_start(struct sl_plan *plan, struct sl_updater *updater, const struct sl_train_input *step,
                   struct sl_train_ticket *ticket)
{
    int rc = SL_OK;
    struct alone alone = {plan, updater};
    struct sl_plan_input input = step->batch;
    input.rate = sl_updater_rate(&updater->options, step->rate, input.iteration);
    *ticket = (struct sl_train_ticket){.samples = input.count, .iteration = input.iteration};
    sl_range_push(updater->weights->device, "step");
    SL_TRY(sl_plan_load(plan, &input));
    SL_TRY(sl_plan_replay(plan, updater, run_alone, &alone));
    SL_TRY(sl_plan_fetch(plan, &ticket->slot));
out:
    sl_range_pop(updater->weights->device);
    return rc;
}

int sl_train_finish(struct sl_plan *plan, struct sl_updater *updater, const struct sl_train_ticket *ticket,
                    struct sl_train_result *result)
{
    struct sl_now now;
    const int rc = sl_plan_fetched(plan, ticket->slot, &now);
    if (rc != SL_OK)
        return rc;
    *result = (struct sl_train_result){
        .samples = (uint64_t)ticket->samples,
        .loss = now.loss,
        .loss_sum = now.loss * ticket->samples,
        .score = score_of(updater, now.loss, &now),
    };
    return now.bad ? refuse(now.bad, ticket->iteration, "") : SL_OK;
}

static int train_alone(struct sl_plan *plan, struct sl_updater *updater, const struct sl_train_input *step,
                       struct sl_train_result *result)
{
    struct sl_train_ticket ticket;
    const int rc = sl_train_start(plan, updater, step, &ticket);
    return rc == SL_OK ? sl_train_finish(plan, updater, &ticket, result) : rc;
}

/* ---- with others ---- */

struct sharing {
    const struct sl_train_hooks *hooks;
    int32_t samples;
    int failure; /* of the gradient hook, after which nobody can count on the others */
};

static int share_part(void *self, struct sl_span part, bool last)
{
    struct sharing *sharing = self;
    sharing->failure = sharing->hooks->gradient(sharing->hooks->self, part, sharing->samples, last);
    return sharing->failure;
}

/* Forward and backward, or what stands for them: every part of the gradient is shared in any case. Returns the first
 * failure of this rank. */
static int run_pass(struct sl_plan *plan, const struct sl_plan_input *input, int status, struct sharing *sharing)
{
    const struct sl_plan_listener told = {share_part, sharing};
    const struct sl_plan_listener *listener = sharing->hooks->gradient ? &told : NULL;
    struct sl_plan_input nothing = *input;
    int rc = status;
    if (rc == SL_OK && input->count > 0)
        rc = sl_plan_forward(plan, input);
    if (rc == SL_OK && input->count > 0)
        return sl_plan_backward(plan, listener);
    nothing.count = sharing->samples = 0;
    const int idle = sl_plan_idle(plan, &nothing, listener);
    return rc == SL_OK ? idle : rc;
}

static int vote(struct sl_plan *plan, const struct sl_train_hooks *hooks, const struct sl_plan_input *input, int status,
                struct sl_now *now, struct sl_vote *all)
{
    int rc = status;
    if (rc == SL_OK)
        rc = sl_plan_judge(plan);
    if (rc == SL_OK)
        rc = sl_plan_read_now(plan, now);
    *all = (struct sl_vote){.status = rc};
    if (rc == SL_OK)
        *all =
            (struct sl_vote){.loss_sum = now->loss * input->count, .samples = (uint64_t)input->count, .bad = now->bad};
    const int agreed = hooks->agree ? hooks->agree(hooks->self, all) : rc;
    return agreed == SL_OK ? rc : agreed;
}

/* The mean over the ranks becomes the mean over the samples. */
static int weigh_gradient(struct sl_updater *updater, uint64_t samples, int ranks, uint64_t all)
{
    if (ranks <= 1 || samples * (uint64_t)ranks == all)
        return SL_OK;
    return sl_updater_scale_gradients(updater, (float)((double)samples * ranks / (double)all));
}

/* The updater's work. With a hook its update is handed out first, and what comes back is subtracted. */
static int update_weights(struct sl_plan *plan, struct sl_updater *updater, const struct sl_train_hooks *hooks,
                          uint64_t iteration, float *update)
{
    int rc = SL_OK;
    SL_TRY(sl_updater_step(updater, sl_plan_now(plan), hooks->update ? update : NULL));
    if (hooks->update) {
        const struct sl_span span = {update, (size_t)updater->weights->trained};
        SL_TRY(hooks->update(hooks->self, span, iteration));
        SL_TRY(sl_updater_subtract(updater, sl_plan_now(plan), update));
    }
    SL_TRY(sl_plan_commit(plan));
out:
    return rc;
}

static int train_together(struct sl_plan *plan, struct sl_updater *updater, const struct sl_train_input *step,
                          const struct sl_plan_input *input, const struct sl_train_hooks *hooks, float *update,
                          struct sl_train_result *result)
{
    int rc = SL_OK;
    struct sl_now now = {0};
    struct sl_vote all;
    struct sharing sharing = {.hooks = hooks, .samples = input->count};
    const int status = run_pass(plan, input, step->status, &sharing);
    if (sharing.failure != SL_OK)
        return sharing.failure;
    SL_TRY(vote(plan, hooks, input, status, &now, &all));
    const double loss = step->ranks <= 1 ? now.loss : all.samples ? all.loss_sum / (double)all.samples : 0.0;
    *result = (struct sl_train_result){
        .samples = all.samples, .loss = loss, .loss_sum = all.loss_sum, .score = score_of(updater, loss, &now)};
    if (all.samples == 0) /* nothing was learned, so nothing can be bad */
        goto out;
    if (all.bad)
        return refuse(all.bad, input->iteration, step->ranks > 1 ? " on one of the ranks" : "");
    if (!hooks->gradient)
        SL_TRY(weigh_gradient(updater, (uint64_t)input->count, step->ranks, all.samples));
    SL_TRY(update_weights(plan, updater, hooks, input->iteration, update));
out:
    return rc;
}

int sl_train(struct sl_plan *plan, struct sl_updater *updater, const struct sl_train_input *step,
             const struct sl_train_hooks *hooks, float *update, struct sl_train_result *result)
{
    struct sl_plan_input input = step->batch;
    if (!sl_train_shares(hooks))
        return step->status == SL_OK ? train_alone(plan, updater, step, result) : step->status;
    input.rate = sl_updater_rate(&updater->options, step->rate, input.iteration);
    return train_together(plan, updater, step, &input, hooks, update, result);
}
