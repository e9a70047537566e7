/* The register tile of Winograd's backward-weights: at one frequency, the sums of a few output channels x one panel of
 * input channels, kept in registers while the tiles of one block are added to them. A template over the names of
 * simd/vec_*.h.
 *
 * One step adds one tile of the image, or a pair of them (conv_winograd_value.h): it loads the panel of its transformed
 * x, broadcasts each float of its transformed dy, and multiplies. A panel of dy is 16 output channels; how they are cut
 * depends on the width of the panel of x, so that there are enough sums to hide the time that a multiplication takes,
 * and enough registers. */
#ifndef SL_KERNELS_CONV_WINOGRAD_GRADIENT_TILE_H
#define SL_KERNELS_CONV_WINOGRAD_GRADIENT_TILE_H

#include "kernels/base.h"
#include "kernels/conv/conv_ahead.h"
#include "kernels/conv/conv_winograd_transform.h"
#include "kernels/conv/conv_winograd_value.h"

enum {
    WINOGRAD_GRADIENT_DY = SL_LANES,                       /* output channels of a panel of dy */
    WINOGRAD_GRADIENT_VECTORS = V_REGISTERS == 32 ? 4 : 2, /* of the widest panel of x */
    WINOGRAD_GRADIENT_ROWS = V_REGISTERS == 32 ? 16 : 6,   /* output channels of the longest tile */
};

/* What is prefetched in turn: x and dy of the next block. */
struct winograd_gradient_ahead {
    struct direct_ahead of[2];
    int turn;
};

/* A piece of the sums of two panels: the tiles of one block. */
struct winograd_gradient_piece {
    const float *x, *dy; /* [step][panel] */
    int32_t steps;
    bool first;                 /* the sums hold nothing yet; else the piece, summed on its own, is added to them */
    struct direct_ahead *ahead; /* a line in each of the first steps */
};

WINOGRAD_INLINE void winograd_gradient_tile(const int rows, const int vectors,
                                            const struct winograd_gradient_piece *piece, int32_t row, float *sums)
{
    vf sum[WINOGRAD_GRADIENT_ROWS][WINOGRAD_GRADIENT_VECTORS];
    WINOGRAD_UNROLL
    for (int i = 0; i < rows; i++) {
        WINOGRAD_UNROLL
        for (int j = 0; j < vectors; j++) {
            __builtin_prefetch(sums + (i * vectors + j) * VL, 1);
            sum[i][j] = v_zero();
        }
    }
    const float *x = piece->x, *dy = piece->dy + row;
    struct direct_ahead ahead = *piece->ahead;
    for (int32_t t = 0; t < piece->steps; t++, x += vectors * VL, dy += WINOGRAD_GRADIENT_DY) {
        vf panel[WINOGRAD_GRADIENT_VECTORS];
        WINOGRAD_UNROLL
        for (int j = 0; j < vectors; j++)
            panel[j] = v_load(x + j * VL);
        if (t < ahead.lines)
            direct_prefetch_line(&ahead);
        WINOGRAD_UNROLL
        for (int i = 0; i < rows; i++) {
            const vf a = v_set1(dy[i]);
            WINOGRAD_UNROLL
            for (int j = 0; j < vectors; j++)
                sum[i][j] = winograd_multiply(a, panel[j], sum[i][j]);
        }
    }
    *piece->ahead = ahead;
    const bool first = piece->first;
    WINOGRAD_UNROLL
    for (int i = 0; i < rows; i++) {
        WINOGRAD_UNROLL
        for (int j = 0; j < vectors; j++) {
            float *to = sums + (i * vectors + j) * VL;
            v_store(to, first ? sum[i][j] : v_add(sum[i][j], v_load(to)));
        }
    }
}

/* Each size of tile is a function of its own, so that the compiler gives it all registers. */
#define WINOGRAD_GRADIENT_TILE_OF(rows, vectors)                                     \
    static __attribute__((noinline)) void winograd_gradient_tile_##rows##x##vectors( \
        const struct winograd_gradient_piece *piece, int32_t row, float *sums)       \
    {                                                                                \
        winograd_gradient_tile(rows, vectors, piece, row, sums);                     \
    }
typedef void winograd_gradient_tile_fn(const struct winograd_gradient_piece *piece, int32_t row, float *sums);

#if V_REGISTERS == 32
WINOGRAD_GRADIENT_TILE_OF(6, 4)
WINOGRAD_GRADIENT_TILE_OF(5, 4)
WINOGRAD_GRADIENT_TILE_OF(8, 2)
WINOGRAD_GRADIENT_TILE_OF(16, 1)
#else
WINOGRAD_GRADIENT_TILE_OF(6, 2)
WINOGRAD_GRADIENT_TILE_OF(5, 2)
#endif

/* For a panel of x of so many vectors: the tiles that a panel of dy is cut into. */
struct winograd_gradient_cut {
    int32_t vectors, count;
    struct {
        winograd_gradient_tile_fn *tile;
        int32_t rows;
    } tiles[3];
};

static const struct winograd_gradient_cut winograd_gradient_cuts[] = {
#if V_REGISTERS == 32
    {4, 3, {{winograd_gradient_tile_6x4, 6}, {winograd_gradient_tile_5x4, 5}, {winograd_gradient_tile_5x4, 5}}},
    {2, 2, {{winograd_gradient_tile_8x2, 8}, {winograd_gradient_tile_8x2, 8}}},
    {1, 1, {{winograd_gradient_tile_16x1, 16}}},
#else
    {2, 3, {{winograd_gradient_tile_6x2, 6}, {winograd_gradient_tile_5x2, 5}, {winograd_gradient_tile_5x2, 5}}},
#endif
};

/* The widest panel of x that divides so many channels, a multiple of SL_LANES. */
static const struct winograd_gradient_cut *winograd_gradient_cut_of(int32_t c)
{
    const struct winograd_gradient_cut *cut = winograd_gradient_cuts;
    while (c % (cut->vectors * VL) != 0)
        cut++;
    return cut;
}

/* Adds a piece to the sums of two panels, [output channel][panel of x]. */
static void winograd_gradient_panels(const struct winograd_gradient_cut *cut, struct winograd_gradient_piece *piece,
                                     struct winograd_gradient_ahead *ahead, float *sums)
{
    for (int32_t i = 0, row = 0; i < cut->count; row += cut->tiles[i++].rows) {
        piece->ahead = &ahead->of[ahead->turn ^= 1];
        cut->tiles[i].tile(piece, row, sums + (ptrdiff_t)row * cut->vectors * VL);
    }
}
#endif
