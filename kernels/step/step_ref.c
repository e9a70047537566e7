/* The verdict on a step, and fingerprints of what it changes. */
#include <math.h>
#include <string.h>

#include "kernels/contract.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/elementwise/flat.h"
#include "kernels/step/step.h"

static double sum_chunk(const float *x, int64_t n)
{
    double lanes[SL_SQUARE_LANES] = {0.0};
    for (int64_t i = 0; i < n; i++)
        lanes[i % SL_SQUARE_LANES] += (double)x[i] * x[i];
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

static bool once(const void *shape, struct sl_need *need)
{
    (void)shape;
    need->units = 1;
    return true;
}

static double sum_of(const double *x, int64_t n)
{
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++)
        sum += x[i];
    return sum;
}

static void judge(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_judge_shape *s = shape;
    const struct sl_judge *t = args;
    assert(sl_work_fits(work, once, s) && s->losses >= 0);
    if (work->begin == work->end)
        return;
    t->now->loss = s->losses ? sum_of(t->losses, s->losses) / (double)s->losses : 0.0;
    t->now->half_norm = 0.5 * sum_of(t->weights, s->weights);
    t->now->gradient_norm = sqrt(sum_of(t->gradients, s->gradients));
    const bool loss = isfinite(t->now->loss) && isfinite(t->now->half_norm);
    t->now->bad = (loss ? 0 : SL_BAD_LOSS) | (isfinite(t->now->gradient_norm) ? 0 : SL_BAD_GRADIENT);
}

static void fingerprint(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_flat *s = shape;
    const struct sl_fingerprint *t = args;
    assert(sl_work_fits(work, sl_flat_need, s));
    for (int64_t unit = work->begin; unit < work->end; unit++) {
        const int64_t begin = unit * SL_FLAT_CHUNK, end = begin + SL_FLAT_CHUNK < s->n ? begin + SL_FLAT_CHUNK : s->n;
        uint64_t sum = 0;
        for (int64_t i = begin; i < end; i++) {
            uint32_t bits;
            memcpy(&bits, t->x + i, sizeof bits);
            sum += sl_mix_float(bits, (uint32_t)i);
        }
        t->sums[unit] = sum;
    }
}

const struct sl_kernel sl_sum_squares_ref = {.need = sl_flat_need, .run = sum_squares};
const struct sl_kernel sl_judge_ref = {.need = once, .run = judge};
const struct sl_kernel sl_fingerprint_ref = {.need = sl_flat_need, .run = fingerprint};
