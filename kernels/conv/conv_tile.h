/* The register tile of forward and backward-data: the sums of a few pixels x one block of output channels, kept in
 * registers while one piece of the sum is added to them. Like all of conv_*.h it is a template over the names of
 * simd/vec_*.h.
 *
 * One step adds the products with one float of the source of each pixel: it loads the block's weights for that float,
 * broadcasts the float of each pixel, and multiplies. README.md counts the registers. */
#ifndef SL_KERNELS_CONV_TILE_H
#define SL_KERNELS_CONV_TILE_H

#include "kernels/conv/conv_output.h"

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

/* Asks for the places in y of the tile that comes four tiles later: where sums are short, memory takes longer to bring
 * y than a tile takes to compute. */
DIRECT_INLINE void direct_ask(const int pixels, const int vectors, const struct sl_pixel *pixel, const float *y)
{
    DIRECT_UNROLL
    for (int i = 0; i < pixels; i++) {
        DIRECT_UNROLL
        for (int v = 0; v < vectors; v += SL_LANES / VL)
            __builtin_prefetch(y + pixel[4 * pixels + i].y + v * VL, 1);
    }
}

/* The steps of a tile. `asks`: each prefetches a little of what the next unit reads. */
DIRECT_INLINE void direct_steps(const int pixels, const int vectors, const bool asks, const struct direct_piece *piece,
                                const ptrdiff_t at[DIRECT_TILE], vf sum[DIRECT_TILE][DIRECT_VECTORS])
{
    const float *w = piece->weights;
    const char *ahead = piece->ahead;
    for (int32_t r = 0; r < piece->rows; r++, w += piece->skip) {
        const float *x = piece->x + r * piece->x_row;
        for (const float *end = x + piece->run; x != end; x++, w += vectors * VL) {
            if (asks) {
                __builtin_prefetch(ahead);
                ahead += piece->pace;
            }
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
}

/* One tile: the first `pixels` of a list, to y. */
DIRECT_INLINE void direct_tile(const int pixels, const int vectors, const struct direct_piece *piece,
                               const struct sl_pixel *pixel, float *y)
{
    vf sum[DIRECT_TILE][DIRECT_VECTORS];
    ptrdiff_t at[DIRECT_TILE];
    if (!piece->streams)
        direct_ask(pixels, vectors, pixel, y);
    DIRECT_UNROLL
    for (int i = 0; i < pixels; i++)
        at[i] = pixel[i].x;
    direct_begin(pixels, vectors, piece, pixel, y, sum);
    if (piece->pace)
        direct_steps(pixels, vectors, true, piece, at, sum);
    else
        direct_steps(pixels, vectors, false, piece, at, sum);
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

#if V_REGISTERS == 32
DIRECT_TILE_OF(1, 1)
DIRECT_TILE_OF(2, 1)
DIRECT_TILE_OF(3, 1)
DIRECT_TILE_OF(4, 1)
DIRECT_TILE_OF(5, 1)
DIRECT_TILE_OF(6, 1)
DIRECT_TILE_OF(7, 1)
DIRECT_TILE_OF(8, 1)
DIRECT_TILE_OF(9, 1)
DIRECT_TILE_OF(10, 1)
DIRECT_TILE_OF(11, 1)
DIRECT_TILE_OF(12, 1)
#endif
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

#define DIRECT_TILES_TO_6(vectors)                                                                      \
    direct_tile_1x##vectors, direct_tile_2x##vectors, direct_tile_3x##vectors, direct_tile_4x##vectors, \
        direct_tile_5x##vectors, direct_tile_6x##vectors
#define DIRECT_TILES_TO_12(vectors)                                                                        \
    DIRECT_TILES_TO_6(vectors), direct_tile_7x##vectors, direct_tile_8x##vectors, direct_tile_9x##vectors, \
        direct_tile_10x##vectors, direct_tile_11x##vectors, direct_tile_12x##vectors

/* The tiles of a block of so many channels, by their pixels, and the longest of them. */
struct direct_tiles {
    int32_t width, longest;
    direct_tile_fn *of[DIRECT_TILE];
};

static const struct direct_tiles direct_tiles[] = {
#if V_REGISTERS == 32
    {VL, 12, {DIRECT_TILES_TO_12(1)}},
    {2 * VL, 12, {DIRECT_TILES_TO_12(2)}},
    {4 * VL, 6, {DIRECT_TILES_TO_6(4)}},
#else
    {2 * VL, 6, {DIRECT_TILES_TO_6(2)}},
#endif
};
enum { DIRECT_WIDTHS = sizeof direct_tiles / sizeof *direct_tiles };

/* The tiles of a block that begins where so many output channels are left: of the widest, or the narrowest that holds
 * them all. */
static const struct direct_tiles *direct_tiles_for(int32_t left)
{
    const struct direct_tiles *tiles = direct_tiles;
    while (tiles < direct_tiles + DIRECT_WIDTHS - 1 && tiles->width < left)
        tiles++;
    return tiles;
}

/* Output channels of all blocks together, those past the last one included. */
static int32_t direct_written(int32_t k)
{
    const int32_t last = (k - 1) / DIRECT_BLOCK * DIRECT_BLOCK;
    return last + direct_tiles_for(k - last)->width;
}
#endif
