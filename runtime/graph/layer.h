/* A layer of a graph, and its parameters. */
#ifndef SL_RUNTIME_GRAPH_LAYER_H
#define SL_RUNTIME_GRAPH_LAYER_H

#include "runtime/graph/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    SL_MAX_INPUTS = 8,
    SL_MAX_PARAMETERS = 4, /* of one layer */
    SL_MAX_LAYERS = 1024,
    SL_MAX_NAME = 63,
    SL_MAX_SIDE = 16384, /* rows, columns or channels of a value */
};

/* What a parameter is to the optimizer and to the files. */
enum sl_parameter_role {
    SL_ROLE_WEIGHT, /* trained, with L2 */
    SL_ROLE_VECTOR, /* trained, without L2: biases, gamma, beta */
    SL_ROLE_STATE,  /* not trained: running statistics */
};

struct sl_parameter {
    const char *name; /* "weight": the file's name is LAYER.weight */
    enum sl_parameter_role role;
    int32_t rank;
    int64_t shape[4];
    double deviation; /* of the initial values, which are normal; 0: they are constant */
    double constant;  /* the initial value where deviation is 0 */
};

/* The product of its shape. */
static inline int64_t sl_parameter_floats(const struct sl_parameter *parameter)
{
    int64_t n = 1;
    for (int32_t d = 0; d < parameter->rank; d++)
        n *= parameter->shape[d];
    return n;
}

struct sl_layer_type;

struct sl_layer {
    char name[SL_MAX_NAME + 1];
    const struct sl_layer_type *type; /* NULL: the network's input */
    void *options;
    int32_t input_count;
    int32_t inputs[SL_MAX_INPUTS]; /* earlier layers */
    struct sl_tensor shape;        /* of the output, n = 1 */
    int32_t parameter_count;
    struct sl_parameter parameters[SL_MAX_PARAMETERS];
};

#ifdef __cplusplus
}
#endif
#endif
