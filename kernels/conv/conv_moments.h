/* The record of moments of a unit (norm.h). It is taken while the unit's output is still in cache. */
#ifndef SL_KERNELS_CONV_MOMENTS_H
#define SL_KERNELS_CONV_MOMENTS_H

#include <string.h>

#include "kernels/conv/conv_tile.h"
#include "kernels/norm/norm.h"

enum { DIRECT_MOMENTS = 4 }; /* vectors of channels whose moments are summed at once */

DIRECT_INLINE vf direct_load(const float *p, int lanes)
{
    return lanes == VL ? v_load(p) : v_load_head(p, lanes);
}

/* Mean and sum of squared deviations of some channels over the pixels of a unit. Each sum is a chain of additions that
 * wait for each other; several vectors at once hide that. */
DIRECT_INLINE void direct_moments_of(const int vectors, int lanes, int32_t pixels, int32_t ys, const float *y,
                                     float *mean, float *squares)
{
    vf sum[DIRECT_MOMENTS], square[DIRECT_MOMENTS];
    DIRECT_UNROLL
    for (int v = 0; v < vectors; v++)
        sum[v] = square[v] = v_zero();
    for (int32_t t = 0; t < pixels; t++) {
        DIRECT_UNROLL
        for (int v = 0; v < vectors; v++)
            sum[v] = v_add(sum[v], direct_load(y + (ptrdiff_t)t * ys + v * VL, lanes));
    }
    DIRECT_UNROLL
    for (int v = 0; v < vectors; v++)
        sum[v] = v_div(sum[v], v_set1((float)pixels));
    for (int32_t t = 0; t < pixels; t++) {
        DIRECT_UNROLL
        for (int v = 0; v < vectors; v++) {
            const vf d = v_sub(direct_load(y + (ptrdiff_t)t * ys + v * VL, lanes), sum[v]);
            square[v] = v_fma(d, d, square[v]);
        }
    }
    DIRECT_UNROLL
    for (int v = 0; v < vectors; v++) {
        v_store_head(mean + v * VL, sum[v], lanes);
        v_store_head(squares + v * VL, square[v], lanes);
    }
}

/* Lanes [k, end) of the record of a unit. Whoever takes the first ones says how many pixels there are. */
static void direct_moments(int32_t pixels, int32_t ys, const float *y, int32_t k, int32_t end, float *record)
{
    const bool first = k == 0;
    for (; k + DIRECT_MOMENTS * VL <= end; k += DIRECT_MOMENTS * VL)
        direct_moments_of(DIRECT_MOMENTS, VL, pixels, ys, y + k, record + k, record + ys + k);
    for (; k + VL <= end; k += VL)
        direct_moments_of(1, VL, pixels, ys, y + k, record + k, record + ys + k);
    if (k < end)
        direct_moments_of(1, end - k, pixels, ys, y + k, record + k, record + ys + k);
    if (!first)
        return;
    memset(record + 2 * ys, 0, SL_LANES * sizeof *record);
    record[2 * ys] = (float)pixels;
}
#endif
