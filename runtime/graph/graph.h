/* A network as layers that feed each other: a directed acyclic graph, built in order, one value per layer.
 *
 * Building keeps its first error, so a model reads like the paper's table and is checked once, at the end:
 *   int32_t x = sl_graph_input(graph, 64, 64, 3);
 *   x = sl_graph_add(graph, "conv0", x, SL_CONV2D(.filters = 32));
 *   ...
 *   return sl_graph_check(graph); */
#ifndef SL_RUNTIME_GRAPH_GRAPH_H
#define SL_RUNTIME_GRAPH_GRAPH_H

#include <stdio.h>

#include "runtime/graph/layer.h"
#include "runtime/graph/layer_options.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sl_graph {
    char name[SL_MAX_NAME + 1];
    int32_t layer_count;
    struct sl_layer *layers; /* in order: a layer comes after its inputs; the first is the input */
    int status;              /* the first error of building */
    char error[512];
};

/* SL_BAD_CONFIG for a name longer than SL_MAX_NAME. */
int sl_graph_new(const char *name, struct sl_graph **graph);
void sl_graph_free(struct sl_graph *graph);

/* The network's input; returns 0, the number of its value, or -1 once building has failed. */
int32_t sl_graph_input(struct sl_graph *graph, int32_t height, int32_t width, int32_t channels);

/* Adds a layer fed by `input` (two inputs: sl_graph_add2); `type` and `options` come from a macro of
 * layer_options.h. Returns the number of its value, or -1. SL_BAD_CONFIG names layer and reason. */
int32_t sl_graph_add(struct sl_graph *graph, const char *name, int32_t input, const char *type, const void *options);
int32_t sl_graph_add2(struct sl_graph *graph, const char *name, int32_t a, int32_t b, const char *type,
                      const void *options);
int32_t sl_graph_add_many(struct sl_graph *graph, const char *name, const int32_t *inputs, int32_t input_count,
                          const char *type, const void *options);

/* The first error of building, or that of a graph that is not one network: it must end in softmax_nll
 * and every value must be used. */
int sl_graph_check(struct sl_graph *graph);

int32_t sl_graph_find(const struct sl_graph *graph, const char *name); /* or -1 */
int32_t sl_graph_classes(const struct sl_graph *graph);
uint64_t sl_graph_parameters(const struct sl_graph *graph); /* running statistics included, as DL4J counts */

/* The table of layers: name, type, output shape, parameters; and the total. */
int sl_graph_print(const struct sl_graph *graph, FILE *to);

#ifdef __cplusplus
}
#endif
#endif
