/* Sums of squares, once for all vector lengths. The square of a float is exact in double, so a fused multiply-add has
 * the bits of a sum. */
#include "kernels/contract.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/elementwise/flat.h"
#include "kernels/kernels.h"
#include "kernels/step/step.h"

enum {
    VECTORS = SL_SQUARE_LANES / VL, /* of floats that are added to all lanes */
    HALF = VL / 2,
    AHEAD = 512, /* how many floats ahead x is prefetched: weights and gradients come from far away */
};

/* The next SL_SQUARE_LANES floats, of which n are there; zeros add nothing. */
static inline void add_squares(const float *x, int64_t n, vd sum[2 * VECTORS])
{
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; v++) {
        const int64_t left = n - v * VL;
        const vf a = v_load_some(x + v * VL, left >= VL ? VL : left > 0 ? (int)left : 0);
        const vd first = vd_first(a), last = vd_last(a);
        __builtin_prefetch(x + v * VL + AHEAD);
        sum[2 * v] = vd_fma(first, first, sum[2 * v]);
        sum[2 * v + 1] = vd_fma(last, last, sum[2 * v + 1]);
    }
}

static double sum_chunk(const float *x, int64_t n)
{
    vd sum[2 * VECTORS];
    double lanes[SL_SQUARE_LANES];
    int64_t i = 0;
#pragma GCC unroll 8
    for (int v = 0; v < 2 * VECTORS; v++)
        sum[v] = vd_zero();
    for (; i + SL_SQUARE_LANES <= n; i += SL_SQUARE_LANES)
        add_squares(x + i, SL_SQUARE_LANES, sum);
    if (i < n)
        add_squares(x + i, n - i, sum);
#pragma GCC unroll 8
    for (int v = 0; v < 2 * VECTORS; v++)
        vd_store(lanes + v * HALF, sum[v]);
    return sl_join_squares(lanes);
}

static void sum_squares(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_flat *s = shape;
    const struct sl_sum_squares *t = args;
    assert(sl_work_fits(work, sl_flat_need, s));
    for (int64_t unit = work->begin; unit < work->end; unit++) {
        const int64_t begin = unit * SL_FLAT_CHUNK, left = s->n - begin;
        t->sums[unit] = sum_chunk(t->x + begin, left < SL_FLAT_CHUNK ? left : SL_FLAT_CHUNK);
    }
}

const struct sl_kernel V_NAME(sl_sum_squares) = {.need = sl_flat_need, .run = sum_squares};
