/* leaky_relu and relu, where no neighbour took them in: kernels/activation/activation.h. */
#include "kernels/activation/activation.h"

#include "runtime/graph/layer_type.h"

static const struct sl_option options[] = {
    {"slope", SL_OPTION_REAL, offsetof(struct sl_leaky_relu_options, slope), 0, 1, 0.1},
};

struct activation {
    float slope;
    struct sl_choice fwd, bwd;
};

bool sl_activation_slope(const struct sl_layer *layer, float *slope)
{
    if (layer->type == &sl_layer_relu)
        *slope = 0.0f;
    else if (layer->type == &sl_layer_leaky_relu)
        *slope = (float)((const struct sl_leaky_relu_options *)layer->options)->slope;
    else
        return false;
    return true;
}

static int shape(const void *of, const struct sl_tensor *in, int32_t count, struct sl_tensor *out)
{
    (void)of, (void)count;
    *out = *in;
    return SL_OK;
}

static struct sl_leaky_relu flat(const struct sl_stage *stage, int32_t count)
{
    const struct activation *state = stage->state;
    struct sl_tensor t = stage->y->shape;
    t.n = count;
    return (struct sl_leaky_relu){(int64_t)sl_tensor_elements(&t), state->slope, t.element};
}

static int plan(struct sl_stage *stage, struct sl_planner *planner)
{
    struct activation *state = stage->state;
    sl_activation_slope(stage->layer, &state->slope);
    const struct sl_leaky_relu p = flat(stage, stage->y->shape.n);
    int rc = SL_OK;
    SL_TRY(sl_planner_choose(planner, SL_OP_leaky_relu_fwd, &p, &state->fwd));
    if (planner->training)
        SL_TRY(sl_planner_choose(planner, SL_OP_leaky_relu_bwd, &p, &state->bwd));
out:
    return rc;
}

static int forward(struct sl_stage *stage, const struct sl_pass *pass)
{
    struct activation *state = stage->state;
    const struct sl_leaky_relu p = flat(stage, pass->count);
    const struct sl_leaky_relu_fwd args = {stage->x[0]->data, stage->y->data};
    return sl_launch_leaky_relu_fwd(&state->fwd, &p, &args);
}

static int backward(struct sl_stage *stage, const struct sl_pass *pass)
{
    struct activation *state = stage->state;
    if (!stage->dx[0])
        return SL_OK;
    const struct sl_leaky_relu p = flat(stage, pass->count);
    const struct sl_leaky_relu_bwd args = {stage->x[0]->data, stage->y->grad, stage->dx[0]};
    return sl_launch_leaky_relu_bwd(&state->bwd, &p, &args);
}

const struct sl_layer_type sl_layer_leaky_relu = {
    .name = "leaky_relu",
    .inputs_min = 1,
    .inputs_max = 1,
    .traits = SL_BACKWARD_READS_INPUT,
    .options_size = sizeof(struct sl_leaky_relu_options),
    .state_size = sizeof(struct activation),
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .shape = shape,
    .plan = plan,
    .forward = forward,
    .backward = backward,
};

const struct sl_layer_type sl_layer_relu = {
    .name = "relu",
    .inputs_min = 1,
    .inputs_max = 1,
    .traits = SL_BACKWARD_READS_INPUT,
    .options_size = sizeof(struct sl_no_options),
    .state_size = sizeof(struct activation),
    .shape = shape,
    .plan = plan,
    .forward = forward,
    .backward = backward,
};
