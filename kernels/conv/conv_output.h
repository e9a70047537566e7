/* The end of a tile of forward and backward-data: its sums become outputs, which are counted into the moments of the
 * unit (norm.h) and stored while they are in registers. A template over the names of simd/vec_*.h. */
#ifndef SL_KERNELS_CONV_OUTPUT_H
#define SL_KERNELS_CONV_OUTPUT_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/conv/window.h"

/* Sums stay in registers only where the sizes of a tile are constants and its loops are unrolled. Emulated vectors are
 * in memory anyway, and so is all that AddressSanitizer watches; unrolled, that would take minutes to compile. */
#if defined(SL_SIMD_EMULATED) || defined(__SANITIZE_ADDRESS__)
#define DIRECT_INLINE static __attribute__((noinline))
#define DIRECT_UNROLL
#else
#define DIRECT_INLINE static inline __attribute__((always_inline))
#define DIRECT_UNROLL _Pragma("GCC unroll 16")
#endif

enum {
    DIRECT_VECTORS = V_REGISTERS == 32 ? 4 : 2, /* vectors of a block; the last block may have fewer */
    DIRECT_BLOCK = DIRECT_VECTORS * VL,         /* its output channels */
    DIRECT_TILE = V_REGISTERS == 32 ? 12 : 6,   /* pixels of the longest tile */
};

/* Moments so far, of the channels of a block. Those of a tile of p pixels are joined to those of q before it (Chan,
 * Golub & LeVeque 1983). */
struct direct_moments {
    float *mean, *squares;
    int32_t before;      /* q */
    float inverse;       /* 1/p */
    float share, weight; /* p/(p + q), p*q/(p + q) */
};

/* Prepares for the next tile. */
static inline void direct_moments_next(struct direct_moments *m, int32_t pixels)
{
    const float p = (float)pixels, q = (float)m->before;
    m->inverse = 1.0f / p;
    m->share = p / (p + q);
    m->weight = m->share * q;
    m->before += pixels;
}

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
    bool streams;         /* whole blocks go past the caches */
    const char *ahead;    /* what a tile prefetches, so many bytes after each step */
    ptrdiff_t pace;
    struct direct_moments *moments; /* of this block; NULL: not asked for, or the sum is not complete */
};

/* How many lanes of vector v of the block belong to y. */
DIRECT_INLINE int direct_lanes(const struct direct_piece *piece, int v)
{
    const int lanes = piece->lanes - v * VL;
    return lanes < 0 ? 0 : lanes < VL ? lanes : VL;
}

DIRECT_INLINE vf direct_activate(vf a, float slope)
{
    return v_select(v_ge(a, v_zero()), a, v_mul(a, v_set1(slope)));
}

/* Joins the moments of a tile's outputs to those of the tiles before it, for vector v of the block. */
DIRECT_INLINE void direct_join(const int pixels, const int v, const struct direct_moments *m, int lanes,
                               vf y[DIRECT_TILE][DIRECT_VECTORS])
{
    float *means = m->mean + v * VL, *all = m->squares + v * VL;
    vf mean = y[0][v], squares = v_load_some(all, lanes);
    DIRECT_UNROLL
    for (int i = 1; i < pixels; i++)
        mean = v_add(mean, y[i][v]);
    mean = v_mul(mean, v_set1(m->inverse));
    DIRECT_UNROLL
    for (int i = 0; i < pixels; i++) {
        const vf d = v_sub(y[i][v], mean);
        squares = v_fma(d, d, squares);
    }
    const vf before = v_load_some(means, lanes), apart = v_sub(mean, before);
    v_store_some(means, v_fma(apart, v_set1(m->share), before), lanes);
    v_store_some(all, v_fma(v_mul(apart, apart), v_set1(m->weight), squares), lanes);
}

/* The vectors of a pixel are stored side by side: halves of a line that leave for memory at different times cost two
 * lines. `whole`: all lanes belong to y. */
DIRECT_INLINE void direct_store(const int pixels, const int vectors, const bool whole, const bool streams,
                                const struct direct_piece *piece, const struct sl_pixel *pixel, float *y,
                                vf sum[DIRECT_TILE][DIRECT_VECTORS])
{
    DIRECT_UNROLL
    for (int i = 0; i < pixels; i++) {
        DIRECT_UNROLL
        for (int v = 0; v < vectors; v++) {
            float *to = y + pixel[i].y + v * VL;
            if (whole && streams)
                v_stream(to, sum[i][v]);
            else
                v_store_some(to, sum[i][v], whole ? VL : direct_lanes(piece, v));
        }
    }
}

DIRECT_INLINE void direct_end(const int pixels, const int vectors, const struct direct_piece *piece,
                              const struct sl_pixel *pixel, float *y, vf sum[DIRECT_TILE][DIRECT_VECTORS])
{
    if (piece->slope != 1.0f) {
        DIRECT_UNROLL
        for (int i = 0; i < pixels; i++) {
            DIRECT_UNROLL
            for (int v = 0; v < vectors; v++)
                sum[i][v] = direct_activate(sum[i][v], piece->slope);
        }
    }
    if (piece->moments) {
        DIRECT_UNROLL
        for (int v = 0; v < vectors; v++)
            direct_join(pixels, v, piece->moments, direct_lanes(piece, v), sum);
    }
    if (piece->lanes < vectors * VL)
        direct_store(pixels, vectors, false, false, piece, pixel, y, sum);
    else if (piece->streams)
        direct_store(pixels, vectors, true, true, piece, pixel, y, sum);
    else
        direct_store(pixels, vectors, true, false, piece, pixel, y, sum);
}
#endif
