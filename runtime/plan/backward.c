/* The backward pass, and the listener who is told of every part of the gradient whatever happens. */
#include <assert.h>
#include <stdio.h>

#include "kernels/elementwise/elementwise.h"
#include "kernels/elementwise/flat.h"
#include "runtime/plan/plan_internal.h"

/* Tells the parts from *next on that are final once `stage` has run backward. */
static int tell(struct sl_plan *plan, const struct sl_plan_listener *listener, size_t *next, int32_t stage)
{
    int rc = SL_OK;
    while (listener && *next < plan->part_count && plan->parts[*next].stage >= stage) {
        const struct sl_plan_part *part = &plan->parts[(*next)++];
        const struct sl_span span = {plan->weights->gradients + part->at, (size_t)part->n};
        SL_TRY(listener->part(listener->self, span, *next == plan->part_count));
    }
out:
    return rc;
}

static int add_contributions(struct sl_plan *plan, int32_t s)
{
    for (int32_t k = 0; k < plan->stages[s].input_count; k++) {
        struct sl_value *value = plan->adds_to[s][k];
        if (!value)
            continue;
        struct sl_tensor shape = value->shape;
        shape.n = plan->pass.count;
        const struct sl_flat flat = {(int64_t)sl_tensor_elements(&shape), shape.element};
        const struct sl_accumulate args = {plan->stages[s].dx[k], value->grad};
        const int rc = sl_launch_accumulate(&plan->operations.accumulate, &flat, &args);
        if (rc != SL_OK)
            return rc;
    }
    return SL_OK;
}

static int run_backward(struct sl_plan *plan, int32_t s)
{
    const struct sl_layer *layer = plan->stages[s].layer;
    sl_range_push(plan->device, layer->name);
    int rc = layer->type->backward(&plan->stages[s], &plan->pass);
    if (rc == SL_OK)
        rc = add_contributions(plan, s);
    sl_range_pop(plan->device);
    return rc;
}

/* Zeros from part `next` on. */
static int clear_gradient(struct sl_plan *plan, size_t next)
{
    int rc = SL_OK;
    for (size_t i = next; rc == SL_OK && i < plan->part_count; i++)
        rc = plan->device->fill(plan->device->self, plan->weights->gradients + plan->parts[i].at, 0,
                                (size_t)plan->parts[i].n * sizeof(float));
    return rc;
}

/* The listener is told of the rest all the same: others may wait for what he does with it. */
static int give_up(struct sl_plan *plan, const struct sl_plan_listener *listener, size_t next, int failure)
{
    char detail[1024];
    if (!listener)
        return failure;
    snprintf(detail, sizeof detail, "%s", sl_last_error());
    (void)clear_gradient(plan, next);
    const int told = tell(plan, listener, &next, 0);
    return told == SL_OK ? sl_fail(failure, "%s", detail) : told;
}

static int run_stages(struct sl_plan *plan, const struct sl_plan_listener *listener, size_t *next)
{
    int rc = SL_OK;
    for (int32_t s = plan->stage_count - 1; s >= 0; s--) {
        if ((rc = run_backward(plan, s)) != SL_OK)
            return give_up(plan, listener, *next, rc);
        SL_TRY(tell(plan, listener, next, s));
    }
out:
    return rc;
}

int sl_plan_backward(struct sl_plan *plan, const struct sl_plan_listener *listener)
{
    size_t next = 0;
    int rc;
    if (!plan->options.training || !plan->pass.labels)
        return give_up(plan, listener, next, sl_fail(SL_INTERNAL, "backward without a training forward"));
    sl_range_push(plan->device, "backward");
    rc = run_stages(plan, listener, &next);
    sl_range_pop(plan->device);
    return rc;
}

static int load_nothing(struct sl_plan *plan, const struct sl_plan_input *input)
{
    const int rc = sl_plan_load_packet(plan, input);
    return rc == SL_OK ? sl_plan_leave(plan) : rc;
}

int sl_plan_idle(struct sl_plan *plan, const struct sl_plan_input *input, const struct sl_plan_listener *listener)
{
    int rc = SL_OK;
    size_t next = 0;
    assert(plan->options.training && !plan->options.dry && input->count == 0);
    if ((rc = load_nothing(plan, input)) != SL_OK || (rc = clear_gradient(plan, next)) != SL_OK)
        return give_up(plan, listener, next, rc);
    return tell(plan, listener, &next, 0);
}
