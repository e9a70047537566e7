/* dense: every output reads the whole input. A convolution whose kernel is the image; on 1 x 1 images the batch becomes
 * the rows of one image, so that the kernels see one matrix product. */
#include <math.h>

#include "runtime/graph/layers/linear.h"

#define FIELD(member) offsetof(struct sl_dense_options, member)

static const struct sl_option options[] = {
    {"units", SL_OPTION_INT, FIELD(units), 1, SL_MAX_SIDE, 0},
    {"no_bias", SL_OPTION_BOOL, FIELD(no_bias), 0, 1, 0},
};

static int shape(const void *of, const struct sl_tensor *in, int32_t count, struct sl_tensor *out)
{
    (void)in, (void)count;
    *out = sl_activation(1, 1, 1, ((const struct sl_dense_options *)of)->units);
    return SL_OK;
}

static int32_t parameters(const void *of, const struct sl_tensor *in, struct sl_parameter *list)
{
    const struct sl_dense_options *o = of;
    const double fan_in = (double)in->h * in->w * in->c;
    list[0] = (struct sl_parameter){
        .name = "weight",
        .role = SL_ROLE_WEIGHT,
        .rank = 4,
        .shape = {o->units, in->h, in->w, in->c},
        .deviation = sqrt(2.0 / (fan_in + o->units)),
    };
    if (in->h == 1 && in->w == 1) {
        list[0].rank = 2;
        list[0].shape[1] = in->c;
    }
    list[1] = (struct sl_parameter){.name = "bias", .role = SL_ROLE_VECTOR, .rank = 1, .shape = {o->units}};
    return o->no_bias ? 1 : 2;
}

static int plan(struct sl_stage *stage, struct sl_planner *planner)
{
    const struct sl_dense_options *o = stage->layer->options;
    const struct sl_tensor *x = &stage->x[0]->shape;
    struct sl_linear *conv = stage->state;
    conv->bias = !o->no_bias;
    conv->rows_are_samples = x->h == 1 && x->w == 1;
    conv->shape = (struct sl_conv2d){
        .n = x->n,
        .h = x->h,
        .w = x->w,
        .c = x->c,
        .k = o->units,
        .kh = x->h,
        .kw = x->w,
        .stride_h = 1,
        .stride_w = 1,
        .oh = 1,
        .ow = 1,
        .xs = x->stride,
        .ys = stage->y->shape.stride,
        .element = x->element,
    };
    if (conv->rows_are_samples) {
        conv->shape.n = 1;
        conv->shape.h = conv->shape.oh = x->n;
    }
    return sl_linear_plan(stage, planner);
}

const struct sl_layer_type sl_layer_dense = {
    .name = "dense",
    .inputs_min = 1,
    .inputs_max = 1,
    .traits = SL_BACKWARD_READS_INPUT,
    .options_size = sizeof(struct sl_dense_options),
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
