/* The register tile of backward-weights: the sums of a few floats of a run of x x one block of output channels, kept in
 * registers while the pixels of one chunk are added to them. One step adds one pixel: it loads the block of dy,
 * broadcasts each float of x, and multiplies. README.md counts the registers. */
#ifndef SL_KERNELS_CONV_GRADIENT_TILE_H
#define SL_KERNELS_CONV_GRADIENT_TILE_H

#include "kernels/conv/conv_ahead.h"
#include "kernels/conv/conv_tile.h"

enum {
    GRADIENT_TILE = V_REGISTERS == 32 ? 14 : 6, /* floats of the longest tile */
    GRADIENT_BLOCK = 2 * VL,                    /* output channels */
};

/* A piece of the sum: the pixels of a chunk, for one run of x and one block of dy. */
struct gradient_piece {
    const float *x; /* the run of pixel t begins at x + offset[t] */
    const ptrdiff_t *offset;
    const float *dy; /* the block of pixel t begins at dy + t*stride */
    ptrdiff_t stride;
    int32_t pixels;
    bool first; /* the sums hold nothing yet */
};

DIRECT_INLINE void gradient_tile(const int floats, const struct gradient_piece *piece, int32_t from, float *sums)
{
    vf sum[GRADIENT_TILE][2];
    DIRECT_UNROLL
    for (int i = 0; i < floats; i++) {
        sum[i][0] = piece->first ? v_zero() : v_load(sums + i * GRADIENT_BLOCK);
        sum[i][1] = piece->first ? v_zero() : v_load(sums + i * GRADIENT_BLOCK + VL);
    }
    const float *x = piece->x + from, *dy = piece->dy;
    const ptrdiff_t *offset = piece->offset;
    for (const ptrdiff_t *end = offset + piece->pixels; offset != end; offset++, dy += piece->stride) {
        const float *at = x + *offset;
        const vf low = v_load(dy), high = v_load(dy + VL);
        DIRECT_UNROLL
        for (int i = 0; i < floats; i++) {
            const vf a = v_set1(at[i]);
            sum[i][0] = v_fma(a, low, sum[i][0]);
            sum[i][1] = v_fma(a, high, sum[i][1]);
        }
    }
    DIRECT_UNROLL
    for (int i = 0; i < floats; i++) {
        v_store(sums + i * GRADIENT_BLOCK, sum[i][0]);
        v_store(sums + i * GRADIENT_BLOCK + VL, sum[i][1]);
    }
}

#define GRADIENT_TILE_OF(floats)                                                                                   \
    static __attribute__((noinline)) void gradient_tile_##floats(const struct gradient_piece *piece, int32_t from, \
                                                                 float *sums)                                      \
    {                                                                                                              \
        gradient_tile(floats, piece, from, sums);                                                                  \
    }
typedef void gradient_tile_fn(const struct gradient_piece *piece, int32_t from, float *sums);

GRADIENT_TILE_OF(1)
GRADIENT_TILE_OF(2)
GRADIENT_TILE_OF(3)
GRADIENT_TILE_OF(4)
GRADIENT_TILE_OF(5)
GRADIENT_TILE_OF(6)
#if V_REGISTERS == 32
GRADIENT_TILE_OF(7)
GRADIENT_TILE_OF(8)
GRADIENT_TILE_OF(9)
GRADIENT_TILE_OF(10)
GRADIENT_TILE_OF(11)
GRADIENT_TILE_OF(12)
GRADIENT_TILE_OF(13)
GRADIENT_TILE_OF(14)
#endif

/* What is prefetched: x of the next unit, dy of the next chunk. */
struct gradient_ahead {
    struct direct_ahead x, dy;
};

static int32_t gradient_tiles(int32_t run)
{
    return (run + GRADIENT_TILE - 1) / GRADIENT_TILE;
}

/* Adds a piece to the sums of a whole run. Its tiles are as even as possible. */
static void gradient_run(const struct gradient_piece *piece, int32_t run, struct gradient_ahead *ahead, float *sums)
{
    static gradient_tile_fn *const tiles[] = {
        gradient_tile_1,
        gradient_tile_2,
        gradient_tile_3,
        gradient_tile_4,
        gradient_tile_5,
        gradient_tile_6,
#if V_REGISTERS == 32
        gradient_tile_7,
        gradient_tile_8,
        gradient_tile_9,
        gradient_tile_10,
        gradient_tile_11,
        gradient_tile_12,
        gradient_tile_13,
        gradient_tile_14,
#endif
    };
    const int32_t count = gradient_tiles(run), size = run / count, longer = run % count;
    for (int32_t i = 0, from = 0; i < count; i++) {
        const int32_t floats = size + (i < longer);
        tiles[floats - 1](piece, from, sums + (ptrdiff_t)from * GRADIENT_BLOCK);
        direct_prefetch(&ahead->x);
        direct_prefetch(&ahead->dy);
        from += floats;
    }
}
#endif
