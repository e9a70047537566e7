/* The flat gradient in the parts in which backward completes it: a stage's parameters lie in two ranges, weights and
 * vectors, and neighbours of one stage are one part. */
#include <stdlib.h>

#include "runtime/plan/plan_internal.h"

static const struct sl_layer *layer_of(const struct sl_stage *stage, int32_t a)
{
    return a == 0 ? stage->layer : stage->absorbed[a - 1];
}

/* In the order of the flat buffer, which need not be that of the stage's layers. */
static void insert(struct sl_plan_part *parts, size_t count, struct sl_plan_part part)
{
    size_t i = count;
    for (; i > 0 && parts[i - 1].at > part.at; i--)
        parts[i] = parts[i - 1];
    parts[i] = part;
}

static size_t join_neighbours(struct sl_plan_part *parts, size_t count)
{
    size_t joined = 0;
    for (size_t i = 0; i < count; i++)
        if (joined && parts[joined - 1].at + parts[joined - 1].n == parts[i].at)
            parts[joined - 1].n += parts[i].n;
        else
            parts[joined++] = parts[i];
    return joined;
}

static size_t list_stage(const struct sl_plan *plan, const struct sl_stage *stage, struct sl_plan_part *parts)
{
    size_t count = 0;
    for (int32_t a = 0; a <= stage->absorbed_count; a++) {
        const struct sl_layer *layer = layer_of(stage, a);
        const int64_t *offsets = plan->weights->offsets[layer - plan->graph->layers];
        for (int32_t k = 0; k < layer->parameter_count; k++)
            if (layer->parameters[k].role != SL_ROLE_STATE)
                insert(parts, count++,
                       (struct sl_plan_part){stage->index, offsets[k], sl_parameter_floats(&layer->parameters[k])});
    }
    return join_neighbours(parts, count);
}

int sl_plan_list_parts(struct sl_plan *plan)
{
    size_t most = 1;
    for (int32_t i = 0; i < plan->graph->layer_count; i++)
        most += (size_t)plan->graph->layers[i].parameter_count;
    plan->parts = calloc(most, sizeof *plan->parts);
    if (!plan->parts)
        return sl_fail(SL_SYSTEM, "out of memory for a plan of %d layers", plan->graph->layer_count);
    for (int32_t s = plan->stage_count - 1; s >= 0; s--)
        plan->part_count += list_stage(plan, &plan->stages[s], plan->parts + plan->part_count);
    return SL_OK;
}

size_t sl_plan_parts(const struct sl_plan *plan, const struct sl_plan_part **parts)
{
    *parts = plan->parts;
    return plan->part_count;
}
