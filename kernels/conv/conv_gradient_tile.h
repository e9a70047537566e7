/* The register tile of backward-weights: the sums of a few floats of one operand x a block of channels of the other,
 * kept in registers while the pixels of one chunk are added to them. One step adds one pixel: it loads the block,
 * broadcasts each of the floats, and multiplies. README.md counts the registers. */
#ifndef SL_KERNELS_CONV_GRADIENT_TILE_H
#define SL_KERNELS_CONV_GRADIENT_TILE_H

#include "kernels/conv/conv_ahead.h"
#include "kernels/conv/conv_tile.h"

enum {
    GRADIENT_TILE = V_REGISTERS == 32 ? 14 : 6, /* floats of the longest tile */
    GRADIENT_BLOCK = 2 * VL,                    /* channels of a block */
};

/* A piece of the sum: the pixels of a chunk, for some floats and one block. */
struct gradient_piece {
    const float *floats; /* those of pixel t begin at floats + offset[t] */
    const ptrdiff_t *offset;
    const float *block; /* that of pixel t begins at block + t*stride */
    ptrdiff_t stride;
    int32_t pixels;
    bool first;         /* the sums hold nothing yet */
    const char *coming; /* what the tile prefetches, so many bytes after each step */
    ptrdiff_t pace;     /* or 0 */
    /* Where the sums lie in dw: */
    ptrdiff_t pitch; /* from the sums of one float to those of the next */
    int32_t lanes;   /* sums that there are of each float */
    bool streams;    /* whole blocks of sums go past the caches */
    ptrdiff_t ahead; /* from a pixel's floats to others that are asked for meanwhile; or 0 */
};

DIRECT_INLINE int gradient_lanes(const struct gradient_piece *piece, int v)
{
    const int lanes = piece->lanes - v * VL;
    return lanes < 0 ? 0 : lanes < VL ? lanes : VL;
}

DIRECT_INLINE void gradient_load_tile(const int floats, const bool whole, const struct gradient_piece *piece,
                                      ptrdiff_t pitch, const float *sums, vf sum[GRADIENT_TILE][2])
{
    DIRECT_UNROLL
    for (int i = 0; i < floats; i++) {
        DIRECT_UNROLL
        for (int v = 0; v < 2; v++)
            sum[i][v] = v_load_some(sums + i * pitch + v * VL, whole ? VL : gradient_lanes(piece, v));
    }
}

/* The sums start from zero, or go on from what there is. */
DIRECT_INLINE void gradient_begin(const int floats, const bool pointwise, const struct gradient_piece *piece,
                                  const float *sums, vf sum[GRADIENT_TILE][2])
{
    if (piece->first) {
        DIRECT_UNROLL
        for (int i = 0; i < floats; i++)
            sum[i][0] = sum[i][1] = v_zero();
    } else if (!pointwise)
        gradient_load_tile(floats, true, piece, GRADIENT_BLOCK, sums, sum);
    else if (piece->lanes < GRADIENT_BLOCK)
        gradient_load_tile(floats, false, piece, piece->pitch, sums, sum);
    else
        gradient_load_tile(floats, true, piece, piece->pitch, sums, sum);
}

DIRECT_INLINE void gradient_store_tile(const int floats, const bool whole, const bool streams,
                                       const struct gradient_piece *piece, ptrdiff_t pitch, float *sums,
                                       vf sum[GRADIENT_TILE][2])
{
    DIRECT_UNROLL
    for (int i = 0; i < floats; i++) {
        DIRECT_UNROLL
        for (int v = 0; v < 2; v++)
            if (whole && streams)
                v_stream(sums + i * pitch + v * VL, sum[i][v]);
            else
                v_store_some(sums + i * pitch + v * VL, sum[i][v], whole ? VL : gradient_lanes(piece, v));
    }
}

DIRECT_INLINE void gradient_end(const int floats, const bool pointwise, const struct gradient_piece *piece, float *sums,
                                vf sum[GRADIENT_TILE][2])
{
    if (!pointwise)
        gradient_store_tile(floats, true, false, piece, GRADIENT_BLOCK, sums, sum);
    else if (piece->lanes < GRADIENT_BLOCK)
        gradient_store_tile(floats, false, false, piece, piece->pitch, sums, sum);
    else if (piece->streams)
        gradient_store_tile(floats, true, true, piece, piece->pitch, sums, sum);
    else
        gradient_store_tile(floats, true, false, piece, piece->pitch, sums, sum);
}

enum gradient_asks { GRADIENT_ASKS_NOTHING, GRADIENT_ASKS_COMING, GRADIENT_ASKS_AHEAD };

/* The steps of a tile. What each prefetches depends on `asks`. */
DIRECT_INLINE void gradient_steps(const int floats, const enum gradient_asks asks, const struct gradient_piece *piece,
                                  int32_t from, vf sum[GRADIENT_TILE][2])
{
    const float *first = piece->floats + from, *block = piece->block;
    const ptrdiff_t *offset = piece->offset;
    const char *coming = piece->coming;
    for (const ptrdiff_t *end = offset + piece->pixels; offset != end; offset++, block += piece->stride) {
        const float *at = first + *offset;
        if (asks == GRADIENT_ASKS_AHEAD)
            __builtin_prefetch(at + piece->ahead, 0, 2);
        if (asks == GRADIENT_ASKS_COMING) {
            __builtin_prefetch(coming, 0, 2);
            coming += piece->pace;
        }
        const vf low = v_load(block), high = v_load(block + VL);
        DIRECT_UNROLL
        for (int i = 0; i < floats; i++) {
            const vf a = v_set1(at[i]);
            sum[i][0] = v_fma(a, low, sum[i][0]);
            sum[i][1] = v_fma(a, high, sum[i][1]);
        }
    }
}

/* One tile: the floats from number `from` on. `pointwise`: its sums lie in dw. Else they are [float][block], whole. */
DIRECT_INLINE void gradient_tile(const int floats, const bool pointwise, const struct gradient_piece *piece,
                                 int32_t from, float *sums)
{
    vf sum[GRADIENT_TILE][2];
    gradient_begin(floats, pointwise, piece, sums, sum);
    if (pointwise && piece->ahead)
        gradient_steps(floats, GRADIENT_ASKS_AHEAD, piece, from, sum);
    else if (!pointwise && piece->pace)
        gradient_steps(floats, GRADIENT_ASKS_COMING, piece, from, sum);
    else
        gradient_steps(floats, GRADIENT_ASKS_NOTHING, piece, from, sum);
    gradient_end(floats, pointwise, piece, sums, sum);
}

typedef void gradient_tile_fn(const struct gradient_piece *piece, int32_t from, float *sums);
#define GRADIENT_TILE_OF(floats)                                                                                    \
    static __attribute__((noinline)) void gradient_tile_##floats(const struct gradient_piece *piece, int32_t from,  \
                                                                 float *sums)                                       \
    {                                                                                                               \
        gradient_tile(floats, false, piece, from, sums);                                                            \
    }                                                                                                               \
    static __attribute__((noinline)) void pointwise_tile_##floats(const struct gradient_piece *piece, int32_t from, \
                                                                  float *sums)                                      \
    {                                                                                                               \
        gradient_tile(floats, true, piece, from, sums);                                                             \
    }

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

#define GRADIENT_TILES_TO_6(kind) \
    kind##_tile_1, kind##_tile_2, kind##_tile_3, kind##_tile_4, kind##_tile_5, kind##_tile_6
#if V_REGISTERS == 32
#define GRADIENT_TILES(kind)                                                                                \
    GRADIENT_TILES_TO_6(kind), kind##_tile_7, kind##_tile_8, kind##_tile_9, kind##_tile_10, kind##_tile_11, \
        kind##_tile_12, kind##_tile_13, kind##_tile_14
#else
#define GRADIENT_TILES(kind) GRADIENT_TILES_TO_6(kind)
#endif
static gradient_tile_fn *const gradient_tiles_of[] = {GRADIENT_TILES(gradient)};
static gradient_tile_fn *const pointwise_tiles_of[] = {GRADIENT_TILES(pointwise)};

/* What is prefetched: x of the next unit, dy of the next chunk. */
struct gradient_ahead {
    struct direct_ahead x, dy;
};

static int32_t gradient_tiles(int32_t run)
{
    return (run + GRADIENT_TILE - 1) / GRADIENT_TILE;
}

/* Adds a piece to the sums of a whole run. Its tiles are as even as possible. */
static void gradient_run(struct gradient_piece *piece, int32_t run, struct gradient_ahead *ahead, float *sums)
{
    const int32_t count = gradient_tiles(run), size = run / count, longer = run % count;
    for (int32_t i = 0, from = 0; i < count; i++) {
        const int32_t floats = size + (i < longer);
        piece->pace = direct_share(&ahead->dy, piece->pixels, &piece->coming);
        gradient_tiles_of[floats - 1](piece, from, sums + (ptrdiff_t)from * GRADIENT_BLOCK);
        direct_prefetch(&ahead->x);
        if (!piece->pace)
            direct_prefetch(&ahead->dy);
        from += floats;
    }
}
#endif
