/* What convolution and dense layers share: planning and running the conv kernels, with an optional folded batch norm
 * and activation. */
#ifndef SL_RUNTIME_GRAPH_LAYERS_LINEAR_H
#define SL_RUNTIME_GRAPH_LAYERS_LINEAR_H

#include "kernels/conv/conv.h"
#include "runtime/graph/layer_type.h"

struct sl_linear {
    struct sl_conv2d shape;
    bool rows_are_samples; /* a dense layer on 1 x 1 images: the batch is the image's rows */
    bool bias;
    bool moments;   /* sum for the batch norm that follows */
    int32_t norm;   /* which absorbed layer is a batch norm to fold; 0: none, else its number from 1 */
    double epsilon; /* of that batch norm */
    bool activated; /* an activation was absorbed */
    float slope;    /* of that activation; 1: none */
    bool pooled;    /* a 2 x 2 maximum pool was absorbed */
    struct sl_choice fwd, bwd_data, bwd_weights, sum, bias_bwd, fold;
    float *folded, *folded_bias;
    float *packed_fwd, *packed_bwd;
    float *moment_records;
    float *parts; /* gradients of the weights that are to be added; NULL: there are never any */
};

/* Takes in what the kernels can do at no cost: batch norm, activation and 2 x 2 maximum pool in inference. In training
 * it only notes that a batch norm follows. */
bool sl_linear_absorb(struct sl_stage *stage, const struct sl_layer *next, bool training);
int sl_linear_plan(struct sl_stage *stage, struct sl_planner *planner);
int sl_linear_prepare(struct sl_stage *stage, const struct sl_pass *pass);
int sl_linear_forward(struct sl_stage *stage, const struct sl_pass *pass);
int sl_linear_backward(struct sl_stage *stage, const struct sl_pass *pass);
#endif
