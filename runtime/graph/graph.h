/* A network as layers that feed each other: a directed graph without cycles, built in order. Each layer makes one
 * value, and a layer's number is its value's number.
 *
 * Building keeps its first error, so that a model reads like the paper's table and is checked once, at its end:
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

/* A network without layers. SL_BAD_CONFIG: the name is longer than SL_MAX_NAME. SL_SYSTEM. */
int sl_graph_new(const char *name, struct sl_graph **graph);
void sl_graph_free(struct sl_graph *graph);

/* The network's input, an image. Returns 0, the number of its value, or -1 once building has failed. */
int32_t sl_graph_input(struct sl_graph *graph, int32_t height, int32_t width, int32_t channels);

/* Adds a layer fed by `input`. A macro of layer_options.h stands for `type` and `options`. Returns the number of its
 * value, or -1; then sl_graph_check names the layer and the reason. _add2 takes two inputs, _add_many any number. */
int32_t sl_graph_add(struct sl_graph *graph, const char *name, int32_t input, const char *type, const void *options);
int32_t sl_graph_add2(struct sl_graph *graph, const char *name, int32_t a, int32_t b, const char *type,
                      const void *options);
int32_t sl_graph_add_many(struct sl_graph *graph, const char *name, const int32_t *inputs, int32_t input_count,
                          const char *type, const void *options);

/* The first error of building. SL_BAD_CONFIG as well where the graph is not one network: it must end in softmax_nll,
 * and every value must be read. */
int sl_graph_check(struct sl_graph *graph);

int32_t sl_graph_find(const struct sl_graph *graph, const char *name); /* the layer's number, or -1 */
int32_t sl_graph_classes(const struct sl_graph *graph);                /* channels of the last value */
uint64_t sl_graph_parameters(const struct sl_graph *graph);            /* floats, with running statistics, as in DL4J */

/* Prints a table: name, type, output shape and parameters of each layer, and the total. SL_IO. */
int sl_graph_print(const struct sl_graph *graph, FILE *to);

#ifdef __cplusplus
}
#endif
#endif
