/* Opening and running a plan. */
#include "runtime/plan/plan.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/elementwise/elementwise.h"
#include "kernels/elementwise/flat.h"
#include "runtime/device/parallel.h"
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

static const struct sl_value *last_value(const struct sl_plan *plan)
{
    return plan->stages[plan->stage_count - 1].y;
}

/* A copy of the host's, where it cannot read the device's memory. */
static int reserve_probabilities(struct sl_plan *plan)
{
    if (plan->device->host_memory)
        return SL_OK;
    plan->probabilities = calloc(sl_tensor_elements(&last_value(plan)->shape), sizeof *plan->probabilities);
    return plan->probabilities ? SL_OK : sl_fail(SL_SYSTEM, "out of memory for the probabilities of a batch");
}

static void do_nothing(void *self, const struct sl_work *work)
{
    (void)self, (void)work;
}

/* Where memory is the device's own, scratch is taken with the rest of it, not when there may be none left. */
static int reserve_scratch(const struct sl_plan *plan)
{
    const struct sl_device *device = plan->device;
    return device->host_memory ? SL_OK : device->fork(device->self, 1, plan->scratch_bytes, do_nothing, NULL);
}

static int open_to_run(struct sl_plan *plan)
{
    int rc = SL_OK;
    SL_TRY(reserve_scratch(plan));
    SL_TRY(reserve_probabilities(plan));
    SL_TRY(sl_plan_open_feed(plan));
    plan->records = plan->options.training && plan->device->record_begin;
out:
    return rc;
}

int sl_plan_open(const struct sl_graph *graph, struct sl_weights *weights, const struct sl_plan_options *options,
                 struct sl_plan **plan)
{
    int rc = SL_OK;
    struct sl_plan *p = NULL;
    if (options->batch < 1 || options->batch > SL_MAX_BATCH)
        SL_FAIL(SL_BAD_CONFIG, "the batch size is %d; it must be 1 to %d", options->batch, SL_MAX_BATCH);
    if (options->training && !options->dry && !weights->gradients)
        SL_FAIL(SL_INTERNAL, "a training plan needs weights opened for training");
    if (!(p = calloc(1, sizeof *p)))
        SL_FAIL(SL_SYSTEM, "out of memory for a plan");
    *p = (struct sl_plan){.graph = graph, .weights = weights, .device = weights->device, .options = *options};
    SL_TRY(allocate(p));
    SL_TRY(sl_plan_fuse(p));
    SL_TRY(sl_plan_list_parts(p));
    SL_TRY(sl_plan_place(p));
    if (!options->dry)
        SL_TRY(open_to_run(p));
    *plan = p;
    p = NULL;
out:
    sl_plan_close(p);
    return rc;
}

struct sl_plan_memory sl_plan_memory_of(const struct sl_plan *plan)
{
    struct sl_plan_memory memory = {
        .arena = sl_plan_arena_bytes(plan) + sl_plan_feed_bytes(plan),
        .scratch = sl_parallel_scratch(plan->device, plan->scratch_bytes),
        .host = sl_plan_host_bytes(plan),
    };
    memcpy(memory.largest, plan->largest, sizeof memory.largest);
    return memory;
}

int sl_plan_measure(const struct sl_graph *graph, struct sl_weights *weights, const struct sl_plan_options *options,
                    struct sl_plan_memory *memory)
{
    struct sl_plan *plan = NULL;
    struct sl_plan_options dry = *options;
    dry.dry = true;
    const int rc = sl_plan_open(graph, weights, &dry, &plan);
    if (rc == SL_OK)
        *memory = sl_plan_memory_of(plan);
    sl_plan_close(plan);
    return rc;
}

void sl_plan_close(struct sl_plan *plan)
{
    if (!plan)
        return;
    sl_plan_close_feed(plan); /* waits for what is at work */
    sl_plan_forget(plan);
    for (size_t i = 0; i < plan->choice_count; i++)
        sl_choice_close(plan->choices[i].choice);
    for (int32_t s = 0; plan->stages && s < plan->stage_count; s++)
        free(plan->stages[s].state);
    if (!plan->shares)
        plan->device->free(plan->device->self, plan->arena);
    free(plan->kept);
    free(plan->choices);
    free(plan->parts);
    free(plan->probabilities);
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
    assert(!plan->options.dry);
    for (int32_t s = 0; s < plan->stage_count; s++) {
        struct sl_stage *stage = &plan->stages[s];
        const int rc = stage->layer->type->prepare ? stage->layer->type->prepare(stage, &pass) : SL_OK;
        if (rc != SL_OK)
            return rc;
    }
    return SL_OK;
}

static int convert(struct sl_plan *plan)
{
    const struct sl_tensor *image = &plan->values[0].shape;
    const struct sl_plan_conversion *c = &plan->conversion;
    const struct sl_image bytes = {image->h, image->w, image->h, image->w, c->count, image->element};
    const struct sl_flat floats = {.n = (int64_t)(sl_tensor_elements(image) / (size_t)image->n) * c->count};
    switch (c->kind) {
    case SL_CONVERT_BYTES:
        return sl_launch_image_to_float(&plan->operations.image_to_float, &bytes, &c->bytes);
    case SL_CONVERT_FLOATS:
        return sl_launch_to_bf16(&plan->operations.to_bf16, &floats, &c->floats);
    case SL_CONVERT_NOTHING:
        break;
    }
    return SL_OK;
}

int sl_plan_run(struct sl_plan *plan)
{
    const struct sl_device *device = plan->device;
    int rc = convert(plan);
    sl_range_push(device, "forward");
    for (int32_t s = 0; rc == SL_OK && s < plan->stage_count; s++) {
        sl_range_push(device, plan->stages[s].layer->name);
        rc = plan->stages[s].layer->type->forward(&plan->stages[s], &plan->pass);
        sl_range_pop(device);
    }
    sl_range_pop(device);
    return rc;
}

int sl_plan_forward(struct sl_plan *plan, const struct sl_plan_input *input)
{
    int rc = SL_OK;
    SL_TRY(sl_plan_load(plan, input));
    rc = sl_plan_run(plan);
    const int left = sl_plan_leave(plan); /* whatever came of it */
    rc = rc == SL_OK ? left : rc;
out:
    return rc;
}

int sl_plan_judge(struct sl_plan *plan)
{
    const struct sl_weights *w = plan->weights;
    struct sl_plan_operations *o = &plan->operations;
    const struct sl_flat weights = {.n = w->decayed}, gradients = {.n = w->trained};
    const struct sl_judge_shape shape = {plan->pass.count, sl_flat_units(w->decayed), sl_flat_units(w->trained),
                                         SL_ELEMENT_F32};
    const struct sl_judge judge = {plan->buffers.losses, plan->buffers.sums, plan->buffers.sums + shape.weights,
                                   plan->buffers.now};
    const struct sl_sum_squares of_weights = {w->values, plan->buffers.sums};
    const struct sl_sum_squares of_gradients = {w->gradients, plan->buffers.sums + shape.weights};
    int rc = SL_OK;
    sl_range_push(plan->device, "judge");
    if (weights.n > 0)
        SL_TRY(sl_launch_sum_squares(&o->sum_squares, &weights, &of_weights));
    SL_TRY(sl_launch_sum_squares(&o->sum_squares, &gradients, &of_gradients));
    SL_TRY(sl_launch_judge(&o->judge, &shape, &judge));
out:
    sl_range_pop(plan->device);
    return rc;
}

int sl_plan_commit(struct sl_plan *plan)
{
    int rc = SL_OK;
    sl_range_push(plan->device, "commit");
    for (int32_t s = 0; plan->pass.count > 0 && s < plan->stage_count; s++)
        if (plan->stages[s].layer->type->commit)
            SL_TRY(plan->stages[s].layer->type->commit(&plan->stages[s], &plan->pass));
out:
    sl_range_pop(plan->device);
    return rc;
}

struct sl_now *sl_plan_now(const struct sl_plan *plan)
{
    return plan->buffers.now;
}

/* Waits for the device, then copies. */
static int read_back(struct sl_plan *plan, void *to, const void *from, size_t bytes)
{
    const struct sl_device *device = plan->device;
    const int rc = device->sync(device->self);
    return rc == SL_OK ? device->copy(device->self, to, from, bytes) : rc;
}

int sl_plan_read_now(struct sl_plan *plan, struct sl_now *now)
{
    int slot;
    if (!plan->device->mark)
        return read_back(plan, now, plan->buffers.now, sizeof *now);
    const int rc = sl_plan_fetch(plan, &slot);
    return rc == SL_OK ? sl_plan_fetched(plan, slot, now) : rc;
}

int sl_plan_probabilities(struct sl_plan *plan, const float **p, int32_t *stride)
{
    const struct sl_value *last = last_value(plan);
    assert(last->shape.element == SL_ELEMENT_F32);
    *stride = last->shape.stride;
    *p = plan->device->host_memory ? last->data : plan->probabilities;
    if (plan->device->host_memory)
        return plan->device->sync(plan->device->self);
    return read_back(plan, plan->probabilities, last->data,
                     (size_t)plan->pass.count * (size_t)last->shape.stride * sizeof(float));
}

int sl_plan_mean_loss(struct sl_plan *plan, double *loss)
{
    double sum = 0.0;
    const int rc = read_back(plan, plan->losses, plan->buffers.losses, (size_t)plan->pass.count * sizeof *plan->losses);
    for (int32_t i = 0; rc == SL_OK && i < plan->pass.count; i++)
        sum += plan->losses[i];
    *loss = plan->pass.count ? sum / plan->pass.count : 0.0;
    return rc;
}

uint64_t sl_plan_arena_bytes(const struct sl_plan *plan)
{
    return plan->shares ? 0 : plan->arena_bytes;
}

size_t sl_plan_choices(const struct sl_plan *plan, const struct sl_plan_choice **choices)
{
    *choices = plan->choices;
    return plan->choice_count;
}
