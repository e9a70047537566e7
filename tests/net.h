/* A small network ready to run, for the tests of the runtime. */
#ifndef SL_TESTS_NET_H
#define SL_TESTS_NET_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/elementwise/philox.h"
#include "runtime/graph/layer_type.h"
#include "runtime/device/parallel.h"
#include "runtime/train/train_step.h"
#include "tests/must.h"

struct net {
    struct sl_device device;
    struct sl_graph *graph;
    struct sl_weights *weights;
    struct sl_plan *plan;
    struct sl_updater *updater;
};

/* Takes over the graph and the device. */
static inline void net_open_in(struct net *net, struct sl_graph *graph, int32_t batch, enum sl_element precision,
                               const struct sl_device *device)
{
    const struct sl_plan_options options = {.batch = batch, .training = true, .precision = precision};
    const struct sl_updater_options updater = sl_updater_defaults();
    *net = (struct net){.graph = graph, .device = *device};
    MUST(sl_graph_check(graph));
    MUST(sl_weights_open(graph, &net->device, true, &net->weights));
    MUST(sl_weights_init(net->weights, 11));
    MUST(sl_plan_open(graph, net->weights, &options, &net->plan));
    MUST(sl_updater_open(net->weights, &updater, &net->updater));
}

static inline void net_open_on(struct net *net, struct sl_graph *graph, int32_t batch, const struct sl_device *device)
{
    net_open_in(net, graph, batch, SL_ELEMENT_F32, device);
}

/* On the processor. `isa` limits the kernels: SL_CPU is the reference, whose sums are in double. */
static inline void net_open(struct net *net, struct sl_graph *graph, int32_t batch, uint32_t isa, int threads)
{
    struct sl_device device;
    MUST(sl_device_cpu_open(threads, &device));
    device.isa &= isa;
    net_open_on(net, graph, batch, &device);
}

static inline void net_close(struct net *net)
{
    sl_updater_close(net->updater);
    sl_plan_close(net->plan);
    sl_weights_close(net->weights);
    sl_graph_free(net->graph);
    net->device.close(net->device.self);
}

/* A convolution, batch norm, and four classes of 6 x 6 images. */
static inline struct sl_graph *norm_graph(void)
{
    struct sl_graph *graph;
    MUST(sl_graph_new("norm", &graph));
    int32_t x = sl_graph_input(graph, 6, 6, 3);
    x = sl_graph_add(graph, "conv", x, SL_CONV2D(.filters = 6));
    x = sl_graph_add(graph, "norm", x, SL_BATCH_NORM());
    x = sl_graph_add(graph, "classes", x, SL_CONV2D(.filters = 4, .kernel = {1, 1}, .bias = true));
    x = sl_graph_add(graph, "gap", x, SL_AVERAGE_POOL(.global = true));
    sl_graph_add(graph, "loss", x, SL_SOFTMAX_NLL());
    return graph;
}

/* Numbers in [-1, 1) that depend on (seed, index) alone. */
static inline void fill_uniform(float *x, size_t n, uint64_t seed)
{
    for (size_t i = 0; i < n; i++)
        x[i] = 2.0f * sl_uniform(sl_philox4x32(seed, 1, i).word[0]) - 1.0f;
}

/* A batch for a graph: random images, labels in turn. */
struct batch {
    float *images;
    int32_t *labels;
    int32_t count;
};

static inline struct batch make_batch(const struct sl_graph *graph, int32_t count, uint64_t seed)
{
    const size_t floats = sl_tensor_elements(&graph->layers[0].shape);
    struct batch batch = {.count = count};
    batch.images = malloc((size_t)count * floats * sizeof *batch.images);
    batch.labels = malloc((size_t)count * sizeof *batch.labels);
    assert_true(batch.images && batch.labels);
    fill_uniform(batch.images, (size_t)count * floats, seed);
    for (int32_t i = 0; i < count; i++)
        batch.labels[i] = (i + (int32_t)seed) % sl_graph_classes(graph);
    return batch;
}

static inline void free_batch(struct batch *batch)
{
    free(batch->images);
    free(batch->labels);
}

static inline double forward_loss(struct net *net, const struct batch *batch)
{
    double loss;
    const struct sl_plan_input input = {
        .images = batch->images, .labels = batch->labels, .count = batch->count, .seed = 5, .iteration = 7};
    MUST(sl_plan_forward(net->plan, &input));
    MUST(sl_plan_mean_loss(net->plan, &loss));
    return loss;
}

/* The loss of a batch, and its gradients in net->weights. */
static inline double gradients_of(struct net *net, const struct batch *batch)
{
    const double loss = forward_loss(net, batch);
    MUST(sl_plan_backward(net->plan, NULL));
    return loss;
}

/* The size of the difference of two nets' gradients, by that of `want`. */
static inline double gradient_distance(const struct net *got, const struct net *want)
{
    const float *a = got->weights->gradients, *b = want->weights->gradients;
    double difference = 0.0, size = 0.0;
    for (int64_t i = 0; i < want->weights->trained; i++) {
        difference += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        size += (double)b[i] * b[i];
    }
    return sqrt(difference / size);
}

static inline void train_on(struct net *net, const struct batch *batch, uint64_t iteration)
{
    const struct sl_train_input step = {
        .batch = {.images = batch->images,
                  .labels = batch->labels,
                  .count = batch->count,
                  .seed = 5,
                  .iteration = iteration},
        .rate = 1e-2,
    };
    struct sl_train_result result;
    MUST(sl_train(net->plan, net->updater, &step, NULL, NULL, &result));
}
#endif
