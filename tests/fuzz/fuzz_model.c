/* A model's JSON, or a network's -> graph -> plan within a memory limit; of a small network one training step and one
 * prediction. */
#include <math.h>

#include "runtime/graph/graph_json.h"
#include "kernels/elementwise/philox.h"
#include "runtime/store/model.h"
#include "runtime/device/parallel.h"
#include "runtime/store/model_json.h"
#include "runtime/train/train_step.h"
#include "tests/fuzz/fuzz.h"

/* Larger networks are planned but not run: an input must take milliseconds. */
enum {
    LARGE_BATCH = 64,
    MEMORY_LIMIT = 1 << 20,
    BATCH = 2,
    MOST_LAYERS = 24,
    MOST_FLOATS = 1 << 14,
    MOST_WORK = 1 << 20
};

static bool modest(const struct sl_graph *graph)
{
    uint64_t work = 0;
    for (int32_t i = 0; i < graph->layer_count; i++) {
        const struct sl_layer *layer = &graph->layers[i];
        uint64_t parameters = 1;
        for (int32_t k = 0; k < layer->parameter_count; k++)
            parameters += (uint64_t)sl_parameter_floats(&layer->parameters[k]);
        if (sl_tensor_elements(&layer->shape) > MOST_FLOATS || parameters > MOST_WORK)
            return false;
        work += parameters * (uint64_t)layer->shape.h * (uint64_t)layer->shape.w;
    }
    return graph->layer_count <= MOST_LAYERS && work <= MOST_WORK;
}

static void train_once(struct sl_weights *weights, const float *images)
{
    const struct sl_plan_options options = {.batch = BATCH, .training = true};
    const struct sl_updater_options defaults = sl_updater_defaults();
    static const int32_t labels[BATCH];
    const struct sl_train_input step = {.batch = {.images = images, .labels = labels, .count = BATCH}, .rate = 1e-3};
    struct sl_train_result result = {0};
    struct sl_plan *plan;
    struct sl_updater *updater;
    FUZZ_MUST(sl_plan_open(weights->graph, weights, &options, &plan) == SL_OK);
    FUZZ_MUST(sl_updater_open(weights, &defaults, &updater) == SL_OK);
    const int rc = sl_train(plan, updater, &step, NULL, NULL, &result);
    FUZZ_MUST(rc == SL_OK ? isfinite(result.loss) : rc == SL_NUMERICS);
    sl_updater_close(updater);
    sl_plan_close(plan);
}

static void predict_once(struct sl_weights *weights, const float *images)
{
    const struct sl_plan_options options = {.batch = BATCH};
    const struct sl_plan_input input = {.images = images, .count = BATCH};
    struct sl_plan *plan;
    int32_t stride;
    FUZZ_MUST(sl_plan_open(weights->graph, weights, &options, &plan) == SL_OK);
    FUZZ_MUST(sl_plan_prepare(plan) == SL_OK && sl_plan_forward(plan, &input) == SL_OK);
    const float *p;
    FUZZ_MUST(sl_plan_probabilities(plan, &p, &stride) == SL_OK);
    for (int32_t i = 0; i < BATCH; i++)
        for (int32_t c = 0; c < sl_graph_classes(weights->graph); c++)
            FUZZ_MUST(!(p[i * stride + c] < 0 || p[i * stride + c] > 1.0001f)); /* or not a number */
    sl_plan_close(plan);
}

static void run(struct sl_weights *weights)
{
    const size_t floats = BATCH * sl_tensor_elements(&weights->graph->layers[0].shape);
    float *images = malloc(floats * sizeof *images);
    FUZZ_MUST(images && sl_weights_init(weights, 1) == SL_OK);
    for (size_t i = 0; i < floats; i++)
        images[i] = sl_uniform(sl_philox4x32(1, 1, i).word[0]);
    train_once(weights, images);
    predict_once(weights, images);
    free(images);
}

static void plan_within_limit(struct sl_weights *weights, int32_t batch, bool training)
{
    const struct sl_plan_options options = {.batch = batch, .training = training, .memory_limit = MEMORY_LIMIT};
    struct sl_plan *plan;
    const int rc = sl_plan_open(weights->graph, weights, &options, &plan);
    FUZZ_MUST(rc == SL_OK ? sl_plan_arena_bytes(plan) <= MEMORY_LIMIT : rc == SL_UNAVAILABLE);
    if (rc == SL_OK)
        sl_plan_close(plan);
}

static void plan_and_run(const struct sl_graph *graph, bool reference)
{
    struct sl_device device;
    struct sl_weights *weights;
    FUZZ_MUST(sl_device_cpu_open(1, &device) == SL_OK);
    device.isa = reference ? SL_CPU : device.isa;
    FUZZ_MUST(sl_weights_open(graph, &device, true, &weights) == SL_OK);
    plan_within_limit(weights, LARGE_BATCH, true);
    plan_within_limit(weights, SL_MAX_BATCH, false);
    if (modest(graph))
        run(weights);
    sl_weights_close(weights);
    device.close(device.self);
}

/* What was read is written and read again. */
static void write_and_read(const struct sl_graph *graph)
{
    char *text;
    struct sl_graph *again;
    FUZZ_MUST(sl_graph_to_json(graph, &text) == SL_OK);
    FUZZ_MUST(sl_graph_from_json(text, strlen(text), &again) == SL_OK);
    FUZZ_MUST(again->layer_count == graph->layer_count && sl_graph_parameters(again) == sl_graph_parameters(graph));
    sl_graph_free(again);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct sl_model model = {0};
    const char *text = (const char *)bytes;
    if (sl_model_from_json(text, length, &model) != SL_OK && sl_graph_from_json(text, length, &model.graph) != SL_OK)
        return 0;
    write_and_read(model.graph);
    if (sl_graph_parameters(model.graph) <= MOST_WORK)
        plan_and_run(model.graph, length % 2);
    sl_model_close(&model);
    return 0;
}
