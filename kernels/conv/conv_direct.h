/* Direct convolution, forward and backward-data, as a template over the names of simd/vec_*.h. The file that includes it
 * defines DIRECT(name), the name with its ISA, and DIRECT_PANEL_BYTES.
 *
 * Both passes are one computation over bands (band.h): output pixel t, channel k is the sum over kernel rows of
 * a run of kw*c floats times as many weights. Backward-data is the forward pass of dy under the turned kernel.
 *
 * Weights are packed [blocks of output channels][kh*kw*c][block], zeros in the last block. A register tile holds
 * some pixels x one block: per step of the sum it loads the block's weights, broadcasts one float of each pixel
 * and multiplies. AVX2: 6 pixels x 16 channels, 12 accumulators of 16 registers. AVX-512: 6 x 64 or 12 x 32,
 * 24 of 32. Where the weights of a block exceed DIRECT_PANEL_BYTES the sum is cut; partial sums wait in y. */
#ifndef SL_KERNELS_CONV_DIRECT_H
#define SL_KERNELS_CONV_DIRECT_H

#include <string.h>

#include "kernels/conv/band.h"
#include "kernels/conv/conv.h"
#include "kernels/kernels.h"
#include "kernels/norm/norm.h"

/* Tiles keep their sums in registers only if their sizes are constants and every loop over them is unrolled. Emulated
 * vectors are in memory anyway, and unrolled they take minutes to compile with sanitizers. */
#ifdef SL_SIMD_EMULATED
#define DIRECT_INLINE static __attribute__((noinline))
#define DIRECT_UNROLL
#else
#define DIRECT_INLINE static inline __attribute__((always_inline))
#define DIRECT_UNROLL _Pragma("GCC unroll 16")
#endif

enum {
    DIRECT_VECTORS = V_REGISTERS == 32 ? 4 : 2,  /* of the widest block */
    DIRECT_TILE = V_REGISTERS == 32 ? 12 : 6,    /* pixels of the longest tile */
    DIRECT_MOMENTS = 4,                          /* vectors of channels whose moments are summed at once */
    DIRECT_MOST_SCRATCH = 1 << 28,
};

/* A piece of the sum for one block of output channels: kernel rows [.., rows), `run` floats of each. */
struct direct_piece {
    const float *x;       /* of output pixel 0's run, in the first kernel row of the piece */
    ptrdiff_t row;        /* floats from one kernel row to the next */
    int32_t rows, run;
    const float *weights; /* [rows][run][block] of this piece; row_weights floats from row to row */
    const float *bias;    /* of this block, zero-padded; NULL: the tile continues the sum in y */
    float slope;          /* of the activation; 1: none yet */
    int32_t lanes;        /* floats of a pixel of y that belong to this block */
    ptrdiff_t ys;
};

/* Lanes of vector v of a block that belong to y. */
DIRECT_INLINE int direct_lanes(const struct direct_piece *piece, int v)
{
    const int lanes = piece->lanes - v * VL;
    return lanes < 0 ? 0 : lanes < VL ? lanes : VL;
}

/* Accumulators start from the bias, or from y. */
DIRECT_INLINE void direct_begin(const int pixels, const int vectors, const struct direct_piece *piece, const float *y,
                                vf sum[DIRECT_TILE][DIRECT_VECTORS])
{
    DIRECT_UNROLL
    for (int i = 0; i < pixels; i++) {
        DIRECT_UNROLL
        for (int v = 0; v < vectors; v++) {
            if (piece->bias)
                sum[i][v] = v_load(piece->bias + v * VL);
            else
                sum[i][v] = v_load_head(y + i * piece->ys + v * VL, direct_lanes(piece, v));
        }
    }
}

DIRECT_INLINE vf direct_activate(vf a, float slope)
{
    return v_select(v_ge(a, v_zero()), a, v_mul(a, v_set1(slope)));
}

DIRECT_INLINE void direct_end(const int pixels, const int vectors, const struct direct_piece *piece, float *y,
                              vf sum[DIRECT_TILE][DIRECT_VECTORS])
{
    const bool whole = piece->lanes >= vectors * VL;
    if (piece->slope != 1.0f) {
        DIRECT_UNROLL
        for (int i = 0; i < pixels; i++) {
            DIRECT_UNROLL
            for (int v = 0; v < vectors; v++)
                sum[i][v] = direct_activate(sum[i][v], piece->slope);
        }
    }
    DIRECT_UNROLL
    for (int i = 0; i < pixels; i++) {
        DIRECT_UNROLL
        for (int v = 0; v < vectors; v++) {
            if (whole)
                v_store(y + i * piece->ys + v * VL, sum[i][v]);
            else
                v_store_head(y + i * piece->ys + v * VL, sum[i][v], direct_lanes(piece, v));
        }
    }
}

/* One register tile: the pixels whose runs begin at offset[0..pixels), to y. */
DIRECT_INLINE void direct_tile(const int pixels, const int vectors, const struct direct_piece *piece,
                               const ptrdiff_t *offset, float *y)
{
    vf sum[DIRECT_TILE][DIRECT_VECTORS];
    ptrdiff_t at[DIRECT_TILE];
    DIRECT_UNROLL
    for (int i = 0; i < pixels; i++) {
        at[i] = offset[i];
        __builtin_prefetch(y + i * piece->ys, 1);
    }
    direct_begin(pixels, vectors, piece, y, sum);
    const float *w = piece->weights;
    for (int32_t r = 0; r < piece->rows; r++) {
        const float *x = piece->x + r * piece->row;
        for (const float *end = x + piece->run; x != end; x++, w += vectors * VL) {
            vf weight[DIRECT_VECTORS];
            DIRECT_UNROLL
            for (int v = 0; v < vectors; v++)
                weight[v] = v_load(w + v * VL);
            DIRECT_UNROLL
            for (int i = 0; i < pixels; i++) {
                const vf a = v_set1(x[at[i]]);
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

/* What will be read next, brought into the second-level cache a few lines a tile: otherwise its copy would wait for
 * memory. Rows of `width` bytes, `pitch` bytes apart. */
struct direct_ahead {
    const char *at;
    int64_t rows;
    ptrdiff_t width, pitch, done; /* bytes; done: of the present row */
    int32_t lines;                /* a tile */
};

/* `tiles` calls of direct_prefetch will have asked for all of it. */
static inline struct direct_ahead direct_ahead_of(const void *at, int64_t rows, ptrdiff_t width, ptrdiff_t pitch,
                                                  int64_t tiles)
{
    struct direct_ahead ahead = {at, rows, width, pitch, 0, 0};
    if (width == pitch) {
        ahead.width = ahead.pitch = (ptrdiff_t)rows * width;
        ahead.rows = rows > 0;
    }
    ahead.lines = (int32_t)(ahead.rows * (ahead.width / 64 + 1) / (tiles > 0 ? tiles : 1)) + 1;
    return ahead;
}

static inline void direct_prefetch(struct direct_ahead *ahead)
{
    for (int32_t i = 0; i < ahead->lines && ahead->rows > 0; i++) {
        __builtin_prefetch(ahead->at + ahead->done, 0, 2);
        ahead->done += 64;
        if (ahead->done >= ahead->width) {
            ahead->done = 0;
            ahead->at += ahead->pitch;
            ahead->rows--;
        }
    }
}

/* All output pixels of a unit for one piece, in tiles as even as possible. */
static void direct_pixels(const struct sl_band_view *view, const struct direct_piece *piece, int32_t block,
                          struct direct_ahead *ahead, float *y)
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
            piece.weights = d->weights + ((size_t)first * (size_t)d->band.kh + (size_t)r * (size_t)d->block) * (size_t)kernel_row +
                            (size_t)from * (size_t)d->block;
            piece.bias = r || from ? NULL : bias;
            piece.slope = r + piece.rows == d->band.kh && from + piece.run == kernel_row ? d->slope : 1.0f;
            direct_pixels(view, &piece, d->block, ahead, y + first);
        }
}

DIRECT_INLINE vf direct_load(const float *p, int lanes)
{
    return lanes == VL ? v_load(p) : v_load_head(p, lanes);
}

/* Mean and sum of squared deviations of some channels over the pixels of a unit. Several vectors at once, because
 * each is a chain of additions. */
DIRECT_INLINE void direct_moments_of(const int vectors, int lanes, int32_t pixels, int32_t ys, const float *y,
                                     float *mean, float *squares)
{
    vf sum[DIRECT_MOMENTS], square[DIRECT_MOMENTS];
    DIRECT_UNROLL
    for (int v = 0; v < vectors; v++)
        sum[v] = square[v] = v_zero();
    for (int32_t t = 0; t < pixels; t++) {
        DIRECT_UNROLL
        for (int v = 0; v < vectors; v++)
            sum[v] = v_add(sum[v], direct_load(y + (ptrdiff_t)t * ys + v * VL, lanes));
    }
    DIRECT_UNROLL
    for (int v = 0; v < vectors; v++)
        sum[v] = v_div(sum[v], v_set1((float)pixels));
    for (int32_t t = 0; t < pixels; t++) {
        DIRECT_UNROLL
        for (int v = 0; v < vectors; v++) {
            const vf d = v_sub(direct_load(y + (ptrdiff_t)t * ys + v * VL, lanes), sum[v]);
            square[v] = v_fma(d, d, square[v]);
        }
    }
    DIRECT_UNROLL
    for (int v = 0; v < vectors; v++) {
        v_store_head(mean + v * VL, sum[v], lanes);
        v_store_head(squares + v * VL, square[v], lanes);
    }
}

/* The record of a unit, while its output is in cache. */
static void direct_moments(int32_t pixels, int32_t ys, const float *y, float *record)
{
    int32_t k = 0;
    for (; k + DIRECT_MOMENTS * VL <= ys; k += DIRECT_MOMENTS * VL)
        direct_moments_of(DIRECT_MOMENTS, VL, pixels, ys, y + k, record + k, record + ys + k);
    for (; k + VL <= ys; k += VL)
        direct_moments_of(1, VL, pixels, ys, y + k, record + k, record + ys + k);
    if (k < ys)
        direct_moments_of(1, ys - k, pixels, ys, y + k, record + k, record + ys + k);
    memset(record + 2 * ys, 0, SL_LANES * sizeof *record);
    record[2 * ys] = (float)pixels;
}

/* The source of unit `next`, or nothing. */
static struct direct_ahead direct_next(const struct direct *d, int64_t next, int64_t end)
{
    const int64_t tiles = (sl_band_pixels(&d->band) + DIRECT_TILE - 1) / DIRECT_TILE * ((d->k + d->block - 1) / d->block);
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
