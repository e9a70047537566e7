/* Opening and running a plan. */
#include "runtime/plan/plan.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/convert/convert.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/elementwise/flat.h"
#include "runtime/device/parallel.h"
#include "runtime/plan/plan_internal.h"
#include "runtime/plan/precision.h"

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
    plan->places = calloc((size_t)plan->options.batch, sizeof *plan->places);
    if (!plan->stages || !plan->values || !plan->producer || !plan->adds_to || !plan->losses || !plan->places)
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
        SL_TRY(reserve_probabilities(p));
    *plan = p;
    p = NULL;
out:
    sl_plan_close(p);
    return rc;
}

struct sl_plan_memory sl_plan_memory_of(const struct sl_plan *plan)
{
    struct sl_plan_memory memory = {
        .arena = sl_plan_arena_bytes(plan),
        .scratch = sl_parallel_scratch(plan->device, plan->scratch_bytes),
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
    free(plan->places);
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

static int copy(const struct sl_plan *plan, void *to, const void *from, size_t bytes)
{
    return plan->device->copy(plan->device->self, to, from, bytes);
}

/* To the memory of the device: one image after the other, where it cannot read the host's. */
static int take_pixels(struct sl_plan *plan, const struct sl_plan_pixels *pixels, int32_t count, const uint8_t **bytes)
{
    const struct sl_tensor *image = &plan->values[0].shape;
    const size_t size = (size_t)image->h * (size_t)image->w * (size_t)image->c;
    int rc = SL_OK;
    memcpy(plan->places, pixels->places, (size_t)count * sizeof *plan->places);
    *bytes = pixels->bytes;
    for (int32_t i = 0; plan->buffers.pixels && i < count; i++) {
        const uint8_t *from = pixels->bytes + (size_t)pixels->places[i].index * size;
        SL_TRY(copy(plan, plan->buffers.pixels + (size_t)i * size, from, size));
        plan->places[i].index = i;
        *bytes = plan->buffers.pixels;
    }
    SL_TRY(copy(plan, plan->buffers.places, plan->places, (size_t)count * sizeof *plan->places));
out:
    return rc;
}

static int convert_pixels(struct sl_plan *plan, const struct sl_plan_pixels *pixels, int32_t count)
{
    const struct sl_tensor *image = &plan->values[0].shape;
    const struct sl_image shape = {image->h, image->w, image->h, image->w, count, image->element};
    struct sl_image_to_float args = {.places = plan->buffers.places, .y = plan->buffers.images};
    int rc = SL_OK;
    if (image->c != 3)
        SL_FAIL(SL_INTERNAL, "a network of %d channels does not take images of bytes", image->c);
    memcpy(args.scale, pixels->scale, sizeof args.scale);
    memcpy(args.shift, pixels->shift, sizeof args.shift);
    SL_TRY(take_pixels(plan, pixels, count, &args.x));
    SL_TRY(sl_launch_image_to_float(&plan->operations.image_to_float, &shape, &args));
out:
    return rc;
}

/* Floats, rounded to the input's element. */
static int round_images(struct sl_plan *plan, const float *images, size_t floats)
{
    const struct sl_flat shape = {.n = (int64_t)floats};
    struct sl_to_bf16 args = {.x = images, .y = plan->buffers.images};
    int rc = SL_OK;
    if (plan->buffers.floats) {
        SL_TRY(copy(plan, plan->buffers.floats, images, floats * sizeof *images));
        args.x = plan->buffers.floats;
    }
    SL_TRY(sl_launch_to_bf16(&plan->operations.to_bf16, &shape, &args));
out:
    return rc;
}

/* Images as the first layer reads them. A device that reads the host's memory needs no copy of floats: it only reads,
 * and the cast lets the input be a value like the others. */
static int take_images(struct sl_plan *plan, const struct sl_plan_input *input)
{
    struct sl_value *value = &plan->values[0];
    struct sl_tensor shape = value->shape;
    shape.n = input->count;
    value->data = plan->buffers.images;
    if (!input->images)
        return convert_pixels(plan, input->pixels, input->count);
    if (shape.element == SL_ELEMENT_BF16)
        return round_images(plan, input->images, sl_tensor_elements(&shape));
    if (!plan->device->host_memory)
        return copy(plan, plan->buffers.images, input->images, sl_tensor_bytes(&shape));
    value->data = (void *)(uintptr_t)input->images;
    return SL_OK;
}

int sl_plan_take_scalars(struct sl_plan *plan, const struct sl_plan_input *input)
{
    const struct sl_now now = {.iteration = input->iteration, .seed = input->seed, .rate = input->rate};
    int rc = SL_OK;
    SL_TRY(copy(plan, plan->buffers.now, &now, sizeof now));
    if (input->labels)
        SL_TRY(copy(plan, plan->buffers.labels, input->labels, (size_t)input->count * sizeof *input->labels));
    plan->pass = (struct sl_pass){
        .device = plan->device,
        .count = input->count,
        .labels = input->labels ? plan->buffers.labels : NULL,
        .losses = plan->buffers.losses,
        .now = plan->buffers.now,
        .training = plan->options.training,
    };
out:
    return rc;
}

int sl_plan_forward(struct sl_plan *plan, const struct sl_plan_input *input)
{
    int rc = SL_OK;
    assert(!plan->options.dry);
    SL_TRY(check_input(plan, input));
    SL_TRY(sl_plan_take_scalars(plan, input));
    SL_TRY(take_images(plan, input));
    for (int32_t s = 0; s < plan->stage_count; s++)
        SL_TRY(plan->stages[s].layer->type->forward(&plan->stages[s], &plan->pass));
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
    if (weights.n > 0)
        SL_TRY(sl_launch_sum_squares(&o->sum_squares, &weights, &of_weights));
    SL_TRY(sl_launch_sum_squares(&o->sum_squares, &gradients, &of_gradients));
    SL_TRY(sl_launch_judge(&o->judge, &shape, &judge));
out:
    return rc;
}

int sl_plan_commit(struct sl_plan *plan)
{
    int rc = SL_OK;
    for (int32_t s = 0; plan->pass.count > 0 && s < plan->stage_count; s++)
        if (plan->stages[s].layer->type->commit)
            SL_TRY(plan->stages[s].layer->type->commit(&plan->stages[s], &plan->pass));
out:
    return rc;
}

struct sl_now *sl_plan_now(const struct sl_plan *plan)
{
    return plan->buffers.now;
}

/* Waits for the device, then copies. */
static int read_back(struct sl_plan *plan, void *to, const void *from, size_t bytes)
{
    const int rc = plan->device->sync(plan->device->self);
    return rc == SL_OK ? copy(plan, to, from, bytes) : rc;
}

int sl_plan_read_now(struct sl_plan *plan, struct sl_now *now)
{
    return read_back(plan, now, plan->buffers.now, sizeof *now);
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
