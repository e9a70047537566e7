/* The TinyImageNet classifier of DL4J's cookbook, in the style of Darknet-19 (Redmon & Farhadi 2017): convolution,
 * batch norm and leaky ReLU 0.1 blocks, pooled after every second. */
#include "models/models.h"

#include <stdio.h>

static int32_t block(struct sl_graph *graph, int32_t x, int32_t i, int32_t kernel, int32_t filters, bool pool)
{
    char name[4][SL_MAX_NAME + 1];
    static const char *const parts[4] = {"conv", "norm", "act", "pool"};
    for (int k = 0; k < 4; k++)
        snprintf(name[k], sizeof name[k], "%s%d", parts[k], i);
    x = sl_graph_add(graph, name[0], x, SL_CONV2D(.filters = filters, .kernel = {kernel, kernel}));
    x = sl_graph_add(graph, name[1], x, SL_BATCH_NORM());
    x = sl_graph_add(graph, name[2], x, SL_LEAKY_RELU());
    return pool ? sl_graph_add(graph, name[3], x, SL_MAX_POOL(.kernel = {2, 2})) : x;
}

int sl_model_darknet(struct sl_graph *graph, const struct sl_model_options *options)
{
    int32_t x = sl_graph_input(graph, options->image_size, options->image_size, 3);
    x = block(graph, x, 0, 3, 32, false);
    x = block(graph, x, 1, 3, 64, true);
    x = block(graph, x, 2, 2, 128, false);
    x = block(graph, x, 3, 2, 256, true);
    x = block(graph, x, 4, 2, 256, false);
    x = block(graph, x, 5, 2, 512, true);
    x = sl_graph_add(graph, "conv6", x, SL_CONV2D(.filters = options->classes, .kernel = {1, 1}, .bias = true));
    x = sl_graph_add(graph, "gap", x, SL_AVERAGE_POOL(.global = true));
    sl_graph_add(graph, "loss", x, SL_SOFTMAX_NLL());
    return sl_graph_check(graph);
}
