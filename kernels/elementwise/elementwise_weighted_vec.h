/* Weighted sums and scaling, of floats, once for all vector lengths. */
#include "kernels/contract.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/elementwise/flat.h"
#include "kernels/kernels.h"

/* VL elements from i on, of which n are there: four such sums at once hide the latency of an addition. */
enum { SUMS = 4 };

static inline float part_weight(const struct sl_weighted_sum *t, int32_t part)
{
    return t->weights ? t->weights[part] : 1.0f;
}

static inline void weigh_some(const struct sl_weighted_sum_shape *s, const struct sl_weighted_sum *t, int64_t i, int n)
{
    vf sum = v_mul(v_set1(part_weight(t, 0)), v_load_some(t->x + i, n));
    for (int32_t j = 1; j < s->parts; j++)
        sum = v_fma(v_set1(part_weight(t, j)), v_load_some(t->x + j * s->n + i, n), sum);
    v_store_some(t->sum + i, sum, n);
}

static inline void weigh_group(const struct sl_weighted_sum_shape *s, const struct sl_weighted_sum *t, int64_t i)
{
    vf sum[SUMS];
#pragma GCC unroll 4
    for (int v = 0; v < SUMS; v++)
        sum[v] = v_mul(v_set1(part_weight(t, 0)), v_load(t->x + i + v * VL));
    for (int32_t j = 1; j < s->parts; j++) {
        const float *x = t->x + j * s->n + i;
        const vf weight = v_set1(part_weight(t, j));
#pragma GCC unroll 4
        for (int v = 0; v < SUMS; v++)
            sum[v] = v_fma(weight, v_load(x + v * VL), sum[v]);
    }
#pragma GCC unroll 4
    for (int v = 0; v < SUMS; v++)
        v_store(t->sum + i + v * VL, sum[v]);
}

static void weighted_sum(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_weighted_sum_shape *s = shape;
    const struct sl_weighted_sum *t = args;
    const int64_t end = sl_flat_end(work, s->n);
    int64_t i = sl_flat_begin(work);
    assert(s->parts >= 1 && sl_work_fits(work, sl_flat_need, s));
    for (; i + SUMS * VL <= end; i += SUMS * VL)
        weigh_group(s, t, i);
    for (; i + VL <= end; i += VL)
        weigh_some(s, t, i, VL);
    if (i < end)
        weigh_some(s, t, i, (int)(end - i));
}

static void scale(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_scale *t = args;
    const int64_t end = sl_flat_end(work, ((const struct sl_flat *)shape)->n);
    const vf factor = v_set1(t->factor);
    int64_t i = sl_flat_begin(work);
    assert(sl_work_fits(work, sl_flat_need, shape));
    for (; i + VL <= end; i += VL)
        v_store(t->y + i, v_mul(v_load(t->y + i), factor));
    if (i < end)
        v_store_head(t->y + i, v_mul(v_load_head(t->y + i, (int)(end - i)), factor), (int)(end - i));
}

const struct sl_kernel V_NAME(sl_weighted_sum) = {.need = sl_flat_need, .run = weighted_sum};
const struct sl_kernel V_NAME(sl_scale) = {.need = sl_flat_need, .run = scale};
