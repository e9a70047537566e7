/* The tiles of forward and backward-data on AMX: 32 pixels x 32 output channels, in four registers of sums, and what
 * becomes of the sums: bias, activation, rounding to the element. README.md says what lies where.
 *
 * The rows of one tile's output are stored between the steps of the next tile. That hides their work behind the
 * multiplications, and leaves stores time: a load of sums that were just stored waits for all stores before them, and
 * some of those wait for memory. */
#ifndef SL_KERNELS_CONV_AMX_TILE_H
#define SL_KERNELS_CONV_AMX_TILE_H

#include "kernels/conv/amx_band.h"
#include "kernels/conv/conv_ahead.h"
#include "kernels/conv/conv_amx_moments.h"
#include "kernels/conv/conv_amx_product.h"

enum { AMX_BLOCK = 32 }; /* output channels of a block */

/* One block of output channels of a pair of phases. */
struct amx_piece {
    const sl_bf16 *band;
    const sl_bf16 *weights; /* [kernel row][step][part][channel tile][register] */
    int32_t rows, steps;    /* kernel rows; steps of a kernel row */
    ptrdiff_t row, part;    /* elements of the band from one kernel row to the next, from one part to the next */
    ptrdiff_t pixel;        /* bytes from one pixel of a tile to the next */
    bool passing;           /* the weights of a block come from the second-level cache each time */
    int32_t stores, asks;   /* after each step: rows of the output before, lines of the source ahead */
};

enum { AMX_ROWS = 2 * SL_AMX_PIXELS }; /* of the largest tile */

/* The sums of a tile, waiting to be stored row by row. */
struct amx_output {
    const float *sums; /* [row][AMX_BLOCK] */
    const float *bias; /* of the block, with zeros past the last channel */
    float slope;
    const int32_t *at; /* where each row lies in y, in elements; negative: thrown away */
    int32_t rows;
    int32_t lanes;               /* elements of a pixel that the block writes */
    amx_element *y;              /* the block's first channel of the unit's first pixel */
    struct amx_moments *moments; /* of the block; NULL: not wanted */
};

/* Row i: with its bias, activated. */
static inline void amx_finish_row(const struct amx_output *o, int32_t i, vf *low, vf *high)
{
    const float *sums = o->sums + (ptrdiff_t)i * AMX_BLOCK;
    *low = v_add(v_load(sums), v_load(o->bias));
    *high = v_add(v_load(sums + VL), v_load(o->bias + VL));
    if (o->slope == 1.0f)
        return;
    const vf slope = v_set1(o->slope);
    *low = v_select(v_ge(*low, v_zero()), *low, v_mul(*low, slope));
    *high = v_select(v_ge(*high, v_zero()), *high, v_mul(*high, slope));
}

/* Before the first row of a unit is stored: moments are taken about it. */
static inline void amx_start_moments(const struct amx_output *o)
{
    vf low, high;
    if (!o->moments || !o->rows || o->at[0] != 0)
        return;
    amx_finish_row(o, 0, &low, &high);
    amx_moments_start(o->moments, low, high);
}

static inline __attribute__((always_inline)) void amx_store_row(const struct amx_output *o, int32_t i)
{
    const ptrdiff_t at = o->at[i];
    vf low, high;
    if (at < 0)
        return;
    amx_finish_row(o, i, &low, &high);
    if (o->moments)
        amx_moments_add(o->moments, low, high);
    amx_store(o->y + at, low, high, o->lanes);
}

/* Asks for what a block writes of a pixel. */
static inline void amx_ask(const amx_element *y)
{
    for (size_t i = 0; i < AMX_BLOCK * sizeof *y; i += 64)
        __builtin_prefetch((const char *)y + i, 1);
}

/* The sums of one or two places x one or two tiles of channels, to `sums`. Between the steps, `before` is stored, and
 * the places of the present tile in y and what is `ahead` are asked for, a little in each. */
static inline __attribute__((always_inline)) void
amx_tile(struct t_state *tiles, const int places, const int channels, const bool passing, const struct amx_piece *piece,
         const sl_bf16 *first, ptrdiff_t second, const struct amx_output *before, const struct amx_output *present,
         float *sums, struct direct_ahead *ahead)
{
    const struct amx_output waiting = *before;
    const int32_t *asked = present->at;
    const amx_element *y = present->y;
    struct amx_operands o = {.b = {piece->weights, piece->weights + T_ELEMENTS},
                             .pitch = piece->pixel,
                             .a_part = piece->part,
                             .b_part = channels * T_ELEMENTS};
    int32_t stored = 0;
    amx_start_moments(&waiting);
    t_zero(tiles, 0);
    t_zero(tiles, 1);
    t_zero(tiles, 2);
    t_zero(tiles, 3);
    for (int32_t r = 0; r < piece->rows; r++) {
        o.a[0] = first + r * piece->row;
        for (int32_t i = 0; i < piece->steps; i++) {
            o.a[1] = o.a[0] + second;
            amx_step(tiles, places, channels, passing, &o);
            o.a[0] += T_DEPTH;
            o.b[0] += AMX_PARTS * channels * T_ELEMENTS;
            o.b[1] = o.b[0] + T_ELEMENTS;
            const int32_t end = amx_least(stored + piece->stores, waiting.rows);
            for (; stored < end; stored++) {
                amx_store_row(&waiting, stored);
                if (places > 1)
                    amx_ask(y + asked[stored]);
            }
            direct_prefetch_lines(ahead, piece->asks);
        }
    }
    for (; stored < waiting.rows; stored++)
        amx_store_row(&waiting, stored);
    t_store(tiles, 0, sums, AMX_BLOCK * sizeof *sums);
    t_store(tiles, 1, sums + 16, AMX_BLOCK * sizeof *sums);
    t_store(tiles, 2, sums + 16 * AMX_BLOCK, AMX_BLOCK * sizeof *sums);
    t_store(tiles, 3, sums + 16 * AMX_BLOCK + 16, AMX_BLOCK * sizeof *sums);
}

static void amx_tile_any(struct t_state *tiles, int places, int channels, const struct amx_piece *piece,
                         const struct sl_amx_place *place, const struct amx_output *before,
                         const struct amx_output *present, float *sums, struct direct_ahead *ahead)
{
    const sl_bf16 *first = piece->band + place[0].source;
    const ptrdiff_t second = place[places - 1].source - place[0].source;
    if (piece->passing && places > 1 && channels > 1)
        amx_tile(tiles, 2, 2, true, piece, first, second, before, present, sums, ahead);
    else if (places > 1 && channels > 1)
        amx_tile(tiles, 2, 2, false, piece, first, second, before, present, sums, ahead);
    else if (places > 1)
        amx_tile(tiles, 2, 1, false, piece, first, second, before, present, sums, ahead);
    else if (channels > 1)
        amx_tile(tiles, 1, 2, false, piece, first, second, before, present, sums, ahead);
    else
        amx_tile(tiles, 1, 1, false, piece, first, second, before, present, sums, ahead);
}
#endif
