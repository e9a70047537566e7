/* A session with a tiny network on invented images, for devices that are slow. */
#ifndef SL_TESTS_CUDA_TINY_SESSION_H
#define SL_TESTS_CUDA_TINY_SESSION_H

#include "runtime/graph/graph.h"
#include "runtime/graph/layer_options.h"
#include "runtime/train/session.h"
#include "tests/data_fixture.h"

enum { STEPS = 20, BATCH = 4, CLASSES = 3, IMAGE = 16 };

static inline int32_t block(struct sl_graph *g, int32_t x, const char *const names[4], int32_t kernel, int32_t filters)
{
    x = sl_graph_add(g, names[0], x, SL_CONV2D(.filters = filters, .kernel = {kernel, kernel}));
    x = sl_graph_add(g, names[1], x, SL_BATCH_NORM());
    x = sl_graph_add(g, names[2], x, SL_LEAKY_RELU());
    return sl_graph_add(g, names[3], x, SL_MAX_POOL(.kernel = {2, 2}));
}

static inline int build_tiny(void *self, int32_t image_size, int32_t classes, struct sl_graph **graph)
{
    static const char *const first[] = {"conv0", "norm0", "act0", "pool0"};
    static const char *const second[] = {"conv1", "norm1", "act1", "pool1"};
    (void)self;
    assert_ok(sl_graph_new("tiny", graph));
    int32_t x = sl_graph_input(*graph, image_size, image_size, 3);
    x = block(*graph, x, first, 3, 8);
    x = block(*graph, x, second, 2, 12);
    x = sl_graph_add(*graph, "drop", x, SL_DROPOUT(.rate = 0.2));
    x = sl_graph_add(*graph, "conv2", x, SL_CONV2D(.filters = classes, .kernel = {1, 1}, .bias = true));
    x = sl_graph_add(*graph, "gap", x, SL_AVERAGE_POOL(.global = true));
    sl_graph_add(*graph, "loss", x, SL_SOFTMAX_NLL());
    return sl_graph_check(*graph);
}

static inline struct sl_session_options tiny_options(const struct sl_device *device)
{
    return (struct sl_session_options){
        .data = at("data"),
        .batch_size = BATCH,
        .seed = 3,
        .device = device,
        .schedule = {.count = 1, .rates = {1e-3}},
        .updater = sl_updater_defaults(),
        .flip = true,
        .crop_padding = 2,
        .memory_limit = (uint64_t)1 << 30,
    };
}

static inline void take_steps(struct sl_session *session, int steps, double losses[])
{
    struct sl_session_result result;
    for (int i = 0; i < steps; i++) {
        if (sl_session_epoch_trained(session))
            sl_session_next_epoch(session);
        assert_ok(sl_session_step(session, &result));
        losses[i] = result.loss;
    }
}

static inline float *copy_back(const struct sl_session *session, const float *from, int64_t n)
{
    const struct sl_device *device = &session->device;
    float *to = malloc((size_t)n * sizeof *to);
    assert_non_null(to);
    assert_ok(device->sync(device->self));
    assert_ok(device->copy(device->self, to, from, (size_t)n * sizeof *to));
    return to;
}

/* The images, in ROOT/data. */
static inline int set_up(void **state)
{
    struct sl_dataset *set;
    if (enter(state) != 0)
        return -1;
    put_tree("tree", CLASSES, 10);
    const struct sl_prepare_options options = prepare_options(at("tree"), at("data"));
    assert_ok(sl_prepare(&options, &set));
    sl_dataset_close(set);
    return 0;
}
#endif
