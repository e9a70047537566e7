/* The direct convolution of activations in bf16, forward and backward-data: unit by unit, the source is widened into
 * scratch, the rows of floats compute there, and what they made is rounded once into y. A template like
 * conv_direct.h. */
#ifndef SL_KERNELS_CONV_DIRECT_BF16_H
#define SL_KERNELS_CONV_DIRECT_BF16_H

#include "kernels/conv/conv_convert.h"
#include "kernels/conv/conv_direct_pool.h"

static size_t direct_lines(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

/* Bytes of scratch for the floats of a unit: its source, its output. */
static size_t direct_source_bytes(const struct direct *d)
{
    return direct_lines((size_t)sl_window_source_pixels(&d->window) * (size_t)d->window.xs * sizeof(float));
}

static size_t direct_output_bytes(const struct direct *d)
{
    return direct_lines((size_t)sl_units_pixels(&d->window.units) * (size_t)d->window.ys * sizeof(float));
}

/* A unit is widened once for all its blocks of channels, which stay together. */
static bool direct_bf16_need(const struct direct *d, struct sl_need *need)
{
    need->units = sl_units_count(&d->window.units);
    need->joins = false;
    need->together = need->records = 0;
    need->scratch = direct_list_bytes(d) + direct_source_bytes(d) + direct_output_bytes(d);
    return need->scratch <= DIRECT_MOST_SCRATCH;
}

/* Where an array would begin of which `part` holds what there is from element `first` on. */
static float *direct_origin(float *part, int64_t first)
{
    return (float *)((uintptr_t)part - (uintptr_t)first * sizeof *part);
}

/* `pool`: of every 2 x 2 outputs only the maximum leaves for y. */
static void direct_bf16_slice(const struct direct *d, const sl_bf16 *x, bool pool, sl_bf16 *y,
                              const struct sl_work *work)
{
    const struct sl_window *w = &d->window;
    const int32_t ow = w->columns.output, ys = w->ys;
    float *source = (float *)((char *)work->scratch + direct_list_bytes(d));
    float *output = source + direct_source_bytes(d) / sizeof *source;
    const int64_t blocks = direct_blocks(d->k);
    for (int64_t i = work->begin; i < work->end; i++) {
        const struct sl_unit unit = sl_units_at(&w->units, i);
        const struct sl_unit_source from = sl_window_source(w, i);
        const int64_t first = (unit.n * w->rows.output + unit.p) * ow * ys, rows = (int64_t)unit.images * unit.rows;
        struct direct floats = *d;
        floats.x = direct_origin(source, from.first * w->xs);
        floats.y = direct_origin(output, first);
        convert_widen((struct convert){from.pixels, w->xs, w->xs, w->xs}, x + from.first * w->xs, source);
        direct_slice(&floats,
                     &(struct sl_work){.begin = i * blocks, .end = (i + 1) * blocks, .scratch = work->scratch});
        for (int64_t p = 0; p < rows && pool; p += 2)
            direct_pool_row(output + p * ow * ys, (ptrdiff_t)ow * ys, ow / 2, ys, output + p / 2 * (ow / 2) * ys);
        convert_narrow(rows * ow * ys / (pool ? 4 : 1), output, y + first / (pool ? 4 : 1));
    }
}

/* --- conv2d_fwd ------------------------------------------------------------------------------------------------ */

static bool direct_bf16_forward_need(const void *shape, struct sl_need *need)
{
    const struct direct d = direct_forward(shape);
    return direct_forward_need(shape, need) && direct_bf16_need(&d, need);
}

static void direct_bf16_forward_slice(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_conv2d_fwd *a = args;
    struct direct d = *(const struct direct *)work->state;
    (void)shape; /* the state holds what follows from it */
    assert(sl_conv2d_is_sound(shape) && sl_work_fits(work, direct_bf16_forward_need, shape));
    assert(sl_are_apart(SL_ELEMENT_BF16, a->x, sl_conv2d_inputs(shape), a->y, sl_conv2d_outputs(shape)));
    d.weights = a->weights;
    d.bias = a->bias;
    d.slope = a->slope;
    d.moments = a->moments;
    direct_bf16_slice(&d, a->x, false, a->y, work);
}

/* --- conv2d_pool_fwd ------------------------------------------------------------------------------------------- */

static bool direct_bf16_pooled_need(const void *shape, struct sl_need *need)
{
    const struct sl_conv2d *s = shape;
    if (!sl_conv2d_is_poolable(s) || !direct_forward_need(s, need))
        return false;
    const struct direct d = direct_pooled(s);
    return direct_bf16_need(&d, need);
}

static void direct_bf16_pooled_slice(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_conv2d_fwd *a = args;
    struct direct d = *(const struct direct *)work->state;
    (void)shape; /* the state holds what follows from it */
    assert(sl_conv2d_is_sound(shape) && sl_work_fits(work, direct_bf16_pooled_need, shape));
    assert(sl_are_apart(SL_ELEMENT_BF16, a->x, sl_conv2d_inputs(shape), a->y, sl_conv2d_pooled_outputs(shape)));
    assert(!a->moments && a->slope >= 0.0f);
    d.weights = a->weights;
    d.bias = a->bias;
    d.slope = a->slope;
    direct_bf16_slice(&d, a->x, true, a->y, work);
}

/* --- conv2d_bwd_data ------------------------------------------------------------------------------------------- */

static bool direct_bf16_backward_need(const void *shape, struct sl_need *need)
{
    const struct direct d = direct_backward(shape);
    return direct_backward_need(shape, need) && direct_bf16_need(&d, need);
}

static void direct_bf16_backward_slice(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_conv2d_bwd_data *a = args;
    struct direct d = *(const struct direct *)work->state;
    (void)shape; /* the state holds what follows from it */
    assert(sl_conv2d_is_sound(shape) && sl_work_fits(work, direct_bf16_backward_need, shape));
    assert(sl_are_apart(SL_ELEMENT_BF16, a->dy, sl_conv2d_outputs(shape), a->dx, sl_conv2d_inputs(shape)));
    d.weights = a->weights;
    direct_bf16_slice(&d, a->dy, false, a->dx, work);
}

const struct sl_kernel DIRECT(sl_conv2d_fwd_direct_bf16) = {
    .element = SL_ELEMENT_BF16,
    .need = direct_bf16_forward_need,
    .open = direct_forward_open,
    .pack = direct_forward_pack,
    .run = direct_bf16_forward_slice,
};

const struct sl_kernel DIRECT(sl_conv2d_pool_fwd_direct_bf16) = {
    .element = SL_ELEMENT_BF16,
    .need = direct_bf16_pooled_need,
    .open = direct_pooled_open,
    .pack = direct_forward_pack,
    .run = direct_bf16_pooled_slice,
};

const struct sl_kernel DIRECT(sl_conv2d_bwd_data_direct_bf16) = {
    .element = SL_ELEMENT_BF16,
    .need = direct_bf16_backward_need,
    .open = direct_backward_open,
    .pack = direct_backward_pack,
    .run = direct_bf16_backward_slice,
};
#endif
