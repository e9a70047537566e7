/* One whole training step against PyTorch in double precision (tests/golden/make_golden.py): loss to 1e-5 relative,
 * every gradient to 1e-4 of its norm, batch statistics, and the weights after one AMSGrad step of DL4J's formula. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "runtime/graph/graph_json.h"
#include "runtime/store/safetensors.h"
#include "runtime/device/parallel.h"
#include "runtime/plan/plan.h"
#include "runtime/train/train_step.h"
#include "tests/must.h"

struct golden {
    struct sl_device device;
    struct sl_safetensors *file;
    struct sl_graph *graph;
    struct sl_weights *weights;
    struct sl_plan *plan;
    struct sl_updater *updater;
};

static size_t floats(const struct sl_named_tensor *tensor)
{
    size_t n = 1;
    for (int32_t d = 0; d < tensor->rank; d++)
        n *= (size_t)tensor->shape[d];
    return n;
}

static const struct sl_named_tensor *find(const struct golden *g, const char *prefix, const char *name)
{
    char full[160];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    const struct sl_named_tensor *tensor = sl_safetensors_find(g->file, full);
    if (!tensor)
        fail_msg("golden file lacks %s", full);
    return tensor;
}

/* |a - b| / |b| in the Euclidean norm. */
static double distance(const float *a, const float *b, size_t n)
{
    double difference = 0.0, size = 0.0;
    for (size_t i = 0; i < n; i++) {
        difference += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        size += (double)b[i] * b[i];
    }
    return sqrt(difference / (size > 0.0 ? size : 1.0));
}

static void open_golden(struct golden *g, const char *name)
{
    char path[512];
    memset(g, 0, sizeof *g);
    MUST(sl_device_cpu_open(2, &g->device));
    snprintf(path, sizeof path, "%s/%s.safetensors", SL_GOLDEN_FOLDER, name);
    MUST(sl_safetensors_open(path, &g->file));
    snprintf(path, sizeof path, "%s/%s.json", SL_GOLDEN_FOLDER, name);
    MUST(sl_graph_from_file(path, &g->graph));
    MUST(sl_weights_open(g->graph, &g->device, true, &g->weights));
    MUST(sl_weights_init(g->weights, 1));
    const struct sl_plan_options options = {.batch = 5, .training = true};
    MUST(sl_plan_open(g->graph, g->weights, &options, &g->plan));
    const struct sl_updater_options updater = sl_updater_defaults();
    MUST(sl_updater_open(g->weights, &updater, &g->updater));
}

static void close_golden(struct golden *g)
{
    sl_updater_close(g->updater);
    sl_plan_close(g->plan);
    sl_weights_close(g->weights);
    sl_graph_free(g->graph);
    sl_safetensors_close(g->file);
    g->device.close(g->device.self);
}

typedef void parameter_fn(const struct golden *g, const char *name, int32_t layer, int32_t k, size_t n);

static void for_each_trained(const struct golden *g, parameter_fn *visit)
{
    for (int32_t i = 0; i < g->graph->layer_count; i++)
        for (int32_t k = 0; k < g->graph->layers[i].parameter_count; k++) {
            const struct sl_parameter *p = &g->graph->layers[i].parameters[k];
            char name[130];
            snprintf(name, sizeof name, "%s.%s", g->graph->layers[i].name, p->name);
            if (p->role != SL_ROLE_STATE)
                visit(g, name, i, k, (size_t)sl_parameter_floats(p));
        }
}

static void load_parameter(const struct golden *g, const char *name, int32_t layer, int32_t k, size_t n)
{
    const struct sl_named_tensor *tensor = find(g, "", name);
    assert_int_equal(floats(tensor), n);
    memcpy(sl_weights_at(g->weights, layer, k), tensor->data, n * sizeof(float));
}

static void check_gradient(const struct golden *g, const char *name, int32_t layer, int32_t k, size_t n)
{
    const double d = distance(sl_weights_gradient(g->weights, layer, k), find(g, "gradient.", name)->data, n);
    if (!(d <= 1e-4))
        fail_msg("gradient of %s is off by %.3g of its norm", name, d);
}

static void check_updated(const struct golden *g, const char *name, int32_t layer, int32_t k, size_t n)
{
    const double d = distance(sl_weights_at(g->weights, layer, k), find(g, "updated.", name)->data, n);
    if (!(d <= 1e-5))
        fail_msg("updated %s is off by %.3g of its norm", name, d);
}

/* Running statistics start at mean 0 and variance 1 and move a tenth of the way to the batch's. */
static void check_statistics(const struct golden *g)
{
    for (int32_t i = 0; i < g->graph->layer_count; i++) {
        const struct sl_layer *layer = &g->graph->layers[i];
        if (layer->parameter_count != 4)
            continue;
        char name[130];
        snprintf(name, sizeof name, "%s.batch_var", layer->name);
        const float *var = find(g, "", name)->data;
        snprintf(name, sizeof name, "%s.batch_mean", layer->name);
        const float *mean = find(g, "", name)->data;
        for (int32_t c = 0; c < layer->shape.c; c++) {
            assert_float_equal(sl_weights_at(g->weights, i, 2)[c], 0.1f * mean[c], 1e-5f);
            assert_float_equal(sl_weights_at(g->weights, i, 3)[c], 0.9f + 0.1f * var[c], 1e-5f);
        }
    }
}

static void one_step_equals_pytorch(const char *name)
{
    struct golden g;
    open_golden(&g, name);
    for_each_trained(&g, load_parameter);
    int32_t labels[4];
    const struct sl_named_tensor *label_tensor = find(&g, "", "labels");
    for (int i = 0; i < 4; i++)
        labels[i] = label_tensor->dtype == SL_I64 ? (int32_t)((const int64_t *)label_tensor->data)[i]
                                                  : ((const int32_t *)label_tensor->data)[i];
    const struct sl_train_input step = {
        .batch = {.images = find(&g, "", "input")->data, .labels = labels, .count = 4, .seed = 1},
        .rate = 8e-3,
    };
    struct sl_train_result result;
    MUST(sl_train(g.plan, g.updater, &step, NULL, NULL, &result));
    const double loss = *(const float *)find(&g, "", "loss")->data;
    if (!(fabs(result.loss - loss) <= 1e-5 * fabs(loss)))
        fail_msg("loss %.9g, PyTorch's %.9g", result.loss, loss);
    for_each_trained(&g, check_gradient);
    for_each_trained(&g, check_updated);
    check_statistics(&g);
    close_golden(&g);
}

static void darknet(void **state)
{
    (void)state;
    one_step_equals_pytorch("darknet_tiny");
}

static void residual(void **state)
{
    (void)state;
    one_step_equals_pytorch("residual");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(darknet), cmocka_unit_test(residual)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
