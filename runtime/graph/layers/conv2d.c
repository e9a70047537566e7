/* conv2d: kernels/conv/conv.h. Xavier: normal of variance 2/(fan in + fan out), fan out over the stride, as DL4J. */
#include <math.h>

#include "runtime/graph/layers/linear.h"

#define FIELD(member) offsetof(struct sl_conv2d_options, member)

static const struct sl_option options[] = {
    {"filters", SL_OPTION_INT, FIELD(filters), 1, SL_MAX_SIDE, 0},
    {"kernel", SL_OPTION_PAIR, FIELD(kernel), 1, 64, 3},
    {"stride", SL_OPTION_PAIR, FIELD(stride), 1, 64, 1},
    {"padding", SL_OPTION_PADDING, FIELD(padding), 0, 64, 0},
    {"bias", SL_OPTION_BOOL, FIELD(bias), 0, 1, 0},
};

static int shape(const void *of, const struct sl_tensor *in, int32_t count, struct sl_tensor *out)
{
    (void)count;
    const struct sl_conv2d_options *o = of;
    int32_t oh = 0, ow = 0, before;
    int rc = SL_OK;
    SL_TRY(sl_window_axis(in->h, o->kernel[0], o->stride[0], &o->padding, true, &oh, &before));
    SL_TRY(sl_window_axis(in->w, o->kernel[1], o->stride[1], &o->padding, false, &ow, &before));
    *out = sl_activation(1, oh, ow, o->filters);
out:
    return rc;
}

static int32_t parameters(const void *of, const struct sl_tensor *in, struct sl_parameter *list)
{
    const struct sl_conv2d_options *o = of;
    const double window = (double)o->kernel[0] * o->kernel[1];
    const double fan_in = window * in->c, fan_out = window * o->filters / ((double)o->stride[0] * o->stride[1]);
    list[0] = (struct sl_parameter){
        .name = "weight",
        .role = SL_ROLE_WEIGHT,
        .rank = 4,
        .shape = {o->filters, o->kernel[0], o->kernel[1], in->c},
        .deviation = sqrt(2.0 / (fan_in + fan_out)),
    };
    list[1] = (struct sl_parameter){.name = "bias", .role = SL_ROLE_VECTOR, .rank = 1, .shape = {o->filters}};
    return o->bias ? 2 : 1;
}

static int plan(struct sl_stage *stage, struct sl_planner *planner)
{
    const struct sl_conv2d_options *o = stage->layer->options;
    const struct sl_tensor *x = &stage->x[0]->shape, *y = &stage->layer->shape;
    struct sl_linear *conv = stage->state;
    int32_t oh, ow;
    int rc = SL_OK;
    conv->bias = o->bias;
    conv->shape = (struct sl_conv2d){
        .n = x->n,
        .h = x->h,
        .w = x->w,
        .c = x->c,
        .k = o->filters,
        .kh = o->kernel[0],
        .kw = o->kernel[1],
        .stride_h = o->stride[0],
        .stride_w = o->stride[1],
        .oh = y->h,
        .ow = y->w,
        .xs = x->stride,
        .ys = y->stride,
        .element = x->element,
    };
    SL_TRY(sl_window_axis(x->h, o->kernel[0], o->stride[0], &o->padding, true, &oh, &conv->shape.pad_top));
    SL_TRY(sl_window_axis(x->w, o->kernel[1], o->stride[1], &o->padding, false, &ow, &conv->shape.pad_left));
    SL_TRY(sl_linear_plan(stage, planner));
out:
    return rc;
}

const struct sl_layer_type sl_layer_conv2d = {
    .name = "conv2d",
    .inputs_min = 1,
    .inputs_max = 1,
    .traits = SL_BACKWARD_READS_INPUT,
    .options_size = sizeof(struct sl_conv2d_options),
    .state_size = sizeof(struct sl_linear),
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .shape = shape,
    .parameters = parameters,
    .absorb = sl_linear_absorb,
    .plan = plan,
    .prepare = sl_linear_prepare,
    .forward = sl_linear_forward,
    .backward = sl_linear_backward,
};
