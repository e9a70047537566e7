/* softmax_nll, the end of every network: probabilities and, with labels, the loss of each sample
 * (kernels/softmax/softmax.h). */
#include "kernels/softmax/softmax.h"

#include "runtime/graph/layer_type.h"

struct softmax_nll {
    struct sl_softmax shape;
    struct sl_choice fwd, bwd;
};

static int shape(const void *of, const struct sl_tensor *in, int32_t count, struct sl_tensor *out)
{
    (void)of, (void)count;
    if (in->h != 1 || in->w != 1)
        return sl_fail(
            SL_BAD_CONFIG,
            "the classes must be a 1 x 1 image, not %d x %d; put a global average_pool or a dense layer before", in->h,
            in->w);
    *out = sl_activation(1, 1, 1, in->c);
    return in->stride == out->stride ? SL_OK : sl_fail(SL_BAD_CONFIG, "the image itself cannot be the classes");
}

static int plan(struct sl_stage *stage, struct sl_planner *planner)
{
    struct softmax_nll *loss = stage->state;
    const struct sl_tensor *y = &stage->y->shape;
    loss->shape = (struct sl_softmax){y->n, y->c, y->stride, stage->x[0]->shape.element};
    int rc = SL_OK;
    SL_TRY(sl_planner_choose(planner, SL_OP_softmax_nll_fwd, &loss->shape, &loss->fwd));
    if (planner->training)
        SL_TRY(sl_planner_choose(planner, SL_OP_softmax_nll_bwd, &loss->shape, &loss->bwd));
out:
    return rc;
}

static int forward(struct sl_stage *stage, const struct sl_pass *pass)
{
    struct softmax_nll *loss = stage->state;
    loss->shape.n = pass->count;
    const struct sl_softmax_nll_fwd args = {stage->x[0]->data, pass->labels, stage->y->data,
                                            pass->labels ? pass->losses : NULL};
    return sl_launch_softmax_nll_fwd(&loss->fwd, &loss->shape, &args);
}

static int backward(struct sl_stage *stage, const struct sl_pass *pass)
{
    struct softmax_nll *loss = stage->state;
    loss->shape.n = pass->count;
    const struct sl_softmax_nll_bwd args = {stage->y->data, pass->labels, 1.0f / (float)pass->count, stage->dx[0]};
    return sl_launch_softmax_nll_bwd(&loss->bwd, &loss->shape, &args);
}

const struct sl_layer_type sl_layer_softmax_nll = {
    .name = "softmax_nll",
    .inputs_min = 1,
    .inputs_max = 1,
    .traits = SL_BACKWARD_READS_OUTPUT | SL_OUTPUT_IS_FLOAT,
    .options_size = sizeof(struct sl_no_options),
    .state_size = sizeof(struct softmax_nll),
    .shape = shape,
    .plan = plan,
    .forward = forward,
    .backward = backward,
};
