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
    amx_element *y;              /* the block's first channel of the unit's first pixel */
    struct amx_moments *moments; /* of the block; NULL: not wanted */
};

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
        if (o->moments)
            amx_moments_add(o->moments, pixel == 0, low, high);
        amx_store(o->y + pixel * o->ys, low, high, o->lanes);
    }
}

/* Asks for what a block writes of a pixel. */
static inline void amx_ask(const amx_element *y)
{
    for (size_t i = 0; i < AMX_BLOCK * sizeof *y; i += 64)
        __builtin_prefetch((const char *)y + i, 1);
}

/* The sums of one or two places x one or two tiles of channels, to sums[32][AMX_BLOCK]. Between the steps, `before` is
 * stored, and the places of the present tile in y and what is `ahead` are asked for, a little in each. */
static inline __attribute__((always_inline)) void amx_tile(struct t_state *tiles, const int places, const int channels,
                                                           const bool passing, const struct amx_piece *piece,
                                                           const struct sl_amx_place *place,
                                                           const struct amx_output *before, const amx_element *y,
                                                           float *sums, struct direct_ahead *ahead)
{
    const sl_bf16 *first = piece->band + place[0].source;
    const ptrdiff_t second = place[places - 1].source - place[0].source;
    const struct amx_output waiting = *before;
    const int32_t all = piece->rows * piece->steps, each = all ? (waiting.rows + all - 1) / all : 0;
    struct amx_operands o = {.b = {piece->weights, piece->weights + T_ELEMENTS},
                             .pitch = piece->pixel,
                             .a_part = piece->part,
                             .b_part = channels * T_ELEMENTS};
    const int32_t asks = all ? (ahead->lines + all - 1) / all : 0;
    int32_t stored = 0;
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
            const int32_t end = stored + each < waiting.rows ? stored + each : waiting.rows;
            amx_store_rows(&waiting, stored, end);
            for (int32_t j = stored; j < end && places > 1; j++)
                amx_ask(y + (ptrdiff_t)place[j / SL_AMX_PIXELS].y[j % SL_AMX_PIXELS] * waiting.ys);
            stored = end;
            direct_prefetch_lines(ahead, asks);
        }
    }
    amx_store_rows(&waiting, stored, waiting.rows);
    t_store(tiles, 0, sums, AMX_BLOCK * sizeof *sums);
    t_store(tiles, 1, sums + 16, AMX_BLOCK * sizeof *sums);
    t_store(tiles, 2, sums + 16 * AMX_BLOCK, AMX_BLOCK * sizeof *sums);
    t_store(tiles, 3, sums + 16 * AMX_BLOCK + 16, AMX_BLOCK * sizeof *sums);
}

static void amx_tile_any(struct t_state *tiles, int places, int channels, const struct amx_piece *piece,
                         const struct sl_amx_place *place, const struct amx_output *before, const amx_element *y,
                         float *sums, struct direct_ahead *ahead)
{
    if (piece->passing && places > 1 && channels > 1)
        amx_tile(tiles, 2, 2, true, piece, place, before, y, sums, ahead);
    else if (places > 1 && channels > 1)
        amx_tile(tiles, 2, 2, false, piece, place, before, y, sums, ahead);
    else if (places > 1)
        amx_tile(tiles, 2, 1, false, piece, place, before, y, sums, ahead);
    else if (channels > 1)
        amx_tile(tiles, 1, 2, false, piece, place, before, y, sums, ahead);
    else
        amx_tile(tiles, 1, 1, false, piece, place, before, y, sums, ahead);
}
#endif
