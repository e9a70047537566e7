/* add and concat: where branches of the graph meet (kernels/elementwise/elementwise.h). */
#include "kernels/elementwise/elementwise.h"

#include "runtime/graph/layer_type.h"

struct merge {
    struct sl_choice add, copy;
};

static int plan(struct sl_stage *stage, struct sl_planner *planner)
{
    struct merge *merge = stage->state;
    const struct sl_tensor *y = &stage->y->shape;
    const struct sl_flat flat = {(int64_t)sl_tensor_elements(y), y->element};
    const struct sl_channels channels = {
        .pixels = 1, .c = y->c, .from_stride = y->stride, .to_stride = y->stride, .element = y->element};
    int rc = SL_OK;
    SL_TRY(sl_planner_choose(planner, SL_OP_add_fwd, &flat, &merge->add));
    SL_TRY(sl_planner_choose(planner, SL_OP_channel_copy, &channels, &merge->copy));
out:
    return rc;
}

static int64_t pixels(const struct sl_tensor *t, int32_t count)
{
    return (int64_t)count * t->h * t->w;
}

static int add_shape(const void *of, const struct sl_tensor *in, int32_t count, struct sl_tensor *out)
{
    (void)of;
    for (int32_t i = 1; i < count; i++)
        if (in[i].h != in[0].h || in[i].w != in[0].w || in[i].c != in[0].c || in[i].stride != in[0].stride)
            return sl_fail(SL_BAD_CONFIG, "cannot add %d x %d x %d to %d x %d x %d", in[i].h, in[i].w, in[i].c, in[0].h,
                           in[0].w, in[0].c);
    *out = in[0];
    return SL_OK;
}

static int add_forward(struct sl_stage *stage, const struct sl_pass *pass)
{
    struct merge *merge = stage->state;
    const struct sl_tensor *y = &stage->y->shape;
    const struct sl_flat flat = {pixels(y, pass->count) * y->stride, y->element};
    const void *sum = stage->x[0]->data;
    for (int32_t i = 1; i < stage->input_count; i++) {
        const struct sl_add_fwd args = {sum, stage->x[i]->data, stage->y->data};
        const int rc = sl_launch_add_fwd(&merge->add, &flat, &args);
        if (rc != SL_OK)
            return rc;
        sum = stage->y->data;
    }
    return SL_OK;
}

static int add_backward(struct sl_stage *stage, const struct sl_pass *pass)
{
    struct merge *merge = stage->state;
    const struct sl_tensor *y = &stage->y->shape;
    const struct sl_channels all = {pixels(y, pass->count), y->stride, y->stride, 0, y->stride, 0, 0, y->element};
    for (int32_t i = 0; i < stage->input_count; i++) {
        const struct sl_channel_copy args = {stage->y->grad, stage->dx[i]};
        const int rc = stage->dx[i] ? sl_launch_channel_copy(&merge->copy, &all, &args) : SL_OK;
        if (rc != SL_OK)
            return rc;
    }
    return SL_OK;
}

static int concat_shape(const void *of, const struct sl_tensor *in, int32_t count, struct sl_tensor *out)
{
    (void)of;
    int32_t channels = 0;
    for (int32_t i = 0; i < count; i++) {
        if (in[i].h != in[0].h || in[i].w != in[0].w)
            return sl_fail(SL_BAD_CONFIG, "cannot concatenate %d x %d with %d x %d", in[i].h, in[i].w, in[0].h,
                           in[0].w);
        channels += in[i].c;
    }
    *out = sl_activation(1, in[0].h, in[0].w, channels);
    return SL_OK;
}

/* Lanes past the channels must read as zero, and the copies leave them alone. */
static int clear_padding(const struct sl_pass *pass, const struct sl_tensor *t, void *at)
{
    if (t->c == t->stride)
        return SL_OK;
    const size_t bytes = (size_t)pixels(t, pass->count) * (size_t)t->stride * sl_element_bytes(t->element);
    return pass->device->fill(pass->device->self, at, 0, bytes);
}

static int concat_forward(struct sl_stage *stage, const struct sl_pass *pass)
{
    struct merge *merge = stage->state;
    const struct sl_tensor *y = &stage->y->shape;
    int rc = SL_OK;
    int32_t at = 0;
    SL_TRY(clear_padding(pass, y, stage->y->data));
    for (int32_t i = 0; i < stage->input_count; i++) {
        const struct sl_tensor *x = &stage->x[i]->shape;
        const struct sl_channels part = {pixels(y, pass->count), x->c, x->stride, 0, y->stride, at, 0, y->element};
        const struct sl_channel_copy args = {stage->x[i]->data, stage->y->data};
        SL_TRY(sl_launch_channel_copy(&merge->copy, &part, &args));
        at += x->c;
    }
out:
    return rc;
}

static int concat_backward(struct sl_stage *stage, const struct sl_pass *pass)
{
    struct merge *merge = stage->state;
    const struct sl_tensor *y = &stage->y->shape;
    int rc = SL_OK;
    int32_t at = 0;
    for (int32_t i = 0; i < stage->input_count; at += stage->x[i]->shape.c, i++) {
        const struct sl_tensor *x = &stage->x[i]->shape;
        if (!stage->dx[i])
            continue;
        SL_TRY(clear_padding(pass, x, stage->dx[i]));
        const struct sl_channels part = {pixels(y, pass->count), x->c, y->stride, at, x->stride, 0, 0, y->element};
        const struct sl_channel_copy args = {stage->y->grad, stage->dx[i]};
        SL_TRY(sl_launch_channel_copy(&merge->copy, &part, &args));
    }
out:
    return rc;
}

const struct sl_layer_type sl_layer_add = {
    .name = "add",
    .inputs_min = 2,
    .inputs_max = SL_MAX_INPUTS,
    .options_size = sizeof(struct sl_no_options),
    .state_size = sizeof(struct merge),
    .shape = add_shape,
    .plan = plan,
    .forward = add_forward,
    .backward = add_backward,
};

const struct sl_layer_type sl_layer_concat = {
    .name = "concat",
    .inputs_min = 1,
    .inputs_max = SL_MAX_INPUTS,
    .options_size = sizeof(struct sl_no_options),
    .state_size = sizeof(struct merge),
    .shape = concat_shape,
    .plan = plan,
    .forward = concat_forward,
    .backward = concat_backward,
};
