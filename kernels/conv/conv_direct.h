/* Direct convolution, forward and backward-data, as a template over the names of simd/vec_*.h. The file that includes
 * it defines DIRECT(name), the name with its ISA, and DIRECT_PANEL_BYTES.
 *
 * Both passes are one computation over bands (band.h): output pixel t, channel k is the sum over kernel rows of
 * a run of kw*c floats times as many weights. Backward-data is the forward pass of dy under the turned kernel.
 *
 * Weights are packed [blocks of output channels][kh*kw*c][block], zeros in the last block; conv_tile.h
 * multiplies. Where the weights of a block exceed DIRECT_PANEL_BYTES the sum is cut; partial sums wait in y. */
#ifndef SL_KERNELS_CONV_DIRECT_H
#define SL_KERNELS_CONV_DIRECT_H

#include <string.h>

#include "kernels/conv/band.h"
#include "kernels/conv/conv.h"
#include "kernels/conv/conv_ahead.h"
#include "kernels/conv/conv_moments.h"
#include "kernels/conv/conv_tile.h"
#include "kernels/kernels.h"

enum { DIRECT_MOST_SCRATCH = 1 << 28 };

/* All output pixels of a unit for one piece, in tiles as even as possible. */
static void direct_pixels(const struct sl_band_view *view, const struct direct_piece *piece, int32_t block,
                          struct direct_ahead *ahead, float *y)
{
    direct_tile_fn *const *tiles = direct_narrow;
#if V_REGISTERS == 32
    if (block == 4 * VL)
        tiles = direct_wide;
#endif
    const int32_t longest = DIRECT_SUMS / (block / VL);
    const int32_t count = (view->pixels + longest - 1) / longest;
    const int32_t size = view->pixels / count, longer = view->pixels % count;
    for (int32_t i = 0, t = 0; i < count; i++) {
        const int32_t pixels = size + (i < longer);
        tiles[pixels - 1](piece, view->offset + t, y + t * piece->ys);
        direct_prefetch(ahead);
        t += pixels;
    }
}

/* One computation over bands: what both passes have become. */
struct direct {
    struct sl_band band;
    int32_t k, ys, block; /* output channels, floats of an output pixel, channels of a block */
    const float *x, *weights, *bias;
    float slope;
    float *y, *moments;
};

static const struct sl_band_goal direct_goal = {.bytes = 160 << 10, .most = 1024, .least = 96, .units = 64};

static struct direct direct_forward(const struct sl_conv2d *s)
{
    struct direct d = {.band = sl_band_forward(s), .k = s->k, .ys = s->ys, .block = direct_block(s->k)};
    sl_band_plan(&d.band, &direct_goal);
    return d;
}

static struct direct direct_backward(const struct sl_conv2d *s)
{
    struct direct d = {.band = sl_band_backward(s), .k = s->c, .ys = s->xs, .block = direct_block(s->c), .slope = 1.0f};
    sl_band_plan(&d.band, &direct_goal);
    return d;
}

/* The whole sum of one block of output channels, in pieces of at most DIRECT_PANEL_BYTES of weights. */
static void direct_block_run(const struct direct *d, const struct sl_band_view *view, int32_t first,
                             struct direct_ahead *ahead, float *y)
{
    float bias[DIRECT_VECTORS * VL] = {0};
    const int32_t here = d->k - first < d->block ? d->k - first : d->block;
    if (d->bias)
        memcpy(bias, d->bias + first, (size_t)here * sizeof *bias);
    const int32_t kernel_row = d->band.kw * d->band.c;
    const int32_t floats = DIRECT_PANEL_BYTES / (int32_t)sizeof(float) / d->block;
    const int32_t parts = (kernel_row + floats - 1) / floats, part = (kernel_row + parts - 1) / parts;
    const int32_t rows = parts > 1 ? 1 : floats / kernel_row;
    struct direct_piece piece = {.row = view->row, .ys = d->ys};
    piece.lanes = d->ys - first < d->block ? d->ys - first : d->block;
    for (int32_t r = 0; r < d->band.kh; r += rows)
        for (int32_t from = 0; from < kernel_row; from += part) {
            piece.x = view->x + r * view->row + from;
            piece.rows = d->band.kh - r < rows ? d->band.kh - r : rows;
            piece.run = kernel_row - from < part ? kernel_row - from : part;
            piece.weights = d->weights +
                            ((size_t)first * (size_t)d->band.kh + (size_t)r * (size_t)d->block) * (size_t)kernel_row +
                            (size_t)from * (size_t)d->block;
            piece.bias = r || from ? NULL : bias;
            piece.slope = r + piece.rows == d->band.kh && from + piece.run == kernel_row ? d->slope : 1.0f;
            direct_pixels(view, &piece, d->block, ahead, y + first);
        }
}

/* The source of unit `next`, or nothing. */
static struct direct_ahead direct_next(const struct direct *d, int64_t next, int64_t end)
{
    const int64_t tiles =
        (sl_band_pixels(&d->band) + DIRECT_TILE - 1) / DIRECT_TILE * ((d->k + d->block - 1) / d->block);
    if (next >= end)
        return direct_ahead_of(NULL, 0, 0, 0, tiles);
    const struct sl_band_source source = sl_band_source(&d->band, d->x, next);
    return direct_ahead_of(source.x, source.pixels, d->band.c * (ptrdiff_t)sizeof(float),
                           d->band.xs * (ptrdiff_t)sizeof(float), tiles);
}

static void direct_run(const struct direct *d, const struct sl_work *work)
{
    const int32_t written = sl_round_up(d->k, d->block);
    for (int64_t unit = work->begin; unit < work->end; unit++) {
        const struct sl_band_view view = sl_band_open(&d->band, d->x, unit, work->scratch);
        struct direct_ahead ahead = direct_next(d, unit + 1, work->end);
        float *y = d->y + view.first * d->ys;
        for (int32_t first = 0; first < d->k; first += d->block)
            direct_block_run(d, &view, first, &ahead, y);
        for (int32_t t = 0; t < view.pixels && written < d->ys; t++)
            memset(y + (ptrdiff_t)t * d->ys + written, 0, (size_t)(d->ys - written) * sizeof *y);
        if (d->moments)
            direct_moments(view.pixels, d->ys, y, d->moments + (size_t)unit * sl_moments_size(d->ys));
    }
}

/* --- conv2d_fwd ------------------------------------------------------------------------------------------------ */

static bool direct_forward_fits(const void *shape)
{
    const struct direct d = direct_forward(shape);
    return sl_band_scratch(&d.band) <= DIRECT_MOST_SCRATCH;
}

static int64_t direct_forward_units(const void *shape)
{
    const struct direct d = direct_forward(shape);
    return sl_band_units(&d.band);
}

static size_t direct_forward_scratch(const void *shape)
{
    const struct direct d = direct_forward(shape);
    return sl_band_scratch(&d.band);
}

static size_t direct_forward_packed(const void *shape)
{
    const struct sl_conv2d *s = shape;
    return (size_t)sl_round_up(s->k, direct_block(s->k)) * (size_t)s->kh * (size_t)s->kw * (size_t)s->c;
}

/* A unit of packing is one block of output channels. */
static int64_t direct_forward_pack_units(const void *shape)
{
    const struct sl_conv2d *s = shape;
    return sl_round_up(s->k, direct_block(s->k)) / direct_block(s->k);
}

static void direct_forward_pack(const void *shape, const float *weights, float *packed, const struct sl_work *work)
{
    const struct sl_conv2d *s = shape;
    const int32_t block = direct_block(s->k);
    const size_t filter = (size_t)s->kh * (size_t)s->kw * (size_t)s->c;
    for (int64_t b = work->begin; b < work->end; b++) {
        const float *from = weights + (size_t)(b * block) * filter;
        float *to = packed + (size_t)(b * block) * filter;
        for (size_t i = 0; i < filter; i++)
            for (int32_t k = 0; k < block; k++)
                *to++ = b * block + k < s->k ? from[(size_t)k * filter + i] : 0.0f;
    }
}

static void direct_forward_run(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_conv2d_fwd *a = args;
    struct direct d = direct_forward(shape);
    d.x = a->x;
    d.weights = a->weights;
    d.bias = a->bias;
    d.slope = a->slope;
    d.y = a->y;
    d.moments = a->moments;
    direct_run(&d, work);
}

/* --- conv2d_bwd_data ------------------------------------------------------------------------------------------- */

static bool direct_backward_fits(const void *shape)
{
    const struct direct d = direct_backward(shape);
    return sl_band_scratch(&d.band) <= DIRECT_MOST_SCRATCH;
}

static int64_t direct_backward_units(const void *shape)
{
    const struct direct d = direct_backward(shape);
    return sl_band_units(&d.band);
}

static size_t direct_backward_scratch(const void *shape)
{
    const struct direct d = direct_backward(shape);
    return sl_band_scratch(&d.band);
}

static size_t direct_backward_packed(const void *shape)
{
    const struct sl_conv2d *s = shape;
    return (size_t)sl_round_up(s->c, direct_block(s->c)) * (size_t)s->kh * (size_t)s->kw * (size_t)s->k;
}

/* A unit of packing is one block of input channels. */
static int64_t direct_backward_pack_units(const void *shape)
{
    const struct sl_conv2d *s = shape;
    return sl_round_up(s->c, direct_block(s->c)) / direct_block(s->c);
}

/* The kernel turned by 180 degrees, input and output channels exchanged. */
static void direct_backward_pack(const void *shape, const float *weights, float *packed, const struct sl_work *work)
{
    const struct sl_conv2d *s = shape;
    const int32_t block = direct_block(s->c);
    const size_t window = (size_t)s->kh * (size_t)s->kw;
    for (int64_t b = work->begin; b < work->end; b++) {
        const int32_t first = (int32_t)b * block, here = s->c - first < block ? s->c - first : block;
        float *to = packed + (size_t)first * window * (size_t)s->k;
        for (size_t i = 0; i < window; i++)
            for (int32_t k = 0; k < s->k; k++, to += block) {
                memcpy(to, weights + ((size_t)k * window + window - 1 - i) * (size_t)s->c + first,
                       (size_t)here * sizeof *to);
                memset(to + here, 0, (size_t)(block - here) * sizeof *to);
            }
    }
}

static void direct_backward_run(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_conv2d_bwd_data *a = args;
    struct direct d = direct_backward(shape);
    d.x = a->dy;
    d.weights = a->weights;
    d.y = a->dx;
    direct_run(&d, work);
}

const struct sl_kernel DIRECT(sl_conv2d_fwd_direct) = {
    .fits = direct_forward_fits,
    .units = direct_forward_units,
    .scratch = direct_forward_scratch,
    .packed = direct_forward_packed,
    .pack = direct_forward_pack,
    .pack_units = direct_forward_pack_units,
    .run = direct_forward_run,
};

const struct sl_kernel DIRECT(sl_conv2d_bwd_data_direct) = {
    .fits = direct_backward_fits,
    .units = direct_backward_units,
    .scratch = direct_backward_scratch,
    .packed = direct_backward_packed,
    .pack = direct_backward_pack,
    .pack_units = direct_backward_pack_units,
    .run = direct_backward_run,
};
#endif
