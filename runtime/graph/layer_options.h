/* The options of every layer. The zero value is the default, so a model names only what differs:
 *   x = sl_graph_add(graph, "conv1", x, SL_CONV2D(.filters = 64, .kernel = {3, 3}));
 * In a model's JSON the fields have the same names. */
#ifndef SL_RUNTIME_GRAPH_LAYER_OPTIONS_H
#define SL_RUNTIME_GRAPH_LAYER_OPTIONS_H

#include "kernels/base.h"

enum sl_padding_mode {
    SL_PADDING_SAME,  /* out = ceil(in / stride); the odd pixel at the bottom and right (DL4J's ConvolutionMode.Same) */
    SL_PADDING_VALID, /* none */
    SL_PADDING_EXPLICIT, /* top, left, bottom, right */
};

struct sl_padding {
    enum sl_padding_mode mode;
    int32_t top, left, bottom, right;
};

struct sl_conv2d_options {
    int32_t filters;   /* output channels */
    int32_t kernel[2]; /* rows, columns; zero: 3 */
    int32_t stride[2]; /* zero: 1 */
    struct sl_padding padding;
    bool bias; /* false: none */
};

struct sl_batch_norm_options {
    double decay;   /* of the running statistics; zero: 0.9 */
    double epsilon; /* zero: 1e-5 */
};

struct sl_leaky_relu_options {
    double slope; /* zero: 0.1 (relu is its own layer) */
};

struct sl_pool_options {
    int32_t kernel[2]; /* zero: 2 */
    int32_t stride[2]; /* zero: the kernel */
    struct sl_padding padding;
    bool global; /* the window is the whole image (average_pool) */
};

struct sl_dense_options {
    int32_t units; /* outputs */
    bool no_bias;
};

struct sl_dropout_options {
    double rate; /* share of values dropped in training; zero: 0.5 */
};

struct sl_no_options { /* relu, add, concat, softmax_nll */
    int32_t none;
};

/* The last argument of sl_graph_add: type and options. */
#define SL_LAYER(type, options_type, ...) \
#type, &(const struct options_type)   \
    {                                     \
        __VA_ARGS__                       \
    }
#define SL_CONV2D(...) SL_LAYER(conv2d, sl_conv2d_options, __VA_ARGS__)
#define SL_BATCH_NORM(...) SL_LAYER(batch_norm, sl_batch_norm_options, __VA_ARGS__)
#define SL_LEAKY_RELU(...) SL_LAYER(leaky_relu, sl_leaky_relu_options, __VA_ARGS__)
#define SL_RELU() SL_LAYER(relu, sl_no_options, 0)
#define SL_MAX_POOL(...) SL_LAYER(max_pool, sl_pool_options, __VA_ARGS__)
#define SL_AVERAGE_POOL(...) SL_LAYER(average_pool, sl_pool_options, __VA_ARGS__)
#define SL_DENSE(...) SL_LAYER(dense, sl_dense_options, __VA_ARGS__)
#define SL_ADD() SL_LAYER(add, sl_no_options, 0)
#define SL_CONCAT() SL_LAYER(concat, sl_no_options, 0)
#define SL_DROPOUT(...) SL_LAYER(dropout, sl_dropout_options, __VA_ARGS__)
#define SL_SOFTMAX_NLL() SL_LAYER(softmax_nll, sl_no_options, 0)
#endif
