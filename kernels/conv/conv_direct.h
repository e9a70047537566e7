/* Direct convolution, forward and backward-data, as a template over the names of simd/vec_*.h. The file that includes it
 * defines DIRECT(name), the name with its ISA, and DIRECT_PANEL_BYTES.
 *
 * Both passes are one computation over bands (band.h): output pixel t, channel k is the sum over kernel rows of
 * a run of kw*c floats times as many weights. Backward-data is the forward pass of dy under the turned kernel.
 *
 * Weights are packed [blocks of output channels][kh*kw*c][block], zeros in the last block. A register tile holds
 * some pixels x one block: per step of the sum it loads the block's weights, broadcasts one float of each pixel
 * and multiplies. AVX2: 6 pixels x 16 channels, 12 accumulators of 16 registers. AVX-512: 6 x 64 or 12 x 32,
 * 24 of 32. The sum is cut so that the weights in use stay in the first-level cache; partial sums wait in y. */
#ifndef SL_KERNELS_CONV_DIRECT_H
#define SL_KERNELS_CONV_DIRECT_H

#include <string.h>

#include "kernels/conv/band.h"
#include "kernels/conv/conv.h"
#include "kernels/kernels.h"
#include "kernels/norm/norm.h"

#define DIRECT_INLINE static inline __attribute__((always_inline))
#define DIRECT_UNROLL _Pragma("GCC unroll 16")

enum {
    DIRECT_VECTORS = V_REGISTERS == 32 ? 4 : 2,  /* of the widest block */
    DIRECT_TILE = V_REGISTERS == 32 ? 12 : 6,    /* pixels of the longest tile */
    DIRECT_MOST_SCRATCH = 1 << 28,
};

/* A piece of the sum for one block of output channels: kernel rows [.., rows), `run` floats of each. */
struct direct_piece {
    const float *x;       /* of output pixel 0's run, in the first kernel row of the piece */
    ptrdiff_t row;        /* floats from one kernel row to the next */
    int32_t rows, run;
    const float *weights; /* [rows][run][block] of this piece; row_weights floats from row to row */
    const float *bias;    /* of this block, zero-padded; NULL: the tile continues the sum in y */
    bool last;            /* apply the activation */
    float slope;
    int32_t lanes;        /* floats of a pixel of y that belong to this block */
    ptrdiff_t ys;
};

/* Accumulators start from the bias, or from y. */
DIRECT_INLINE void direct_begin(const int pixels, const int vectors, const struct direct_piece *piece, const float *y,
                                vf sum[DIRECT_TILE][DIRECT_VECTORS])
{
    DIRECT_UNROLL
    for (int i = 0; i < pixels; i++) {
        DIRECT_UNROLL
        for (int v = 0; v < vectors; v++) {
            const int lanes = piece->lanes - v * VL;
            if (piece->bias)
                sum[i][v] = v_load(piece->bias + v * VL);
            else if (lanes >= VL)
                sum[i][v] = v_load(y + i * piece->ys + v * VL);
            else
                sum[i][v] = v_load_head(y + i * piece->ys + v * VL, lanes < 0 ? 0 : lanes);
        }
    }
}

DIRECT_INLINE void direct_end(const int pixels, const int vectors, const struct direct_piece *piece, float *y,
                              vf sum[DIRECT_TILE][DIRECT_VECTORS])
{
    const vf slope = v_set1(piece->slope);
    DIRECT_UNROLL
    for (int i = 0; i < pixels; i++) {
        DIRECT_UNROLL
        for (int v = 0; v < vectors; v++) {
            const int lanes = piece->lanes - v * VL;
            vf a = sum[i][v];
            if (piece->last)
                a = v_select(v_ge(a, v_zero()), a, v_mul(a, slope));
            if (lanes >= VL)
                v_store(y + i * piece->ys + v * VL, a);
            else if (lanes > 0)
                v_store_head(y + i * piece->ys + v * VL, a, lanes);
        }
    }
}

/* One register tile: the pixels whose runs begin at offset[0..pixels), to y. */
DIRECT_INLINE void direct_tile(const int pixels, const int vectors, const struct direct_piece *piece,
                               const ptrdiff_t *offset, float *y)
{
    vf sum[DIRECT_TILE][DIRECT_VECTORS];
    const float *x[DIRECT_TILE];
    DIRECT_UNROLL
    for (int i = 0; i < pixels; i++) {
        x[i] = piece->x + offset[i];
        __builtin_prefetch(y + i * piece->ys, 1);
    }
    direct_begin(pixels, vectors, piece, y, sum);
    const float *w = piece->weights;
    for (int32_t r = 0; r < piece->rows; r++) {
        const ptrdiff_t begin = r * piece->row, end = begin + piece->run;
        for (ptrdiff_t j = begin; j < end; j++, w += vectors * VL) {
            vf weight[DIRECT_VECTORS];
            DIRECT_UNROLL
            for (int v = 0; v < vectors; v++)
                weight[v] = v_load(w + v * VL);
            DIRECT_UNROLL
            for (int i = 0; i < pixels; i++) {
                const vf a = v_set1(x[i][j]);
                DIRECT_UNROLL
                for (int v = 0; v < vectors; v++)
                    sum[i][v] = v_fma(a, weight[v], sum[i][v]);
            }
        }
    }
    direct_end(pixels, vectors, piece, y, sum);
}

/* A function of its own for each tile, so that each has its registers to itself. */
#define DIRECT_TILE_OF(pixels, vectors)                                                                              \
    static __attribute__((noinline)) void direct_tile_##pixels##x##vectors(const struct direct_piece *piece,         \
                                                                           const ptrdiff_t *offset, float *y)        \
    {                                                                                                                \
        direct_tile(pixels, vectors, piece, offset, y);                                                              \
    }
typedef void direct_tile_fn(const struct direct_piece *piece, const ptrdiff_t *offset, float *y);

DIRECT_TILE_OF(1, 2)
DIRECT_TILE_OF(2, 2)
DIRECT_TILE_OF(3, 2)
DIRECT_TILE_OF(4, 2)
DIRECT_TILE_OF(5, 2)
DIRECT_TILE_OF(6, 2)
#if V_REGISTERS == 32
DIRECT_TILE_OF(7, 2)
DIRECT_TILE_OF(8, 2)
DIRECT_TILE_OF(9, 2)
DIRECT_TILE_OF(10, 2)
DIRECT_TILE_OF(11, 2)
DIRECT_TILE_OF(12, 2)
DIRECT_TILE_OF(1, 4)
DIRECT_TILE_OF(2, 4)
DIRECT_TILE_OF(3, 4)
DIRECT_TILE_OF(4, 4)
DIRECT_TILE_OF(5, 4)
DIRECT_TILE_OF(6, 4)
#endif

/* Output channels of a block: AVX-512 takes 64 where that wastes no more than 32 does. */
static int32_t direct_block(int32_t k)
{
    return DIRECT_VECTORS == 4 && sl_round_up(k, 4 * VL) == sl_round_up(k, 2 * VL) ? 4 * VL : 2 * VL;
}

/* All output pixels of a unit for one piece, in tiles as even as possible. */
static void direct_pixels(const struct sl_band_view *view, const struct direct_piece *piece, int32_t block, float *y)
{
    static direct_tile_fn *const narrow[] = {
        direct_tile_1x2,  direct_tile_2x2,  direct_tile_3x2,  direct_tile_4x2, direct_tile_5x2,  direct_tile_6x2,
#if V_REGISTERS == 32
        direct_tile_7x2,  direct_tile_8x2,  direct_tile_9x2,  direct_tile_10x2, direct_tile_11x2, direct_tile_12x2,
    };
    static direct_tile_fn *const wide[] = {direct_tile_1x4, direct_tile_2x4, direct_tile_3x4,
                                           direct_tile_4x4, direct_tile_5x4, direct_tile_6x4};
    direct_tile_fn *const *tiles = block == 4 * VL ? wide : narrow;
    const int32_t longest = block == 4 * VL ? 6 : 12;
#else
    };
    direct_tile_fn *const *tiles = narrow;
    const int32_t longest = block == 2 * VL ? 6 : 0;
#endif
    const int32_t count = (view->pixels + longest - 1) / longest;
    const int32_t size = view->pixels / count, longer = view->pixels % count;
    for (int32_t i = 0, t = 0; i < count; i++) {
        const int32_t pixels = size + (i < longer);
        tiles[pixels - 1](piece, view->offset + t, y + t * piece->ys);
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

/* The whole sum of one block of output channels, in pieces whose weights stay in the first-level cache. */
static void direct_block_run(const struct direct *d, const struct sl_band_view *view, int32_t first, float *y)
{
    float bias[DIRECT_VECTORS * VL] = {0};
    const int32_t here = d->k - first < d->block ? d->k - first : d->block;
    if (d->bias)
        memcpy(bias, d->bias + first, (size_t)here * sizeof *bias);
    const int32_t kernel_row = d->band.kw * d->band.c;
    const int32_t floats = DIRECT_PANEL_BYTES / (int32_t)sizeof(float) / d->block;
    const int32_t parts = (kernel_row + floats - 1) / floats, part = (kernel_row + parts - 1) / parts;
    const int32_t rows = parts > 1 ? 1 : floats / kernel_row;
    struct direct_piece piece = {.row = view->row, .slope = d->slope, .ys = d->ys};
    piece.lanes = d->ys - first < d->block ? d->ys - first : d->block;
    for (int32_t r = 0; r < d->band.kh; r += rows)
        for (int32_t from = 0; from < kernel_row; from += part) {
            piece.x = view->x + r * view->row + from;
            piece.rows = d->band.kh - r < rows ? d->band.kh - r : rows;
            piece.run = kernel_row - from < part ? kernel_row - from : part;
            piece.weights = d->weights + ((size_t)first * (size_t)d->band.kh + (size_t)r * (size_t)d->block) * (size_t)kernel_row +
                            (size_t)from * (size_t)d->block;
            piece.bias = r || from ? NULL : bias;
            piece.last = r + piece.rows == d->band.kh && from + piece.run == kernel_row && d->slope != 1.0f;
            direct_pixels(view, &piece, d->block, y + first);
        }
}

/* Mean and sum of squared deviations of the pixels of a unit, channel by channel, while they are in cache. */
static void direct_moments(int32_t pixels, int32_t ys, const float *y, float *record)
{
    const vf scale = v_set1(1.0f / (float)pixels);
    for (int32_t k = 0; k < ys; k += VL) {
        const int lanes = ys - k < VL ? ys - k : VL;
        vf sum = v_zero(), squares = v_zero();
        for (int32_t t = 0; t < pixels; t++)
            sum = v_add(sum, v_load_head(y + (ptrdiff_t)t * ys + k, lanes));
        const vf mean = v_mul(sum, scale);
        for (int32_t t = 0; t < pixels; t++) {
            const vf d = v_sub(v_load_head(y + (ptrdiff_t)t * ys + k, lanes), mean);
            squares = v_fma(d, d, squares);
        }
        v_store_head(record + k, mean, lanes);
        v_store_head(record + ys + k, squares, lanes);
    }
    memset(record + 2 * ys, 0, SL_LANES * sizeof *record);
    record[2 * ys] = (float)pixels;
}

static void direct_run(const struct direct *d, const struct sl_work *work)
{
    const int32_t written = sl_round_up(d->k, d->block);
    for (int64_t unit = work->begin; unit < work->end; unit++) {
        const struct sl_band_view view = sl_band_open(&d->band, d->x, unit, work->scratch);
        float *y = d->y + view.first * d->ys;
        for (int32_t first = 0; first < d->k; first += d->block)
            direct_block_run(d, &view, first, y);
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
                memcpy(to, weights + ((size_t)k * window + window - 1 - i) * (size_t)s->c + first, (size_t)here * sizeof *to);
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
