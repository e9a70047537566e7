/* Winograd's convolution, forward and backward-data, as a template over the names of simd/vec_*.h. README.md derives
 * it.
 *
 * Both passes are one computation: backward-data is the forward pass of dy under the turned kernel, with input and
 * output channels exchanged. It takes stride 1 and kernels of 2 x 2 and 3 x 3, with any padding. */
#ifndef SL_KERNELS_CONV_WINOGRAD_BODY_H
#define SL_KERNELS_CONV_WINOGRAD_BODY_H

#include "kernels/contract.h"
#include "kernels/conv/conv_winograd_block.h"
#include "kernels/conv/conv_winograd_pack.h"
#include "kernels/kernels.h"

/* y leaves in whole cache lines, or not past the caches. */
static bool winograd_streams(const struct winograd *w)
{
    const size_t pixels =
        (size_t)(w->tiles / (w->down * w->across)) * (size_t)(w->oh / w->pool) * (size_t)(w->ow / w->pool);
    const size_t line = WINOGRAD_LINE * VL * sizeof *w->y, pixel = (size_t)w->ys * sizeof *w->y;
    return line == SL_LANES * sizeof(float) && pixel % line == 0 && sl_passes_caches(w->y, pixels * pixel);
}

static void winograd_slice(struct winograd *w, const struct sl_work *work)
{
    w->streams = winograd_streams(w);
    const int32_t units = winograd_block_units(w);
    for (int64_t unit = work->begin, here; unit < work->end; unit += here) {
        const int64_t first = unit / units * w->block, left = w->tiles - first;
        const int32_t begin = (int32_t)(unit % units);
        here = work->end - unit < units - begin ? work->end - unit : units - begin;
        winograd_block(w, first, left < w->block ? (int32_t)left : w->block, begin, begin + (int32_t)here,
                       work->scratch);
    }
    v_streamed();
}

/* --- conv2d_fwd ------------------------------------------------------------------------------------------------ */

static bool winograd_forward_need(const void *shape, struct sl_need *need)
{
    const struct sl_conv2d *s = shape;
    if (!winograd_takes(s))
        return false;
    const struct winograd w = winograd_forward(s, 1);
    return winograd_need(&w, need);
}

static int winograd_forward_open(const void *shape, const struct sl_device *device, void *state)
{
    (void)device;
    *(struct winograd *)state = winograd_forward(shape, 1);
    return SL_OK;
}

static void winograd_pack_slice(const void *shape, const float *weights, void *packed, const struct sl_work *work)
{
    (void)shape; /* the state holds what follows from it */
    winograd_pack(work->state, weights, packed, work);
}

static void winograd_forward_run(const struct sl_conv2d_fwd *a, const struct sl_work *work)
{
    struct winograd w = *(const struct winograd *)work->state;
    w.x = a->x;
    w.weights = a->weights;
    w.bias = a->bias;
    w.slope = a->slope;
    w.y = a->y;
    w.moments = a->moments;
    winograd_slice(&w, work);
}

static void winograd_forward_slice(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_conv2d_fwd *a = args;
    (void)shape;
    assert(sl_conv2d_is_sound(shape) && sl_work_fits(work, winograd_forward_need, shape));
    assert(sl_are_apart(CONV_ELEMENT, a->x, sl_conv2d_inputs(shape), a->y, sl_conv2d_outputs(shape)));
    winograd_forward_run(a, work);
}

/* --- conv2d_pool_fwd ------------------------------------------------------------------------------------------- */

#ifndef WINOGRAD_DOT /* its form of 2 x 2 kernels has no whole windows */
static bool winograd_pooled_need(const void *shape, struct sl_need *need)
{
    const struct sl_conv2d *s = shape;
    if (!winograd_takes(s) || !sl_conv2d_is_poolable(s))
        return false;
    const struct winograd w = winograd_forward(s, 2);
    return winograd_need(&w, need);
}

static int winograd_pooled_open(const void *shape, const struct sl_device *device, void *state)
{
    (void)device;
    *(struct winograd *)state = winograd_forward(shape, 2);
    return SL_OK;
}

static void winograd_pooled_slice(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_conv2d_fwd *a = args;
    (void)shape;
    assert(sl_conv2d_is_sound(shape) && sl_work_fits(work, winograd_pooled_need, shape));
    assert(sl_are_apart(CONV_ELEMENT, a->x, sl_conv2d_inputs(shape), a->y, sl_conv2d_pooled_outputs(shape)));
    assert(!a->moments && a->slope >= 0.0f);
    winograd_forward_run(a, work);
}
#endif

/* --- conv2d_bwd_data ------------------------------------------------------------------------------------------- */

static bool winograd_backward_need(const void *shape, struct sl_need *need)
{
    const struct sl_conv2d *s = shape;
    if (!winograd_takes(s))
        return false;
    const struct winograd w = winograd_backward(s);
    return winograd_need(&w, need);
}

static int winograd_backward_open(const void *shape, const struct sl_device *device, void *state)
{
    (void)device;
    *(struct winograd *)state = winograd_backward(shape);
    return SL_OK;
}

static void winograd_backward_slice(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_conv2d_bwd_data *a = args;
    struct winograd w = *(const struct winograd *)work->state;
    (void)shape;
    assert(sl_conv2d_is_sound(shape) && sl_work_fits(work, winograd_backward_need, shape));
    assert(sl_are_apart(CONV_ELEMENT, a->dy, sl_conv2d_outputs(shape), a->dx, sl_conv2d_inputs(shape)));
    w.x = a->dy;
    w.weights = a->weights;
    w.y = a->dx;
    winograd_slice(&w, work);
}

const struct sl_kernel CONV_NAME(sl_conv2d_fwd_winograd) = {
    .element = CONV_ELEMENT,
    .inexact = true,
    .need = winograd_forward_need,
    .open = winograd_forward_open,
    .pack = winograd_pack_slice,
    .run = winograd_forward_slice,
};

#ifndef WINOGRAD_DOT
const struct sl_kernel CONV_NAME(sl_conv2d_pool_fwd_winograd) = {
    .element = CONV_ELEMENT,
    .inexact = true,
    .need = winograd_pooled_need,
    .open = winograd_pooled_open,
    .pack = winograd_pack_slice,
    .run = winograd_pooled_slice,
};
#endif

const struct sl_kernel CONV_NAME(sl_conv2d_bwd_data_winograd) = {
    .element = CONV_ELEMENT,
    .inexact = true,
    .need = winograd_backward_need,
    .open = winograd_backward_open,
    .pack = winograd_pack_slice,
    .run = winograd_backward_slice,
};
#endif
