/* Opening and running a plan. */
#include "runtime/plan/plan.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/elementwise/elementwise.h"
#include "runtime/plan/plan_internal.h"

_Static_assert((int)SL_MAX_SIDE <= (int)SL_MAX_LENGTH && (int)SL_MAX_BATCH <= (int)SL_MAX_IMAGES,
               "kernels take every shape that a plan may hold");

static int allocate(struct sl_plan *plan)
{
    const size_t layers = (size_t)plan->graph->layer_count;
    plan->stages = calloc(layers, sizeof *plan->stages);
    plan->values = calloc(layers, sizeof *plan->values);
    plan->producer = calloc(layers, sizeof *plan->producer);
    plan->adds_to = calloc(layers, sizeof *plan->adds_to);
    plan->losses = calloc((size_t)plan->options.batch, sizeof *plan->losses);
    if (!plan->stages || !plan->values || !plan->producer || !plan->adds_to || !plan->losses)
        return sl_fail(SL_SYSTEM, "out of memory for a plan of %zu layers", layers);
    return SL_OK;
}

static int open_plan(const struct sl_graph *graph, struct sl_weights *weights, const struct sl_plan_options *options,
                     struct sl_plan_memory *memory, struct sl_plan **plan)
{
    int rc = SL_OK;
    struct sl_plan *p = NULL;
    if (options->batch < 1 || options->batch > SL_MAX_BATCH)
        SL_FAIL(SL_BAD_CONFIG, "the batch size is %d; it must be 1 to %d", options->batch, SL_MAX_BATCH);
    if (!(p = calloc(1, sizeof *p)))
        SL_FAIL(SL_SYSTEM, "out of memory for a plan");
    *p = (struct sl_plan){.graph = graph, .weights = weights, .device = weights->device, .options = *options};
    SL_TRY(allocate(p));
    SL_TRY(sl_plan_fuse(p));
    SL_TRY(sl_plan_place(p, memory));
    const struct sl_flat any = {1};
    p->accumulate = sl_pick(SL_OP_accumulate, &any, p->device->isa)->kernel;
    *plan = p;
    p = NULL;
out:
    sl_plan_close(p);
    return rc;
}

int sl_plan_open(const struct sl_graph *graph, struct sl_weights *weights, const struct sl_plan_options *options,
                 struct sl_plan **plan)
{
    if (options->training && !weights->gradients)
        return sl_fail(SL_INTERNAL, "a training plan needs weights opened for training");
    return open_plan(graph, weights, options, NULL, plan);
}

int sl_plan_measure(const struct sl_graph *graph, struct sl_weights *weights, const struct sl_plan_options *options,
                    struct sl_plan_memory *memory)
{
    struct sl_plan *plan = NULL;
    const int rc = open_plan(graph, weights, options, memory, &plan);
    sl_plan_close(plan);
    return rc;
}

void sl_plan_close(struct sl_plan *plan)
{
    if (!plan)
        return;
    for (int32_t s = 0; plan->stages && s < plan->stage_count; s++)
        free(plan->stages[s].state);
    plan->device->free(plan->device->self, plan->arena);
    free(plan->stages);
    free(plan->values);
    free(plan->producer);
    free(plan->adds_to);
    free(plan->losses);
    free(plan);
}

int sl_plan_prepare(struct sl_plan *plan)
{
    const struct sl_pass pass = {.device = plan->device, .training = plan->options.training};
    for (int32_t s = 0; s < plan->stage_count; s++) {
        struct sl_stage *stage = &plan->stages[s];
        const int rc = stage->layer->type->prepare ? stage->layer->type->prepare(stage, &pass) : SL_OK;
        if (rc != SL_OK)
            return rc;
    }
    return SL_OK;
}

static int check_input(const struct sl_plan *plan, const struct sl_plan_input *input)
{
    const int32_t classes = sl_graph_classes(plan->graph);
    if (input->count < 1 || input->count > plan->options.batch)
        return sl_fail(SL_INTERNAL, "a batch of %d for a plan of %d", input->count, plan->options.batch);
    if (plan->options.training && !input->labels)
        return sl_fail(SL_INTERNAL, "a training batch without labels");
    for (int32_t i = 0; input->labels && i < input->count; i++)
        if (input->labels[i] < 0 || input->labels[i] >= classes)
            return sl_fail(SL_BAD_DATA, "label %d of a network with %d classes", input->labels[i], classes);
    return SL_OK;
}

int sl_plan_forward(struct sl_plan *plan, const struct sl_plan_input *input)
{
    int rc = SL_OK;
    SL_TRY(check_input(plan, input));
    /* The device only reads it: the cast lets the input be a value like the others. */
    plan->values[0].data = (float *)(uintptr_t)input->images;
    plan->pass = (struct sl_pass){
        .device = plan->device,
        .count = input->count,
        .labels = input->labels,
        .losses = plan->losses,
        .training = plan->options.training,
        .seed = input->seed,
        .iteration = input->iteration,
    };
    for (int32_t s = 0; s < plan->stage_count; s++)
        SL_TRY(plan->stages[s].layer->type->forward(&plan->stages[s], &plan->pass));
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
        const struct sl_flat flat = {(int64_t)sl_tensor_floats(&shape)};
        const struct sl_accumulate args = {plan->stages[s].dx[k], value->grad};
        const int rc = sl_launch(plan->device, plan->accumulate, &flat, &args);
        if (rc != SL_OK)
            return rc;
    }
    return SL_OK;
}

int sl_plan_backward(struct sl_plan *plan)
{
    int rc = SL_OK;
    if (!plan->options.training || !plan->pass.labels)
        SL_FAIL(SL_INTERNAL, "backward without a training forward");
    for (int32_t s = plan->stage_count - 1; s >= 0; s--) {
        SL_TRY(plan->stages[s].layer->type->backward(&plan->stages[s], &plan->pass));
        SL_TRY(add_contributions(plan, s));
    }
out:
    return rc;
}

int sl_plan_commit(struct sl_plan *plan)
{
    int rc = SL_OK;
    for (int32_t s = 0; s < plan->stage_count; s++)
        if (plan->stages[s].layer->type->commit)
            SL_TRY(plan->stages[s].layer->type->commit(&plan->stages[s]));
out:
    return rc;
}

const float *sl_plan_probabilities(const struct sl_plan *plan, int32_t *stride)
{
    const struct sl_value *last = plan->stages[plan->stage_count - 1].y;
    *stride = last->shape.stride;
    return last->data;
}

double sl_plan_mean_loss(const struct sl_plan *plan)
{
    double sum = 0.0;
    for (int32_t i = 0; i < plan->pass.count; i++)
        sum += plan->losses[i];
    return plan->pass.count ? sum / plan->pass.count : 0.0;
}

uint64_t sl_plan_arena_bytes(const struct sl_plan *plan)
{
    return plan->arena_bytes;
}

int sl_plan_print(const struct sl_plan *plan, FILE *to)
{
    for (int32_t s = 0; s < plan->stage_count; s++) {
        const struct sl_stage *stage = &plan->stages[s];
        const struct sl_tensor *y = &stage->y->shape;
        fprintf(to, "stage %-3d %s", s, stage->layer->name);
        for (int32_t a = 0; a < stage->absorbed_count; a++)
            fprintf(to, " + %s", stage->absorbed[a]->name);
        fprintf(to, " -> %d x %d x %d x %d\n", y->n, y->h, y->w, y->c);
    }
    fprintf(to, "arena %.1f MB\n", (double)plan->arena_bytes / 1e6);
    return ferror(to) ? sl_fail(SL_IO, "cannot write the plan") : SL_OK;
}
