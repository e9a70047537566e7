/* The end of Winograd's convolution: the sums of one tile become outputs, pooled where a pool follows, with bias and
 * activation, and are stored and counted into the moments of the unit while they are in registers. A template over the
 * names of simd/vec_*.h. */
#ifndef SL_KERNELS_CONV_WINOGRAD_OUTPUT_H
#define SL_KERNELS_CONV_WINOGRAD_OUTPUT_H

#include "kernels/conv/conv_winograd_square.h"

/* Vectors whose channels are finished together: those of a cache line, as far as a panel has them. */
enum { WINOGRAD_LINE = V_REGISTERS == 32 ? SL_LANES * sizeof(float) / sizeof(conv_element) / VL : SL_LANES / VL };

/* Moments so far, of the channels of a panel. Those of a tile of p pixels are joined to those of q before it (Chan,
 * Golub & LeVeque 1983). */
struct winograd_moments {
    float *mean, *squares; /* NULL: not asked for */
    float pixels;          /* 1/p */
    float share, weight;   /* p/(p + q), p*q/(p + q) */
};

/* Where the outputs of a tile go: a panel of channels of `rows` x `columns` pixels, all that the image has of them. */
struct winograd_output {
    conv_element *y;
    ptrdiff_t row, pixel; /* elements from one to the next */
    int32_t rows, columns;
    int32_t lanes;     /* elements of a pixel, from the panel's first channel on */
    bool streams;      /* whole vectors go past the caches */
    const float *bias; /* of the panel, with zeros past the last channel */
    float slope;
    struct winograd_moments moments;
};

/* The maximum of each 2 x 2 window of n x n outputs. It comes before bias and activation, which keep the order of
 * numbers: so they have a quarter of the work, and the bits are the same. */
WINOGRAD_INLINE void winograd_pool(const int n, vf y[WINOGRAD_OUTPUTS][WINOGRAD_OUTPUTS])
{
    WINOGRAD_UNROLL
    for (int i = 0; i < n / 2; i++) {
        WINOGRAD_UNROLL
        for (int j = 0; j < n / 2; j++)
            y[i][j] =
                v_max(v_max(y[2 * i][2 * j], y[2 * i][2 * j + 1]), v_max(y[2 * i + 1][2 * j], y[2 * i + 1][2 * j + 1]));
    }
}

/* Adds the bias and applies the activation. */
WINOGRAD_INLINE void winograd_activate(const int n, vf bias, float slope, vf y[WINOGRAD_OUTPUTS][WINOGRAD_OUTPUTS])
{
    WINOGRAD_UNROLL
    for (int i = 0; i < n; i++) {
        WINOGRAD_UNROLL
        for (int j = 0; j < n; j++) {
            y[i][j] = v_add(y[i][j], bias);
            if (slope != 1.0f)
                y[i][j] = v_select(v_ge(y[i][j], v_zero()), y[i][j], v_mul(y[i][j], v_set1(slope)));
        }
    }
}

/* Lanes of y from channel c on, of one vector. */
WINOGRAD_INLINE int winograd_lanes(const bool whole, const struct winograd_output *o, int32_t c)
{
    const int32_t left = o->lanes - c;
    return whole || left > VL ? VL : left < 0 ? 0 : left;
}

/* The pixels of a tile that the image has are those it `keeps`. */
WINOGRAD_INLINE bool winograd_keeps(const bool whole, const struct winograd_output *o, int i, int j)
{
    return whole || (i < o->rows && j < o->columns);
}

WINOGRAD_INLINE void winograd_store(const struct winograd_output *o, conv_element *y, vf a, int lanes)
{
    if (lanes == VL && o->streams)
        conv_stream(y, a);
    else
        conv_store_some(y, a, lanes);
}

/* Joins the moments of what is stored of a tile to those of the tiles before it. */
WINOGRAD_INLINE void winograd_join(const int n, const bool whole, const struct winograd_output *o, int32_t c, int lanes,
                                   vf y[WINOGRAD_OUTPUTS][WINOGRAD_OUTPUTS])
{
    const struct winograd_moments *mo = &o->moments;
    vf sum = v_zero(), squares = v_zero();
    WINOGRAD_UNROLL
    for (int i = 0; i < n; i++) {
        WINOGRAD_UNROLL
        for (int j = 0; j < n; j++)
            if (winograd_keeps(whole, o, i, j))
                sum = v_add(sum, conv_round(y[i][j]));
    }
    const vf mean = v_mul(sum, v_set1(mo->pixels));
    WINOGRAD_UNROLL
    for (int i = 0; i < n; i++) {
        WINOGRAD_UNROLL
        for (int j = 0; j < n; j++)
            if (winograd_keeps(whole, o, i, j)) {
                const vf d = v_sub(conv_round(y[i][j]), mean);
                squares = v_fma(d, d, squares);
            }
    }
    const vf before = v_load_some(mo->mean + c, lanes), apart = v_sub(mean, before);
    squares = v_add(squares, v_load_some(mo->squares + c, lanes));
    squares = v_fma(v_mul(apart, apart), v_set1(mo->weight), squares);
    v_store_some(mo->mean + c, v_fma(apart, v_set1(mo->share), before), lanes);
    v_store_some(mo->squares + c, squares, lanes);
}

/* WINOGRAD_LINE vectors of channels: n x n outputs of t x t sums, or n/pool x n/pool of them. `whole`: the image has
 * all pixels of the tile, and y all lanes of the line. Its vectors are stored side by side: halves of a line that leave
 * for memory at different times cost two lines. */
WINOGRAD_INLINE void winograd_finish(const int t, const int n, const int pool, const bool whole,
                                     const struct winograd_output *o, const float *m, ptrdiff_t step, int32_t c)
{
    const int left = n / pool;
    vf y[WINOGRAD_LINE][WINOGRAD_OUTPUTS][WINOGRAD_OUTPUTS];
    WINOGRAD_UNROLL
    for (int v = 0; v < WINOGRAD_LINE; v++) {
        const int32_t at = c + v * VL;
        winograd_output_square(t, n, m + at, step, NULL, y[v]);
        if (pool == 2)
            winograd_pool(n, y[v]);
        winograd_activate(left, v_load(o->bias + at), o->slope, y[v]);
        if (pool == 1 && o->moments.mean && at < o->lanes)
            winograd_join(n, whole, o, at, winograd_lanes(whole, o, at), y[v]);
    }
    WINOGRAD_UNROLL
    for (int i = 0; i < left; i++) {
        WINOGRAD_UNROLL
        for (int j = 0; j < left; j++) {
            WINOGRAD_UNROLL
            for (int v = 0; v < WINOGRAD_LINE; v++)
                if (winograd_keeps(whole, o, i, j))
                    winograd_store(o, o->y + i * o->row + j * o->pixel + c + v * VL, y[v][i][j],
                                   winograd_lanes(whole, o, c + v * VL));
        }
    }
}

/* A panel of one tile. */
WINOGRAD_INLINE void winograd_output_panel(const int t, const int n, const int pool, const struct winograd_output *o,
                                           const float *m, ptrdiff_t step, int32_t width)
{
    const bool inside = o->rows == n / pool && o->columns == n / pool;
    const int32_t line = WINOGRAD_LINE * VL;
    for (int32_t c = 0; c < width && c < o->lanes; c += line)
        if (inside && o->lanes - c >= line)
            winograd_finish(t, n, pool, true, o, m, step, c);
        else
            winograd_finish(t, n, pool, false, o, m, step, c);
}
#endif
