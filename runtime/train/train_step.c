#include "runtime/train/train_step.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* Is every float finite? One pass, no branch: an exponent of all ones is an infinity or not a number. */
static bool all_finite(const float *x, int64_t n)
{
    uint32_t bad = 0;
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        bad |= (bits & 0x7f800000u) == 0x7f800000u;
    }
    return !bad;
}

static void subtract(struct sl_weights *weights, const float *update)
{
    for (int64_t i = 0; i < weights->trained; i++)
        weights->values[i] -= update[i];
}

static int update_weights(struct sl_updater *updater, const struct sl_train_input *step,
                          const struct sl_train_hooks *hooks, float *update)
{
    int rc = SL_OK;
    struct sl_weights *weights = updater->weights;
    const bool shared = hooks && hooks->update;
    SL_TRY(sl_updater_step(updater, step->rate, step->iteration, shared ? update : NULL));
    if (shared) {
        SL_TRY(hooks->update(hooks->self, (struct sl_span){update, (size_t)weights->trained}));
        subtract(weights, update);
    }
out:
    return rc;
}

int sl_train(struct sl_plan *plan, struct sl_updater *updater, const struct sl_train_input *step,
             const struct sl_train_hooks *hooks, float *update, struct sl_train_result *result)
{
    int rc = SL_OK;
    struct sl_weights *weights = updater->weights;
    const struct sl_plan_input input = {step->images, step->labels, step->count, step->seed, step->iteration};
    SL_TRY(sl_plan_forward(plan, &input));
    result->loss = sl_plan_mean_loss(plan);
    result->score = result->loss + updater->options.l2 * sl_weights_half_norm(weights);
    if (!isfinite(result->score))
        SL_FAIL(SL_NUMERICS, "the loss is not finite at iteration %" PRIu64 "; lower the learning rate",
                step->iteration);
    SL_TRY(sl_plan_backward(plan));
    if (hooks && hooks->gradient)
        SL_TRY(hooks->gradient(hooks->self, (struct sl_span){weights->gradients, (size_t)weights->trained}));
    if (!all_finite(weights->gradients, weights->trained))
        SL_FAIL(SL_NUMERICS, "a gradient is not finite at iteration %" PRIu64 "; lower the learning rate",
                step->iteration);
    SL_TRY(update_weights(updater, step, hooks, update));
    SL_TRY(sl_plan_commit(plan));
out:
    return rc;
}
