/* The register tile of forward and backward-data: the sums of a few pixels x one block of output channels, kept in
 * registers while one piece of the sum is added to them. Like all of conv_*.h it is a template over the names of
 * simd/vec_*.h.
 *
 * One step adds the products with one float of the source of each pixel: it loads the block's weights for that float,
 * broadcasts the float of each pixel, and multiplies. README.md counts the registers. */
#ifndef SL_KERNELS_CONV_TILE_H
#define SL_KERNELS_CONV_TILE_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/conv/window.h"

/* Sums stay in registers only where the sizes of a tile are constants and its loops are unrolled. Emulated vectors are
 * in memory anyway; unrolled, they would take minutes to compile with sanitizers. */
#ifdef SL_SIMD_EMULATED
#define DIRECT_INLINE static __attribute__((noinline))
#define DIRECT_UNROLL
#else
#define DIRECT_INLINE static inline __attribute__((always_inline))
#define DIRECT_UNROLL _Pragma("GCC unroll 16")
#endif

enum {
    DIRECT_VECTORS = V_REGISTERS == 32 ? 4 : 2,        /* vectors of the widest block */
    DIRECT_TILE = V_REGISTERS == 32 ? 12 : 6,          /* pixels of the longest tile */
    DIRECT_ACCUMULATORS = V_REGISTERS == 32 ? 24 : 12, /* accumulators of a full tile */
};

/* A piece of the sum, for one block of output channels: one run of source floats in each of some kernel rows. Every
 * float of a run has [block] weights. */
struct direct_piece {
    const float *x;       /* the first run of a pixel begins at x + pixel.x */
    const float *weights; /* of the first run */
    int32_t rows, run;    /* kernel rows; floats of a run */
    ptrdiff_t x_row;      /* floats of the source from one run to the next */
    ptrdiff_t skip;       /* floats of weights between the end of one run and the beginning of the next */
    const float *bias;    /* of this block, with zeros past the last channel; NULL: y already holds part of the sum */
    float slope;          /* of the activation; 1 where there is none, or where the sum is not complete */
    int32_t lanes;        /* floats of a pixel of y that belong to this block */
};

/* How many lanes of vector v of the block belong to y. */
DIRECT_INLINE int direct_lanes(const struct direct_piece *piece, int v)
{
    const int lanes = piece->lanes - v * VL;
    return lanes < 0 ? 0 : lanes < VL ? lanes : VL;
}

/* The sums start from the bias, or go on from what y holds. */
DIRECT_INLINE void direct_begin(const int pixels, const int vectors, const struct direct_piece *piece,
                                const struct sl_pixel *pixel, const float *y, vf sum[DIRECT_TILE][DIRECT_VECTORS])
{
    DIRECT_UNROLL
    for (int i = 0; i < pixels; i++) {
        DIRECT_UNROLL
        for (int v = 0; v < vectors; v++) {
            if (piece->bias)
                sum[i][v] = v_load(piece->bias + v * VL);
            else
                sum[i][v] = v_load_head(y + pixel[i].y + v * VL, direct_lanes(piece, v));
        }
    }
}

DIRECT_INLINE vf direct_activate(vf a, float slope)
{
    return v_select(v_ge(a, v_zero()), a, v_mul(a, v_set1(slope)));
}

DIRECT_INLINE void direct_end(const int pixels, const int vectors, const struct direct_piece *piece,
                              const struct sl_pixel *pixel, float *y, vf sum[DIRECT_TILE][DIRECT_VECTORS])
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
                v_store(y + pixel[i].y + v * VL, sum[i][v]);
            else
                v_store_head(y + pixel[i].y + v * VL, sum[i][v], direct_lanes(piece, v));
        }
    }
}

/* One tile: the first `pixels` of a list, to y. It also prefetches the places in y of the tile that comes four tiles
 * later: where sums are short, memory takes longer to bring y than a tile takes to compute. */
DIRECT_INLINE void direct_tile(const int pixels, const int vectors, const struct direct_piece *piece,
                               const struct sl_pixel *pixel, float *y)
{
    vf sum[DIRECT_TILE][DIRECT_VECTORS];
    ptrdiff_t at[DIRECT_TILE];
    DIRECT_UNROLL
    for (int i = 0; i < pixels; i++) {
        at[i] = pixel[i].x;
        __builtin_prefetch(y + pixel[4 * pixels + i].y, 1);
    }
    direct_begin(pixels, vectors, piece, pixel, y, sum);
    const float *w = piece->weights;
    for (int32_t r = 0; r < piece->rows; r++, w += piece->skip) {
        const float *x = piece->x + r * piece->x_row;
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
    direct_end(pixels, vectors, piece, pixel, y, sum);
}

/* Each size of tile is a function of its own, so that the compiler gives it all registers. */
#define DIRECT_TILE_OF(pixels, vectors)                                                                            \
    static __attribute__((noinline)) void direct_tile_##pixels##x##vectors(const struct direct_piece *piece,       \
                                                                           const struct sl_pixel *pixel, float *y) \
    {                                                                                                              \
        direct_tile(pixels, vectors, piece, pixel, y);                                                             \
    }
typedef void direct_tile_fn(const struct direct_piece *piece, const struct sl_pixel *pixel, float *y);

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

static direct_tile_fn *const direct_narrow[] = {
    direct_tile_1x2, direct_tile_2x2, direct_tile_3x2, direct_tile_4x2,  direct_tile_5x2,  direct_tile_6x2,
#if V_REGISTERS == 32
    direct_tile_7x2, direct_tile_8x2, direct_tile_9x2, direct_tile_10x2, direct_tile_11x2, direct_tile_12x2,
#endif
};
#if V_REGISTERS == 32
static direct_tile_fn *const direct_wide[] = {
    direct_tile_1x4, direct_tile_2x4, direct_tile_3x4, direct_tile_4x4, direct_tile_5x4, direct_tile_6x4,
};
#endif

/* Output channels of a block. AVX-512 takes 64, unless blocks of 32 leave fewer channels unused. */
static int32_t direct_block(int32_t k)
{
    return DIRECT_VECTORS == 4 && sl_round_up(k, 4 * VL) == sl_round_up(k, 2 * VL) ? 4 * VL : 2 * VL;
}
#endif
