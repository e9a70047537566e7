/* From layers to stages: each layer offers to take the next one in, as long as nobody else reads the value between. */
#include <stdlib.h>

#include "runtime/plan/plan_internal.h"

/* The one layer that reads this value and nothing else, or -1. */
static int32_t sole_consumer(const struct sl_graph *graph, int32_t value)
{
    int32_t consumer = -1;
    for (int32_t i = value + 1; i < graph->layer_count; i++)
        for (int32_t k = 0; k < graph->layers[i].input_count; k++) {
            if (graph->layers[i].inputs[k] != value)
                continue;
            if (consumer >= 0 || graph->layers[i].input_count != 1)
                return -1;
            consumer = i;
        }
    return consumer;
}

static int32_t layer_index(const struct sl_graph *graph, const struct sl_layer *layer)
{
    return (int32_t)(layer - graph->layers);
}

static void bind_parameters(const struct sl_plan *plan, struct sl_stage *stage)
{
    for (int32_t a = 0; a <= stage->absorbed_count; a++) {
        const struct sl_layer *layer = a == 0 ? stage->layer : stage->absorbed[a - 1];
        for (int32_t k = 0; k < layer->parameter_count; k++) {
            const int32_t index = layer_index(plan->graph, layer);
            stage->parameters[a][k] = sl_weights_at(plan->weights, index, k);
            stage->gradients[a][k] = sl_weights_gradient(plan->weights, index, k);
        }
    }
}

/* The input's too: layer 0 has no type. */
static enum sl_element element_of(const struct sl_plan *plan, int32_t layer)
{
    const struct sl_layer_type *type = plan->graph->layers[layer].type;
    return type && type->traits & SL_OUTPUT_IS_FLOAT ? SL_ELEMENT_F32 : plan->options.precision;
}

static struct sl_value *make_value(struct sl_plan *plan, int32_t layer)
{
    struct sl_value *value = &plan->values[layer];
    value->shape = plan->graph->layers[layer].shape;
    value->shape.n = plan->options.batch;
    value->shape.element = element_of(plan, layer);
    return value;
}

/* One stage for layer i and whatever it takes in; marks the absorbed layers. */
static int make_stage(struct sl_plan *plan, int32_t i, bool *absorbed)
{
    const struct sl_graph *graph = plan->graph;
    const struct sl_layer *layer = &graph->layers[i];
    struct sl_stage *stage = &plan->stages[plan->stage_count];
    *stage =
        (struct sl_stage){.layer = layer, .index = plan->stage_count, .number = i, .input_count = layer->input_count};
    if (!(stage->state = calloc(1, layer->type->state_size ? layer->type->state_size : 1)))
        return sl_fail(SL_SYSTEM, "out of memory for the plan of layer \"%s\"", layer->name);
    for (int32_t k = 0; k < layer->input_count; k++) {
        stage->x[k] = &plan->values[layer->inputs[k]];
        stage->x[k]->kept |= (layer->type->traits & SL_BACKWARD_READS_INPUT) != 0;
    }
    int32_t last = i;
    for (int32_t next; layer->type->absorb && stage->absorbed_count < SL_MAX_ABSORBED; last = next) {
        next = sole_consumer(graph, last);
        if (next < 0 || !layer->type->absorb(stage, &graph->layers[next], plan->options.training))
            break;
        stage->absorbed[stage->absorbed_count++] = &graph->layers[next];
        absorbed[next] = true;
    }
    stage->y = make_value(plan, last);
    plan->producer[last] = plan->stage_count++;
    bind_parameters(plan, stage);
    return SL_OK;
}

int sl_plan_fuse(struct sl_plan *plan)
{
    int rc = SL_OK;
    const int32_t layers = plan->graph->layer_count;
    bool *absorbed = calloc((size_t)layers, sizeof *absorbed);
    if (!absorbed)
        SL_FAIL(SL_SYSTEM, "out of memory for a plan of %d layers", layers);
    for (int32_t i = 0; i < layers; i++)
        plan->producer[i] = -1;
    make_value(plan, 0);
    for (int32_t i = 1; i < layers; i++)
        if (!absorbed[i])
            SL_TRY(make_stage(plan, i, absorbed));
out:
    free(absorbed);
    return rc;
}
