#include "runtime/graph/layers/linear.h"

#include "kernels/elementwise/elementwise.h"
#include "kernels/norm/norm.h"

bool sl_linear_absorb(struct sl_stage *stage, const struct sl_layer *next, bool training)
{
    struct sl_linear *conv = stage->state;
    const bool fresh = stage->absorbed_count == 0;
    if (next->type == &sl_layer_batch_norm && fresh) {
        const struct sl_batch_norm_options *norm = next->options;
        conv->moments = training;
        conv->norm = training ? 0 : stage->absorbed_count + 1;
        conv->epsilon = norm->epsilon;
        return !training;
    }
    if (training || conv->pooled)
        return false;
    if (!conv->activated && sl_activation_slope(next, &conv->slope)) {
        conv->activated = true;
        return true;
    }
    conv->pooled = sl_pool_is_plain(next, &stage->layer->shape);
    return conv->pooled;
}

static void set_batch(struct sl_linear *conv, int32_t count)
{
    if (conv->rows_are_samples)
        conv->shape.h = conv->shape.oh = count;
    else
        conv->shape.n = count;
}

/* The shape for the fold, which sees weights alone: floats whatever the element is. */
static struct sl_conv2d shape_of_weights(const struct sl_linear *conv)
{
    struct sl_conv2d shape = conv->shape;
    shape.element = SL_ELEMENT_F32;
    return shape;
}

static int plan_inference(struct sl_stage *stage, struct sl_planner *planner)
{
    struct sl_linear *conv = stage->state;
    const struct sl_conv2d weights = shape_of_weights(conv);
    int rc = SL_OK;
    if (conv->norm) {
        SL_TRY(sl_planner_choose(planner, SL_OP_conv2d_fold, &weights, &conv->fold));
        SL_TRY(sl_planner_buffer(planner, &conv->folded, sl_conv2d_weights(&conv->shape) * sizeof(float), SL_LIFE_PLAN,
                                 "folded weights"));
        SL_TRY(sl_planner_buffer(planner, &conv->folded_bias, (size_t)conv->shape.k * sizeof(float), SL_LIFE_PLAN,
                                 "folded bias"));
    }
    SL_TRY(sl_planner_buffer(planner, &conv->packed_fwd, sl_choice_most_packed(&conv->fwd, &conv->shape), SL_LIFE_PLAN,
                             "packed weights"));
out:
    return rc;
}

/* Partial results of a kernel for the batch that has the most of them: a smaller batch may be cut finer than a full
 * one. */
static int64_t most_for(struct sl_linear *conv, int32_t batch, const struct sl_choice *choice,
                        int64_t most_of(const struct sl_choice *choice, const void *shape))
{
    int64_t most = 0;
    for (int32_t count = 1; count <= batch; count++) {
        set_batch(conv, count);
        const int64_t partial = most_of(choice, &conv->shape);
        most = partial > most ? partial : most;
    }
    return most;
}

/* Where the gradient of the weights is summed in parts. */
static int plan_parts(struct sl_linear *conv, int32_t batch, struct sl_planner *planner)
{
    const int64_t parts = most_for(conv, batch, &conv->bwd_weights, sl_choice_most_parts);
    const int64_t weights = (int64_t)sl_conv2d_weights(&conv->shape);
    const struct sl_weighted_sum_shape sum = {weights, (int32_t)parts, SL_ELEMENT_F32};
    int rc = SL_OK;
    if (parts == 0)
        return SL_OK;
    SL_TRY(sl_planner_choose(planner, SL_OP_weighted_sum, &sum, &conv->sum));
    SL_TRY(sl_planner_buffer(planner, &conv->parts, (size_t)(parts * weights) * sizeof(float), SL_LIFE_BACKWARD,
                             "parts of the gradient"));
out:
    return rc;
}

static int plan_training(struct sl_stage *stage, struct sl_planner *planner)
{
    struct sl_linear *conv = stage->state;
    const struct sl_conv2d *shape = &conv->shape;
    int rc = SL_OK;
    SL_TRY(sl_planner_choose(planner, SL_OP_conv2d_bwd_data, shape, &conv->bwd_data));
    SL_TRY(sl_planner_choose(planner, SL_OP_conv2d_bwd_weights, shape, &conv->bwd_weights));
    SL_TRY(sl_planner_choose(planner, SL_OP_bias_bwd, shape, &conv->bias_bwd));
    SL_TRY(plan_parts(conv, stage->y->shape.n, planner));
    SL_TRY(sl_planner_buffer(planner, &conv->packed_fwd, sl_choice_most_packed(&conv->fwd, shape), SL_LIFE_FORWARD,
                             "packed weights"));
    SL_TRY(sl_planner_buffer(planner, &conv->packed_bwd, sl_choice_most_packed(&conv->bwd_data, shape),
                             SL_LIFE_BACKWARD, "packed weights"));
    if (conv->moments) {
        stage->y->moment_parts = most_for(conv, stage->y->shape.n, &conv->fwd, sl_choice_most_records);
        SL_TRY(sl_planner_buffer(planner, &conv->moment_records,
                                 (size_t)stage->y->moment_parts * sl_moments_size(shape->ys) * sizeof(float),
                                 SL_LIFE_STAGE, "moments"));
    }
out:
    return rc;
}

int sl_linear_plan(struct sl_stage *stage, struct sl_planner *planner)
{
    struct sl_linear *conv = stage->state;
    if (!conv->activated)
        conv->slope = 1.0f;
    const int rc =
        sl_planner_choose(planner, conv->pooled ? SL_OP_conv2d_pool_fwd : SL_OP_conv2d_fwd, &conv->shape, &conv->fwd);
    if (rc != SL_OK)
        return rc;
    return planner->training ? plan_training(stage, planner) : plan_inference(stage, planner);
}

static int fold(const struct sl_stage *stage, struct sl_linear *conv)
{
    float *const *norm = stage->parameters[conv->norm];
    const struct sl_conv2d shape = shape_of_weights(conv);
    const struct sl_conv2d_fold args = {
        .weights = stage->parameters[0][0],
        .bias = conv->bias ? stage->parameters[0][1] : NULL,
        .gamma = norm[0],
        .beta = norm[1],
        .mean = norm[2],
        .var = norm[3],
        .epsilon = conv->epsilon,
        .folded = conv->folded,
        .folded_bias = conv->folded_bias,
    };
    return sl_launch_conv2d_fold(&conv->fold, &shape, &args);
}

/* What the forward pass multiplies by. */
static const float *weights_of(const struct sl_stage *stage, const struct sl_linear *conv)
{
    return conv->norm ? conv->folded : stage->parameters[0][0];
}

int sl_linear_prepare(struct sl_stage *stage, const struct sl_pass *pass)
{
    struct sl_linear *conv = stage->state;
    int rc = SL_OK;
    (void)pass;
    if (conv->norm)
        SL_TRY(fold(stage, conv));
    SL_TRY(sl_launch_pack(&conv->fwd, &conv->shape, weights_of(stage, conv), conv->packed_fwd));
out:
    return rc;
}

int sl_linear_forward(struct sl_stage *stage, const struct sl_pass *pass)
{
    struct sl_linear *conv = stage->state;
    const float *weights;
    int rc = SL_OK;
    set_batch(conv, pass->count);
    if (pass->training)
        SL_TRY(sl_launch_pack(&conv->fwd, &conv->shape, stage->parameters[0][0], conv->packed_fwd));
    SL_TRY(sl_choice_weights(&conv->fwd, &conv->shape, weights_of(stage, conv), conv->packed_fwd, &weights));
    const struct sl_conv2d_fwd args = {
        .x = stage->x[0]->data,
        .weights = weights,
        .bias = conv->norm   ? conv->folded_bias
                : conv->bias ? stage->parameters[0][1]
                             : NULL,
        .slope = conv->slope,
        .y = stage->y->data,
        .moments = conv->moment_records,
    };
    SL_TRY(sl_launch(&conv->fwd, conv->fwd.op, &conv->shape, &args));
    stage->y->moments = conv->moment_records;
    stage->y->moment_parts = conv->moments ? sl_choice_records(&conv->fwd, &conv->shape) : 0;
out:
    return rc;
}

static int backward_data(struct sl_stage *stage)
{
    struct sl_linear *conv = stage->state;
    int rc = SL_OK;
    const float *weights = stage->parameters[0][0];
    SL_TRY(sl_launch_pack(&conv->bwd_data, &conv->shape, weights, conv->packed_bwd));
    SL_TRY(sl_choice_weights(&conv->bwd_data, &conv->shape, weights, conv->packed_bwd, &weights));
    const struct sl_conv2d_bwd_data args = {.dy = stage->y->grad, .weights = weights, .dx = stage->dx[0]};
    SL_TRY(sl_launch_conv2d_bwd_data(&conv->bwd_data, &conv->shape, &args));
out:
    return rc;
}

static int backward_weights(struct sl_stage *stage)
{
    struct sl_linear *conv = stage->state;
    float *dw = stage->gradients[0][0];
    const struct sl_need *need;
    int rc = SL_OK;
    SL_TRY(sl_choice_ready(&conv->bwd_weights, &conv->shape, &need));
    const int64_t parts = need->parts;
    const struct sl_conv2d_bwd_weights args = {stage->x[0]->data, stage->y->grad, parts ? conv->parts : dw};
    SL_TRY(sl_launch_conv2d_bwd_weights(&conv->bwd_weights, &conv->shape, &args));
    if (parts) {
        const struct sl_weighted_sum_shape shape = {(int64_t)sl_conv2d_weights(&conv->shape), (int32_t)parts,
                                                    SL_ELEMENT_F32};
        const struct sl_weighted_sum sum = {.x = conv->parts, .sum = dw};
        SL_TRY(sl_launch_weighted_sum(&conv->sum, &shape, &sum));
    }
out:
    return rc;
}

int sl_linear_backward(struct sl_stage *stage, const struct sl_pass *pass)
{
    struct sl_linear *conv = stage->state;
    int rc = SL_OK;
    set_batch(conv, pass->count);
    SL_TRY(backward_weights(stage));
    if (conv->bias) {
        const struct sl_bias_bwd bias = {stage->y->grad, stage->gradients[0][1]};
        SL_TRY(sl_launch_bias_bwd(&conv->bias_bwd, &conv->shape, &bias));
    }
    if (stage->dx[0])
        SL_TRY(backward_data(stage));
out:
    return rc;
}
