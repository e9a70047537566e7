#include "runtime/train/train_step.h"

#include <inttypes.h>

/* The updater's work. With a hook its update is handed out first, and what comes back is subtracted; the hook is for
 * steps that count, so it waits for the verdict. */
static int update_weights(struct sl_plan *plan, struct sl_updater *updater, const struct sl_train_hooks *hooks,
                          float *update)
{
    int rc = SL_OK;
    struct sl_now now;
    const bool shared = hooks && hooks->update;
    SL_TRY(sl_updater_step(updater, sl_plan_now(plan), shared ? update : NULL));
    if (!shared)
        goto out;
    SL_TRY(sl_plan_read_now(plan, &now));
    if (now.bad)
        goto out;
    SL_TRY(hooks->update(hooks->self, (struct sl_span){update, (size_t)updater->weights->trained}));
    SL_TRY(sl_updater_subtract(updater, sl_plan_now(plan), update));
out:
    return rc;
}

static int read_result(struct sl_plan *plan, const struct sl_updater *updater, uint64_t iteration,
                       struct sl_train_result *result)
{
    struct sl_now now;
    const int rc = sl_plan_read_now(plan, &now);
    if (rc != SL_OK)
        return rc;
    result->loss = now.loss;
    result->score = now.loss + updater->options.l2 * now.half_norm;
    if (now.bad)
        return sl_fail(SL_NUMERICS, "%s is not finite at iteration %" PRIu64 "; lower the learning rate",
                       now.bad & SL_BAD_LOSS ? "the loss" : "a gradient", iteration);
    return SL_OK;
}

int sl_train(struct sl_plan *plan, struct sl_updater *updater, const struct sl_train_input *step,
             const struct sl_train_hooks *hooks, float *update, struct sl_train_result *result)
{
    int rc = SL_OK;
    struct sl_weights *weights = updater->weights;
    struct sl_plan_input input = step->batch;
    input.rate = sl_updater_rate(&updater->options, step->rate, input.iteration);
    SL_TRY(sl_plan_forward(plan, &input));
    SL_TRY(sl_plan_backward(plan));
    if (hooks && hooks->gradient)
        SL_TRY(hooks->gradient(hooks->self, (struct sl_span){weights->gradients, (size_t)weights->trained}));
    SL_TRY(sl_plan_judge(plan));
    SL_TRY(update_weights(plan, updater, hooks, update));
    SL_TRY(sl_plan_commit(plan));
    SL_TRY(read_result(plan, updater, input.iteration, result));
out:
    return rc;
}
