/* The direct convolution where a 2 x 2 maximum pool follows: a unit has whole windows, its outputs stay in scratch, and
 * only their maxima leave for y. A template over the names of simd/vec_*.h. */
#ifndef SL_KERNELS_CONV_DIRECT_POOL_H
#define SL_KERNELS_CONV_DIRECT_POOL_H

#include "kernels/conv/conv_direct.h"

static struct direct direct_pooled(const struct sl_conv2d *s)
{
    struct direct d = direct_forward(s);
    sl_units_pair_rows(&d.window.units);
    return d;
}

/* Bytes of the list of pixels, to whole cache lines; then come the outputs of a unit. */
static size_t direct_list_bytes(const struct direct *d)
{
    return (sl_window_scratch(&d->window) + 63) / 64 * 64;
}

static size_t direct_pooled_scratch(const struct direct *d)
{
    return direct_list_bytes(d) + (size_t)sl_units_pixels(&d->window.units) * (size_t)d->window.ys * sizeof(float);
}

/* A line of windows: of two rows of outputs, `row` floats apart. */
static void direct_pool_row(const float *x, ptrdiff_t row, int32_t windows, int32_t ys, float *y)
{
    for (int32_t i = 0; i < windows; i++, x += 2 * ys, y += ys)
        for (int32_t k = 0; k < ys; k += VL) {
            const int lanes = ys - k < VL ? ys - k : VL;
            const vf above = v_max(v_load_some(x + k, lanes), v_load_some(x + ys + k, lanes));
            const vf below = v_max(v_load_some(x + row + k, lanes), v_load_some(x + row + ys + k, lanes));
            v_store_some(y + k, v_max(above, below), lanes);
        }
}

static void direct_pooled_run(const struct direct *d, const struct sl_work *work)
{
    const int32_t ys = d->window.ys, ow = d->window.columns.output, written = direct_written(d->k);
    const ptrdiff_t row = (ptrdiff_t)ow * ys;
    float *outputs = (float *)((char *)work->scratch + direct_list_bytes(d));
    for (int64_t unit = work->begin; unit < work->end; unit++) {
        const struct sl_window_view view = sl_window_open(&d->window, d->x, unit, work->scratch);
        struct direct_coming coming = direct_next(d, unit + 1, work->end);
        for (int32_t first = 0; first < d->k; first += DIRECT_BLOCK)
            direct_one_block(d, &view, first, &coming, outputs, NULL);
        for (int32_t t = 0; t < view.count && written < ys; t++)
            memset(outputs + (ptrdiff_t)t * ys + written, 0, (size_t)(ys - written) * sizeof *outputs);
        for (int32_t p = 0; p < view.count / ow; p += 2)
            direct_pool_row(outputs + p * row, row, ow / 2, ys, d->y + view.first / 4 * ys + p / 2 * (row / 2));
    }
}

static bool direct_pooled_need(const void *shape, struct sl_need *need)
{
    const struct sl_conv2d *s = shape;
    if (!sl_conv2d_is_poolable(s) || !direct_forward_need(s, need))
        return false;
    const struct direct d = direct_pooled(s);
    need->units = sl_units_count(&d.window.units);
    need->joins = false;
    need->together = need->records = 0;
    need->scratch = direct_pooled_scratch(&d);
    return need->scratch <= DIRECT_MOST_SCRATCH;
}

static int direct_pooled_open(const void *shape, const struct sl_device *device, void *state)
{
    (void)device;
    *(struct direct *)state = direct_pooled(shape);
    return SL_OK;
}

static void direct_pooled_slice(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_conv2d_fwd *a = args;
    struct direct d = *(const struct direct *)work->state;
    (void)shape;
    assert(sl_conv2d_is_sound(shape) && sl_work_fits(work, direct_pooled_need, shape));
    assert(sl_are_apart(SL_ELEMENT_F32, a->x, sl_conv2d_inputs(shape), a->y, sl_conv2d_pooled_outputs(shape)));
    assert(!a->moments && a->slope >= 0.0f);
    d.x = a->x;
    d.weights = a->weights;
    d.bias = a->bias;
    d.slope = a->slope;
    d.y = a->y;
    direct_pooled_run(&d, work);
}

const struct sl_kernel DIRECT(sl_conv2d_pool_fwd_direct) = {
    .need = direct_pooled_need,
    .open = direct_pooled_open,
    .pack = direct_forward_pack,
    .run = direct_pooled_slice,
};
#endif
