/* The tiles of forward and backward-data on AMX: 32 pixels x 32 output channels, in four registers of sums, and what
 * becomes of the sums: bias, activation, rounding to bf16. README.md says what lies where.
 *
 * The rows of one tile's output are stored between the steps of the next tile. That hides their work behind the
 * multiplications, and leaves stores time: a load of sums that were just stored waits for all stores before them, and
 * some of those wait for memory. */
#ifndef SL_KERNELS_CONV_AMX_TILE_H
#define SL_KERNELS_CONV_AMX_TILE_H

#include "kernels/conv/amx_band.h"
#include "kernels/conv/conv_amx_moments.h"
#include "kernels/simd/tile_amx.h"

enum { AMX_BLOCK = 32 }; /* output channels of a block */

/* One block of output channels of a pair of phases. */
struct amx_piece {
    const sl_bf16 *band;
    const sl_bf16 *weights; /* [kernel row][step][channel tile][register] */
    int32_t rows, steps;    /* kernel rows; steps of a kernel row */
    ptrdiff_t row;          /* elements of the band from one kernel row to the next */
    ptrdiff_t pixel;        /* bytes from one pixel of a tile to the next */
};

/* The sums of a tile, waiting to be stored row by row. */
struct amx_output {
    const float *sums; /* [row][AMX_BLOCK] */
    const float *bias; /* of the block, with zeros past the last channel */
    float slope;
    const int32_t *place[2]; /* the pixel of each row; of 16 rows each */
    int32_t rows;
    int32_t lanes; /* elements of a pixel that the block writes */
    int32_t ys;
    sl_bf16 *y;                  /* the block's first channel of the unit's first pixel */
    struct amx_moments *moments; /* of the block; NULL: not wanted */
};

/* The first n of 32 bf16, 0 <= n <= 32. */
static inline void amx_store_head(sl_bf16 *to, t_words a, int32_t n)
{
    sl_bf16 value[AMX_BLOCK];
    t_store_words(value, a);
    memcpy(to, value, (size_t)n * sizeof *to);
}

static inline vf amx_activate(vf a, float slope)
{
    return v_select(v_ge(a, v_zero()), a, v_mul(a, v_set1(slope)));
}

/* Stores rows [begin, end). */
static inline __attribute__((always_inline)) void amx_store_rows(const struct amx_output *o, int32_t begin, int32_t end)
{
    const vf low_bias = v_load(o->bias), high_bias = v_load(o->bias + VL);
    for (int32_t i = begin; i < end; i++) {
        const float *sums = o->sums + (ptrdiff_t)i * AMX_BLOCK;
        const ptrdiff_t pixel = o->place[i >= SL_AMX_PIXELS][i % SL_AMX_PIXELS];
        if (pixel < 0)
            continue;
        const vf low = amx_activate(v_add(v_load(sums), low_bias), o->slope);
        const vf high = amx_activate(v_add(v_load(sums + VL), high_bias), o->slope);
        const t_words out = t_narrow(low, high);
        if (o->moments)
            amx_moments_add(o->moments, pixel == 0, out);
        if (o->lanes == AMX_BLOCK)
            t_store_words(o->y + pixel * o->ys, out);
        else
            amx_store_head(o->y + pixel * o->ys, out, o->lanes);
    }
}

/* The sums of one or two places x one or two tiles of channels, to sums[32][AMX_BLOCK]. Between the steps, `before` is
 * stored, and the places of the present tile in y are asked for. */
static inline __attribute__((always_inline)) void
amx_tile(struct t_state *tiles, const int places, const int channels, const struct amx_piece *piece,
         const struct sl_amx_place *place, const struct amx_output *before, const sl_bf16 *y, float *sums)
{
    const sl_bf16 *w = piece->weights, *first = piece->band + place[0].source;
    const ptrdiff_t second = place[places - 1].source - place[0].source, pixel = piece->pixel;
    const struct amx_output waiting = *before;
    const int32_t all = piece->rows * piece->steps, each = all ? (waiting.rows + all - 1) / all : 0;
    int32_t stored = 0;
    (void)tiles;
    t_zero(tiles, 0);
    t_zero(tiles, 1);
    t_zero(tiles, 2);
    t_zero(tiles, 3);
    for (int32_t r = 0; r < piece->rows; r++) {
        const sl_bf16 *x = first + r * piece->row;
        for (int32_t i = 0; i < piece->steps; i++, x += T_DEPTH, w += channels * T_ELEMENTS) {
            t_load(tiles, 6, w, T_ROW_BYTES);
            t_load(tiles, 4, x, pixel);
            t_dot(tiles, 0, 4, 6);
            if (channels > 1) {
                t_load(tiles, 7, w + T_ELEMENTS, T_ROW_BYTES);
                t_dot(tiles, 1, 4, 7);
            }
            if (places > 1) {
                t_load(tiles, 5, x + second, pixel);
                t_dot(tiles, 2, 5, 6);
            }
            if (places > 1 && channels > 1)
                t_dot(tiles, 3, 5, 7);
            const int32_t end = stored + each < waiting.rows ? stored + each : waiting.rows;
            amx_store_rows(&waiting, stored, end);
            for (int32_t j = stored; j < end && places > 1; j++)
                __builtin_prefetch(y + (ptrdiff_t)place[j / SL_AMX_PIXELS].y[j % SL_AMX_PIXELS] * waiting.ys, 1);
            stored = end;
        }
    }
    amx_store_rows(&waiting, stored, waiting.rows);
    t_store(tiles, 0, sums, AMX_BLOCK * sizeof *sums);
    t_store(tiles, 1, sums + 16, AMX_BLOCK * sizeof *sums);
    t_store(tiles, 2, sums + 16 * AMX_BLOCK, AMX_BLOCK * sizeof *sums);
    t_store(tiles, 3, sums + 16 * AMX_BLOCK + 16, AMX_BLOCK * sizeof *sums);
}

static void amx_tile_any(struct t_state *tiles, int places, int channels, const struct amx_piece *piece,
                         const struct sl_amx_place *place, const struct amx_output *before, const sl_bf16 *y,
                         float *sums)
{
    if (places > 1 && channels > 1)
        amx_tile(tiles, 2, 2, piece, place, before, y, sums);
    else if (places > 1)
        amx_tile(tiles, 2, 1, piece, place, before, y, sums);
    else if (channels > 1)
        amx_tile(tiles, 1, 2, piece, place, before, y, sums);
    else
        amx_tile(tiles, 1, 1, piece, place, before, y, sums);
}
#endif
