/* A small network with batch norm, as sessions build it. */
#ifndef SL_TESTS_SESSION_NET_H
#define SL_TESTS_SESSION_NET_H

#include "runtime/graph/graph.h"
#include "runtime/graph/layer_options.h"

static inline int build(void *self, int32_t image_size, int32_t classes, struct sl_graph **graph)
{
    int rc = SL_OK;
    (void)self;
    SL_TRY(sl_graph_new("small", graph));
    int32_t x = sl_graph_input(*graph, image_size, image_size, 3);
    x = sl_graph_add(*graph, "conv", x, SL_CONV2D(.filters = 4));
    x = sl_graph_add(*graph, "norm", x, SL_BATCH_NORM());
    x = sl_graph_add(*graph, "act", x, SL_LEAKY_RELU());
    x = sl_graph_add(*graph, "classes", x, SL_CONV2D(.filters = classes, .kernel = {1, 1}, .bias = true));
    x = sl_graph_add(*graph, "gap", x, SL_AVERAGE_POOL(.global = true));
    sl_graph_add(*graph, "loss", x, SL_SOFTMAX_NLL());
out:
    return rc;
}
#endif
