/* A small residual network (He et al. 2016, basic blocks): a 3 x 3 stem of 32 channels, then stages of 32, 64 and 128
 * channels, two blocks each; the first block of a later stage halves the image and projects its shortcut. */
#include "models/models.h"

#include <stdio.h>

static int32_t conv_norm(struct sl_graph *graph, int32_t x, const char *name, int32_t kernel, int32_t stride,
                         int32_t filters)
{
    char conv[SL_MAX_NAME + 1], norm[SL_MAX_NAME + 1];
    snprintf(conv, sizeof conv, "%s.conv", name);
    snprintf(norm, sizeof norm, "%s.norm", name);
    x = sl_graph_add(graph, conv, x,
                     SL_CONV2D(.filters = filters, .kernel = {kernel, kernel}, .stride = {stride, stride}));
    return sl_graph_add(graph, norm, x, SL_BATCH_NORM());
}

static int32_t basic_block(struct sl_graph *graph, int32_t x, int32_t stage, int32_t i, int32_t filters, int32_t stride)
{
    char name[5][32];
    static const char *const parts[5] = {"a", "b", "shortcut", "add", "relu"};
    for (int k = 0; k < 5; k++)
        snprintf(name[k], sizeof name[k], "stage%d.%d.%s", stage, i, parts[k]);
    char relu_a[40];
    snprintf(relu_a, sizeof relu_a, "%s.relu", name[0]);
    int32_t y = conv_norm(graph, x, name[0], 3, stride, filters);
    y = sl_graph_add(graph, relu_a, y, SL_RELU());
    y = conv_norm(graph, y, name[1], 3, 1, filters);
    const int32_t shortcut = stride == 1 ? x : conv_norm(graph, x, name[2], 1, stride, filters);
    y = sl_graph_add2(graph, name[3], y, shortcut, SL_ADD());
    return sl_graph_add(graph, name[4], y, SL_RELU());
}

int sl_model_residual(struct sl_graph *graph, const struct sl_model_options *options)
{
    int32_t x = sl_graph_input(graph, options->image_size, options->image_size, 3);
    x = conv_norm(graph, x, "stem", 3, 1, 32);
    x = sl_graph_add(graph, "stem.relu", x, SL_RELU());
    x = sl_graph_add(graph, "stem.pool", x, SL_MAX_POOL(.kernel = {2, 2}));
    for (int32_t stage = 0; stage < 3; stage++)
        for (int32_t i = 0; i < 2; i++)
            x = basic_block(graph, x, stage, i, 32 << stage, stage > 0 && i == 0 ? 2 : 1);
    x = sl_graph_add(graph, "gap", x, SL_AVERAGE_POOL(.global = true));
    x = sl_graph_add(graph, "fc", x, SL_DENSE(.units = options->classes));
    sl_graph_add(graph, "loss", x, SL_SOFTMAX_NLL());
    return sl_graph_check(graph);
}
