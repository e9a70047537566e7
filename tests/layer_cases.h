/* Every layer type in small networks: one case for each way that a plan treats it differently. */
#ifndef SL_TESTS_LAYER_CASES_H
#define SL_TESTS_LAYER_CASES_H

#include "tests/net.h"

typedef int32_t body_fn(struct sl_graph *g, int32_t x);

struct layer_case {
    const char *row; /* of layers.def */
    const char *name;
    body_fn *body;
    int32_t height, width, channels;
};

static int32_t conv(struct sl_graph *g, const char *name, int32_t x, int32_t filters)
{
    return sl_graph_add(g, name, x, SL_CONV2D(.filters = filters, .bias = true));
}

static int32_t conv_strided(struct sl_graph *g, int32_t x)
{
    x = sl_graph_add(g, "a", x, SL_CONV2D(.filters = 5, .kernel = {3, 2}, .bias = true));
    return sl_graph_add(
        g, "b", x,
        SL_CONV2D(.filters = 17, .kernel = {3, 2}, .stride = {2, 3}, .padding = {SL_PADDING_EXPLICIT, 1, 0, 2, 1}));
}

static int32_t conv_two_consumers(struct sl_graph *g, int32_t x)
{
    x = conv(g, "a", x, 4);
    const int32_t left = sl_graph_add(g, "left", x, SL_CONV2D(.filters = 6, .kernel = {1, 1}));
    const int32_t right = sl_graph_add(g, "right", x, SL_CONV2D(.filters = 6, .kernel = {2, 2}));
    return sl_graph_add2(g, "sum", left, right, SL_ADD());
}

static int32_t norm_of_sum(struct sl_graph *g, int32_t x)
{
    x = conv(g, "a", x, 5);
    x = sl_graph_add2(g, "twice", x, x, SL_ADD());
    return sl_graph_add(g, "norm", x, SL_BATCH_NORM(.epsilon = 1e-2));
}

static int32_t norm_fused(struct sl_graph *g, int32_t x)
{
    x = sl_graph_add(g, "conv", x, SL_CONV2D(.filters = 5));
    x = sl_graph_add(g, "norm", x, SL_BATCH_NORM());
    x = sl_graph_add(g, "act", x, SL_LEAKY_RELU());
    return sl_graph_add(g, "pool", x, SL_MAX_POOL(.kernel = {2, 2}));
}

static int32_t norm_of_image(struct sl_graph *g, int32_t x)
{
    x = sl_graph_add(g, "norm", x, SL_BATCH_NORM());
    return conv(g, "conv", x, 4);
}

static int32_t norm_of_dense(struct sl_graph *g, int32_t x)
{
    x = sl_graph_add(g, "dense", x, SL_DENSE(.units = 6));
    x = sl_graph_add(g, "norm", x, SL_BATCH_NORM(.epsilon = 1e-1));
    return sl_graph_add(g, "act", x, SL_LEAKY_RELU(.slope = 0.3));
}

static int32_t leaky_on_branch(struct sl_graph *g, int32_t x)
{
    x = conv(g, "a", x, 5);
    const int32_t y = sl_graph_add(g, "leaky", x, SL_LEAKY_RELU(.slope = 0.2));
    return sl_graph_add2(g, "sum", x, y, SL_ADD());
}

static int32_t relu_on_branch(struct sl_graph *g, int32_t x)
{
    x = conv(g, "a", x, 5);
    const int32_t y = sl_graph_add(g, "relu", x, SL_RELU());
    return sl_graph_add2(g, "sum", y, x, SL_ADD());
}

static int32_t relu_of_image(struct sl_graph *g, int32_t x)
{
    return conv(g, "a", sl_graph_add(g, "relu", x, SL_RELU()), 4);
}

static int32_t max_pool_overlapping(struct sl_graph *g, int32_t x)
{
    x = conv(g, "a", x, 5);
    return sl_graph_add(g, "pool", x, SL_MAX_POOL(.kernel = {3, 3}, .stride = {2, 1}));
}

static int32_t max_pool_padded(struct sl_graph *g, int32_t x)
{
    x = conv(g, "a", x, 5);
    return sl_graph_add(g, "pool", x, SL_MAX_POOL(.kernel = {3, 2}, .padding = {SL_PADDING_EXPLICIT, 2, 1, 0, 1}));
}

static int32_t average_pool_windows(struct sl_graph *g, int32_t x)
{
    x = conv(g, "a", x, 5);
    return sl_graph_add(g, "pool", x, SL_AVERAGE_POOL(.kernel = {3, 2}, .stride = {2, 1}));
}

static int32_t average_pool_global(struct sl_graph *g, int32_t x)
{
    return sl_graph_add(g, "pool", conv(g, "a", x, 19), SL_AVERAGE_POOL(.global = true));
}

static int32_t dense_twice(struct sl_graph *g, int32_t x)
{
    x = sl_graph_add(g, "a", x, SL_DENSE(.units = 9));
    x = sl_graph_add(g, "b", x, SL_DENSE(.units = 7, .no_bias = true));
    return sl_graph_add(g, "c", x, SL_DENSE(.units = 18));
}

static int32_t add_three(struct sl_graph *g, int32_t x)
{
    const int32_t a = conv(g, "a", x, 5), b = conv(g, "b", a, 5);
    const int32_t inputs[3] = {a, b, a};
    return sl_graph_add_many(g, "sum", inputs, 3, SL_ADD());
}

static int32_t add_of_image(struct sl_graph *g, int32_t x)
{
    return conv(g, "a", sl_graph_add2(g, "sum", x, x, SL_ADD()), 4);
}

static int32_t concat_unaligned(struct sl_graph *g, int32_t x)
{
    const int32_t a = conv(g, "a", x, 5), b = conv(g, "b", x, 17);
    const int32_t inputs[4] = {a, x, b, a};
    return conv(g, "after", sl_graph_add_many(g, "concat", inputs, 4, SL_CONCAT()), 3);
}

static int32_t dropout_between(struct sl_graph *g, int32_t x)
{
    x = sl_graph_add(g, "first", conv(g, "a", x, 5), SL_DROPOUT(.rate = 0.3));
    return sl_graph_add(g, "second", conv(g, "b", x, 5), SL_DROPOUT());
}

static int32_t dropout_of_image(struct sl_graph *g, int32_t x)
{
    return conv(g, "a", sl_graph_add(g, "drop", x, SL_DROPOUT(.rate = 0.2)), 4);
}

/* A small branch beside the layers: its value and gradient lie in the arena among their buffers. */
static int32_t beside(struct sl_graph *g, int32_t x, body_fn *body)
{
    const int32_t side = sl_graph_add(g, "side", x, SL_DENSE(.units = 3));
    return sl_graph_add2(g, "merged", side, sl_graph_add(g, "main", body(g, x), SL_DENSE(.units = 5)), SL_CONCAT());
}

static int32_t norm_fused_beside(struct sl_graph *g, int32_t x)
{
    return beside(g, x, norm_fused);
}

/* The branch stands between the norm and its input, so that its gradient is alive in the norm's backward pass. */
static int32_t norm_of_sum_beside(struct sl_graph *g, int32_t x)
{
    x = conv(g, "a", x, 5);
    x = sl_graph_add2(g, "twice", x, x, SL_ADD());
    const int32_t side = sl_graph_add(g, "side", x, SL_DENSE(.units = 3));
    x = sl_graph_add(g, "norm", x, SL_BATCH_NORM());
    return sl_graph_add2(g, "merged", side, sl_graph_add(g, "main", x, SL_DENSE(.units = 5)), SL_CONCAT());
}

static int32_t nothing(struct sl_graph *g, int32_t x)
{
    (void)g;
    return x;
}

static int32_t residual_block(struct sl_graph *g, int32_t x)
{
    x = sl_graph_add(g, "stem", x, SL_CONV2D(.filters = 6));
    x = sl_graph_add(g, "stem.norm", x, SL_BATCH_NORM());
    x = sl_graph_add(g, "stem.relu", x, SL_RELU());
    int32_t y = sl_graph_add(g, "conv", x, SL_CONV2D(.filters = 6, .stride = {2, 2}));
    y = sl_graph_add(g, "norm", y, SL_BATCH_NORM());
    int32_t s = sl_graph_add(g, "shortcut", x, SL_CONV2D(.filters = 6, .kernel = {1, 1}, .stride = {2, 2}));
    s = sl_graph_add(g, "shortcut.norm", s, SL_BATCH_NORM());
    return sl_graph_add(g, "relu", sl_graph_add2(g, "sum", y, s, SL_ADD()), SL_RELU());
}

static const struct layer_case cases[] = {
    {"conv2d", "strided, padded unevenly", conv_strided, 7, 5, 3},
    {"conv2d", "two consumers", conv_two_consumers, 5, 3, 3},
    {"conv2d", "a 1 x 1 image", conv_strided, 1, 1, 3},
    {"batch_norm", "of a sum", norm_of_sum, 3, 5, 3},
    {"batch_norm", "convolution, norm, leaky ReLU, pool", norm_fused, 8, 6, 3},
    {"batch_norm", "odd sizes", norm_fused, 7, 5, 3},
    {"batch_norm", "of the image", norm_of_image, 4, 3, 3},
    {"batch_norm", "of a dense layer", norm_of_dense, 3, 2, 3},
    {"batch_norm", "residual block", residual_block, 5, 5, 3},
    {"batch_norm", "fused, beside a branch", norm_fused_beside, 6, 6, 1},
    {"batch_norm", "of a sum, beside a branch", norm_of_sum_beside, 3, 3, 3},
    {"leaky_relu", "on a branch", leaky_on_branch, 5, 3, 3},
    {"relu", "on a branch", relu_on_branch, 5, 3, 3},
    {"relu", "of the image", relu_of_image, 5, 3, 3},
    {"max_pool", "overlapping", max_pool_overlapping, 7, 5, 3},
    {"max_pool", "padded unevenly", max_pool_padded, 7, 5, 3},
    {"average_pool", "windows", average_pool_windows, 7, 5, 3},
    {"average_pool", "global", average_pool_global, 5, 3, 3},
    {"dense", "on an image and on a vector", dense_twice, 4, 3, 3},
    {"dense", "on a vector only", dense_twice, 1, 1, 21},
    {"add", "three inputs, one twice", add_three, 5, 3, 3},
    {"add", "of the image", add_of_image, 5, 3, 3},
    {"concat", "unaligned channels, one input twice", concat_unaligned, 5, 3, 3},
    {"dropout", "two layers", dropout_between, 5, 3, 3},
    {"dropout", "of the image", dropout_of_image, 5, 3, 3},
    {"softmax_nll", "nothing else", nothing, 3, 2, 3},
};
enum { CASES = sizeof cases / sizeof *cases, CLASSES = 5 };

static struct sl_graph *build(const struct layer_case *c)
{
    struct sl_graph *graph;
    MUST(sl_graph_new(c->name, &graph));
    const int32_t x = c->body(graph, sl_graph_input(graph, c->height, c->width, c->channels));
    sl_graph_add(graph, "loss", sl_graph_add(graph, "classes", x, SL_DENSE(.units = CLASSES)), SL_SOFTMAX_NLL());
    if (sl_graph_check(graph) != SL_OK)
        fail_msg("%s, %s: %s", c->row, c->name, sl_last_error());
    return graph;
}
#endif
