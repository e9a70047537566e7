/* The direct convolution, forward and backward-data, as a template over the names of simd/vec_*.h. The file that
 * includes it defines DIRECT(name), the name with its ISA, and DIRECT_PIECE_BYTES.
 *
 * Both passes are one computation (README.md): for each output pixel and each output channel, a sum over the taps that
 * the pixel meets (window.h) and over the channels of the source. Backward-data is the forward pass of dy under the
 * turned kernel.
 *
 * Packed weights are [blocks of output channels][taps, phase by phase][channels of the source][block], with zeros past
 * the last output channel. */
#ifndef SL_KERNELS_CONV_DIRECT_H
#define SL_KERNELS_CONV_DIRECT_H

#include <string.h>

#include "kernels/contract.h"
#include "kernels/conv/conv.h"
#include "kernels/conv/conv_ahead.h"
#include "kernels/conv/conv_sum.h"
#include "kernels/kernels.h"
#include "kernels/norm/norm.h"

enum {
    DIRECT_MOST_SCRATCH = 1 << 28,
};

/* Blocks of output channels, of which the last may be narrower. */
static int32_t direct_blocks(int32_t k)
{
    return (k + DIRECT_BLOCK - 1) / DIRECT_BLOCK;
}

/* What both passes have become. */
struct direct {
    struct sl_window window;
    int32_t k; /* output channels */
    const float *x, *weights, *bias;
    float slope;
    float *y, *moments;
    bool streams; /* y goes past the caches */
};

/* The launch hands out the blocks of output channels of each unit of pixels, one after the other. */
static int64_t direct_units(const struct direct *d)
{
    return sl_units_count(&d->window.units) * direct_blocks(d->k);
}

/* The source of a unit should stay in the second-level cache, because each block of output channels reads it again. But
 * each unit reads all weights again: where they are many, larger units cost less. */
static struct sl_units_goal direct_goal(const struct sl_conv2d *s)
{
    enum { NEAR = 160 << 10 };
    const size_t weights = sl_conv2d_weights(s) * sizeof(float) / 8;
    return (struct sl_units_goal){.bytes = weights > NEAR ? weights : NEAR, .most = 1024, .least = 96, .units = 64};
}

/* Do the units fill a node of many cores? Where the last block is narrower than the others, units are alike only with
 * all blocks of their pixels. */
static bool direct_fills(const struct direct *d)
{
    return sl_units_fill(direct_written(d->k) % DIRECT_BLOCK ? sl_units_count(&d->window.units) : direct_units(d));
}

/* Units are made smaller where those wanted at first fill no node of many cores, and more do. */
static struct direct direct_plan(const struct sl_conv2d *s, int32_t k,
                                 struct sl_window window(const struct sl_conv2d *s, const struct sl_units_goal *goal))
{
    enum { LEAST = 32, ENOUGH = 512 };
    struct sl_units_goal goal = direct_goal(s);
    struct direct d = {.k = k, .slope = 1.0f};
    d.window = window(s, &goal);
    while (!direct_fills(&d) && direct_units(&d) < ENOUGH && goal.least > LEAST) {
        goal.units *= 2;
        goal.least = goal.least / 2 > LEAST ? goal.least / 2 : LEAST;
        d.window = window(s, &goal);
    }
    return d;
}

static struct direct direct_forward(const struct sl_conv2d *s)
{
    return direct_plan(s, s->k, sl_window_forward);
}

static struct direct direct_backward(const struct sl_conv2d *s)
{
    return direct_plan(s, s->c, sl_window_backward);
}

/* One block of output channels of a unit, group by group. Where the source's pixels hold nothing but channels, the taps
 * of a kernel row are joined into one run. */
static void direct_one_block(const struct direct *d, const struct sl_window_view *view, int32_t first,
                             struct direct_coming *coming, float *y, float *record)
{
    const struct sl_window *w = &d->window;
    const struct direct_tiles *tiles = direct_tiles_for(d->k - first);
    const ptrdiff_t tap = (ptrdiff_t)w->c * tiles->width, filter = (ptrdiff_t)w->c * w->rows.kernel * w->columns.kernel;
    float bias[DIRECT_VECTORS * VL] = {0};
    if (d->bias)
        memcpy(bias, d->bias + first, (size_t)direct_smaller(d->k - first, tiles->width) * sizeof *bias);
    struct direct_moments moments = {0};
    if (record) {
        moments.mean = record + first;
        moments.squares = record + w->ys + first;
    }
    struct sl_group group = {0};
    while (sl_window_next(w, &view->unit, &group)) {
        const bool joined = w->c == w->xs;
        const struct direct_sum sum = {
            .window = w,
            .tiles = tiles,
            .x = view->x,
            .weights = d->weights + first * filter + sl_window_tap_number(w, &group) * tap,
            .bias = bias,
            .slope = d->slope,
            .rows = group.rows.taps,
            .runs = joined ? group.columns.taps > 0 : group.columns.taps,
            .run = joined ? group.columns.taps * w->c : w->c,
            .weights_row = sl_window_row_taps(w, group.columns.phase) * tap,
            .lanes = direct_smaller(w->ys - first, tiles->width),
            .streams = d->streams,
            .moments = record ? &moments : NULL,
        };
        direct_group(&sum, view->pixels + group.begin, group.count, coming, y + first);
    }
}

/* The source of the pixels of unit `next`, to be prefetched; nothing past the end of the slice. */
static struct direct_coming direct_next(const struct direct *d, int64_t next, int64_t end)
{
    const struct sl_window *w = &d->window;
    if (next >= end)
        return (struct direct_coming){(const char *)d->x, 0};
    const struct sl_unit_source source = sl_window_source(w, next);
    return (struct direct_coming){(const char *)(d->x + source.first * w->xs),
                                  (ptrdiff_t)source.pixels * w->xs * (ptrdiff_t)sizeof(float)};
}

static bool direct_streams(const struct direct *d)
{
    const struct sl_window *w = &d->window;
    const size_t pixels = (size_t)w->units.n * (size_t)w->rows.output * (size_t)w->columns.output;
    return w->ys % SL_LANES == 0 && sl_passes_caches(d->y, pixels * (size_t)w->ys * sizeof(float));
}

/* The record of a unit, of no pixels yet, as far as lanes [k, end) go. Whoever takes the first ones says how many
 * pixels there are. */
static void direct_open_record(int32_t pixels, int32_t ys, int32_t k, int32_t end, float *record)
{
    memset(record + k, 0, (size_t)(end - k) * sizeof *record);
    memset(record + ys + k, 0, (size_t)(end - k) * sizeof *record);
    if (k > 0)
        return;
    memset(record + 2 * ys, 0, SL_LANES * sizeof *record);
    record[2 * ys] = (float)pixels;
}

/* Blocks [begin, end) of the output channels of some pixels. The last one clears the lanes past it. */
static void direct_unit(const struct direct *d, const struct sl_window_view *view, int32_t begin, int32_t end,
                        struct direct_coming *coming, float *record)
{
    const int32_t ys = d->window.ys, written = direct_written(d->k);
    const bool last = end == direct_blocks(d->k);
    float *y = d->y + view->first * ys;
    if (record)
        direct_open_record(view->count, ys, begin * DIRECT_BLOCK, last ? ys : end * DIRECT_BLOCK, record);
    for (int32_t b = begin; b < end; b++)
        direct_one_block(d, view, b * DIRECT_BLOCK, coming, y, record);
    for (int32_t t = 0; last && t < view->count && written < ys; t++)
        memset(y + (ptrdiff_t)t * ys + written, 0, (size_t)(ys - written) * sizeof *y);
}

static void direct_slice(const struct direct *d, const struct sl_work *work)
{
    const int32_t blocks = direct_blocks(d->k);
    const int64_t end = (work->end + blocks - 1) / blocks;
    for (int64_t unit = work->begin / blocks; unit < end; unit++) {
        const int64_t first = unit * blocks, last = first + blocks;
        const struct sl_window_view view = sl_window_open(&d->window, d->x, unit, work->scratch);
        struct direct_coming coming = direct_next(d, unit + 1, end);
        float *record = d->moments ? d->moments + (size_t)unit * sl_moments_size(d->window.ys) : NULL;
        direct_unit(d, &view, (int32_t)(work->begin > first ? work->begin - first : 0),
                    (int32_t)((work->end < last ? work->end : last) - first), &coming, record);
    }
    v_streamed();
}

/* What both passes need of the launch. Packing hands out blocks of output channels. */
static void direct_need(const struct direct *d, struct sl_need *need)
{
    need->units = direct_units(d);
    need->joins = direct_blocks(d->k) > 1;
    need->together = direct_blocks(d->k);
    need->records = sl_units_count(&d->window.units);
    need->scratch = sl_window_scratch(&d->window);
    need->state = sizeof *d;
    need->pack_units = direct_blocks(d->k);
}

/* --- conv2d_fwd ------------------------------------------------------------------------------------------------ */

static bool direct_forward_need(const void *shape, struct sl_need *need)
{
    const struct sl_conv2d *s = shape;
    const struct direct d = direct_forward(s);
    direct_need(&d, need);
    need->packed = (size_t)direct_written(s->k) * (size_t)s->kh * (size_t)s->kw * (size_t)s->c * sizeof(float);
    return need->scratch <= DIRECT_MOST_SCRATCH;
}

static int direct_forward_open(const void *shape, const struct sl_device *device, void *state)
{
    (void)device;
    *(struct direct *)state = direct_forward(shape);
    return SL_OK;
}

static void direct_forward_pack(const void *shape, const float *weights, void *packed, const struct sl_work *work)
{
    const struct sl_conv2d *s = shape;
    const ptrdiff_t filter = (ptrdiff_t)s->kh * s->kw * s->c;
    assert(sl_slice_is_within(work, direct_blocks(s->k)));
    for (int64_t b = work->begin; b < work->end; b++) {
        const int32_t first = (int32_t)b * DIRECT_BLOCK, width = direct_tiles_for(s->k - first)->width;
        const float *from = weights + first * filter;
        float *to = (float *)packed + first * filter;
        for (ptrdiff_t i = 0; i < filter; i++)
            for (int32_t k = 0; k < width; k++)
                *to++ = first + k < s->k ? from[k * filter + i] : 0.0f;
    }
}

static void direct_forward_slice(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_conv2d_fwd *a = args;
    struct direct d = *(const struct direct *)work->state;
    (void)shape; /* the state holds what follows from it */
    assert(sl_conv2d_is_sound(shape) && sl_work_fits(work, direct_forward_need, shape));
    assert(sl_are_apart(SL_ELEMENT_F32, a->x, sl_conv2d_inputs(shape), a->y, sl_conv2d_outputs(shape)));
    d.x = a->x;
    d.weights = a->weights;
    d.bias = a->bias;
    d.slope = a->slope;
    d.y = a->y;
    d.moments = a->moments;
    d.streams = direct_streams(&d);
    direct_slice(&d, work);
}

/* --- conv2d_bwd_data ------------------------------------------------------------------------------------------- */

static bool direct_backward_need(const void *shape, struct sl_need *need)
{
    const struct sl_conv2d *s = shape;
    const struct direct d = direct_backward(s);
    direct_need(&d, need);
    need->packed = (size_t)direct_written(s->c) * (size_t)s->kh * (size_t)s->kw * (size_t)s->k * sizeof(float);
    return need->scratch <= DIRECT_MOST_SCRATCH;
}

static int direct_backward_open(const void *shape, const struct sl_device *device, void *state)
{
    (void)device;
    *(struct direct *)state = direct_backward(shape);
    return SL_OK;
}

/* `here` floats, and zeros up to `width`, which is a few vectors. */
static inline void direct_copy(const float *from, int32_t here, float *to, int32_t width)
{
    for (int32_t v = 0; v < width; v += VL) {
        const int32_t lanes = here - v;
        v_store(to + v, lanes >= VL ? v_load(from + v) : v_load_head(from + v, lanes > 0 ? lanes : 0));
    }
}

/* The kernel turned by 180 degrees, with input and output channels exchanged. */
static void direct_backward_pack(const void *shape, const float *weights, void *packed, const struct sl_work *work)
{
    const struct sl_conv2d *s = shape;
    const struct direct *d = work->state;
    const int64_t taps = (int64_t)s->kh * s->kw;
    assert(sl_slice_is_within(work, direct_blocks(s->c)));
    for (int64_t b = work->begin; b < work->end; b++) {
        const int32_t first = (int32_t)b * DIRECT_BLOCK, width = direct_tiles_for(s->c - first)->width;
        float *to = (float *)packed + first * taps * s->k;
        for (int64_t i = 0; i < taps; i++) {
            const float *from = weights + (taps - 1 - sl_window_tap(&d->window, i)) * s->c + first;
            for (int32_t k = 0; k < s->k; k++, from += taps * s->c, to += width)
                direct_copy(from, direct_smaller(s->c - first, width), to, width);
        }
    }
}

static void direct_backward_slice(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_conv2d_bwd_data *a = args;
    struct direct d = *(const struct direct *)work->state;
    (void)shape; /* the state holds what follows from it */
    assert(sl_conv2d_is_sound(shape) && sl_work_fits(work, direct_backward_need, shape));
    assert(sl_are_apart(SL_ELEMENT_F32, a->dy, sl_conv2d_outputs(shape), a->dx, sl_conv2d_inputs(shape)));
    d.x = a->dy;
    d.weights = a->weights;
    d.y = a->dx;
    d.streams = direct_streams(&d);
    direct_slice(&d, work);
}

const struct sl_kernel DIRECT(sl_conv2d_fwd_direct) = {
    .need = direct_forward_need,
    .open = direct_forward_open,
    .pack = direct_forward_pack,
    .run = direct_forward_slice,
};

const struct sl_kernel DIRECT(sl_conv2d_bwd_data_direct) = {
    .need = direct_backward_need,
    .open = direct_backward_open,
    .pack = direct_backward_pack,
    .run = direct_backward_slice,
};
#endif
