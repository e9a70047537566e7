/* The register tile of Winograd's convolution: at one frequency, the sums of a few tiles x one panel of output
 * channels, kept in registers while one piece of the sum over the channels of the source is added to them. A template
 * over the names of simd/vec_*.h.
 *
 * One step adds the products with one channel, or with a pair of them (conv_winograd_value.h): it loads the panel's
 * weights for that channel, broadcasts the value of each tile, and multiplies. README.md counts the registers and draws
 * V, U and M. */
#ifndef SL_KERNELS_CONV_WINOGRAD_TILE_H
#define SL_KERNELS_CONV_WINOGRAD_TILE_H

#include <stddef.h>

#include "kernels/base.h"
#include "kernels/conv/conv_winograd_transform.h"
#include "kernels/conv/conv_winograd_value.h"

enum {
    WINOGRAD_CHUNK = 2 * SL_LANES,                /* steps of V that follow each other */
    WINOGRAD_VECTORS = V_REGISTERS == 32 ? 4 : 2, /* vectors of the widest panel */
    WINOGRAD_SUMS = V_REGISTERS == 32 ? 24 : 12,  /* accumulators of a full tile */
    WINOGRAD_ROWS = WINOGRAD_SUMS / 2,            /* of the longest tile: the narrowest panel has two vectors */
    WINOGRAD_PIECE = 128, /* steps: their weights stay in the first-level cache, and no sum in float is long */
};

/* A piece of the sums at one frequency, for one group of tiles and one panel. */
struct winograd_piece {
    const float *v;    /* [chunk][row][WINOGRAD_CHUNK]: the first chunk */
    ptrdiff_t v_chunk; /* floats from one chunk to the next */
    const float *u;    /* [step][panel]: the first step */
    int32_t steps;
    float *m;    /* [row][panel] */
    bool begins; /* nothing is in m yet; else the piece, summed on its own, is added to it */
    /* What is asked into the second-level cache, a part at each step: the v of this group's next piece, laid out as v,
     * and some line of weights. */
    const float *next_v;
    const char *next_u;
};

WINOGRAD_INLINE void winograd_tile(const int rows, const int vectors, const struct winograd_piece *piece)
{
    vf sum[WINOGRAD_ROWS][WINOGRAD_VECTORS];
    WINOGRAD_UNROLL
    for (int i = 0; i < rows; i++) {
        WINOGRAD_UNROLL
        for (int j = 0; j < vectors; j++)
            sum[i][j] = v_zero();
    }
    const ptrdiff_t v_chunk = piece->v_chunk;
    const float *u = piece->u, *v = piece->v, *next_v = piece->next_v;
    const char *next_u = piece->next_u;
    for (int32_t left = piece->steps; left > 0;
         left -= WINOGRAD_CHUNK, v += v_chunk - WINOGRAD_CHUNK, next_v += v_chunk - rows * WINOGRAD_CHUNK)
        for (const float *end = v + (left < WINOGRAD_CHUNK ? left : WINOGRAD_CHUNK); v != end;
             v++, u += vectors * VL, next_v += rows, next_u += 64) {
            vf weight[WINOGRAD_VECTORS];
            WINOGRAD_UNROLL
            for (int j = 0; j < vectors; j++)
                weight[j] = v_load(u + j * VL);
            __builtin_prefetch(next_u, 0, 2);
            __builtin_prefetch(next_v, 0, 2);
            WINOGRAD_UNROLL
            for (int i = 0; i < rows; i++) {
                const vf a = v_set1(v[i * WINOGRAD_CHUNK]);
                WINOGRAD_UNROLL
                for (int j = 0; j < vectors; j++)
                    sum[i][j] = winograd_multiply(a, weight[j], sum[i][j]);
            }
        }
    float *m = piece->m;
    const bool begins = piece->begins;
    WINOGRAD_UNROLL
    for (int i = 0; i < rows; i++) {
        WINOGRAD_UNROLL
        for (int j = 0; j < vectors; j++, m += VL)
            v_store(m, begins ? sum[i][j] : v_add(sum[i][j], v_load(m)));
    }
}

/* Each size of tile is a function of its own, so that the compiler gives it all registers. */
#define WINOGRAD_TILE_OF(rows, vectors)                                                                        \
    static __attribute__((noinline)) void winograd_tile_##rows##x##vectors(const struct winograd_piece *piece) \
    {                                                                                                          \
        winograd_tile(rows, vectors, piece);                                                                   \
    }
typedef void winograd_tile_fn(const struct winograd_piece *piece);

WINOGRAD_TILE_OF(1, 2)
WINOGRAD_TILE_OF(2, 2)
WINOGRAD_TILE_OF(3, 2)
WINOGRAD_TILE_OF(4, 2)
WINOGRAD_TILE_OF(5, 2)
WINOGRAD_TILE_OF(6, 2)
#if V_REGISTERS == 32
WINOGRAD_TILE_OF(7, 2)
WINOGRAD_TILE_OF(8, 2)
WINOGRAD_TILE_OF(9, 2)
WINOGRAD_TILE_OF(10, 2)
WINOGRAD_TILE_OF(11, 2)
WINOGRAD_TILE_OF(12, 2)
WINOGRAD_TILE_OF(1, 4)
WINOGRAD_TILE_OF(2, 4)
WINOGRAD_TILE_OF(3, 4)
WINOGRAD_TILE_OF(4, 4)
WINOGRAD_TILE_OF(5, 4)
WINOGRAD_TILE_OF(6, 4)
#endif

static winograd_tile_fn *const winograd_narrow[] = {
    winograd_tile_1x2, winograd_tile_2x2, winograd_tile_3x2, winograd_tile_4x2,  winograd_tile_5x2,  winograd_tile_6x2,
#if V_REGISTERS == 32
    winograd_tile_7x2, winograd_tile_8x2, winograd_tile_9x2, winograd_tile_10x2, winograd_tile_11x2, winograd_tile_12x2,
#endif
};
#if V_REGISTERS == 32
static winograd_tile_fn *const winograd_wide[] = {
    winograd_tile_1x4, winograd_tile_2x4, winograd_tile_3x4, winograd_tile_4x4, winograd_tile_5x4, winograd_tile_6x4,
};
#endif

/* Output channels of a panel. AVX-512 takes 64, unless panels of 32 leave fewer channels unused. */
static int32_t winograd_width(int32_t k)
{
    return WINOGRAD_VECTORS == 4 && sl_round_up(k, 4 * VL) == sl_round_up(k, 2 * VL) ? 4 * VL : 2 * VL;
}

/* Tiles of a full group: the rows of the register tile. */
static int32_t winograd_rows(int32_t width)
{
    return WINOGRAD_SUMS / (width / VL);
}

/* The tiles of so many rows. */
static winograd_tile_fn *winograd_tile_for(int32_t rows, int32_t width)
{
#if V_REGISTERS == 32
    if (width == 4 * VL)
        return winograd_wide[rows - 1];
#endif
    (void)width;
    return winograd_narrow[rows - 1];
}
#endif
