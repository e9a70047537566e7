/* The direct convolution on AMX where a 2 x 2 maximum pool follows: the outputs of a unit stay in scratch, those of
 * all blocks that take turns, and only their maxima leave for y. */
#ifndef SL_KERNELS_CONV_AMX_POOL_H
#define SL_KERNELS_CONV_AMX_POOL_H

#include "kernels/conv/conv_amx.h"

static struct amx amx_pooled(const struct sl_conv2d *s)
{
    struct sl_units_goal goal = amx_goal();
    goal.most = goal.least = 512; /* outputs of all blocks that take turns should stay in the second-level cache, too */
    struct sl_window w = sl_window_forward(s, &goal);
    sl_units_pair_rows(&w.units);
    struct amx a = amx_plan(&w, s->k);
    a.pool = 2;
    return a;
}

static bool amx_pooled_need(const void *shape, struct sl_need *need)
{
    const struct sl_conv2d *s = shape;
    if (!sl_conv2d_is_poolable(s))
        return false;
    const struct amx a = amx_pooled(s);
    return amx_need(&a, sl_conv2d_flops(s), need);
}

static int amx_pooled_open(const void *shape, const struct sl_device *device, void *state)
{
    (void)device;
    *(struct amx *)state = amx_pooled(shape);
    return SL_OK;
}

static void amx_pooled_slice(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_conv2d_fwd *f = args;
    (void)shape;
    assert(sl_conv2d_is_sound(shape) && sl_work_fits(work, amx_pooled_need, shape));
    assert(sl_are_apart(AMX_ELEMENT, f->x, sl_conv2d_inputs(shape), f->y, sl_conv2d_pooled_outputs(shape)));
    assert(!f->moments && f->slope >= 0.0f);
    amx_forward_run(f, work);
}

const struct sl_kernel AMX_NAME(sl_conv2d_pool_fwd) = {
    .element = AMX_ELEMENT,
    .inexact = AMX_PARTS > 1,
    .need = amx_pooled_need,
    .open = amx_pooled_open,
    .pack = amx_forward_pack,
    .run = amx_pooled_slice,
};
#endif
