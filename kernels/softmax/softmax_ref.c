/* Reference of softmax and negative log-likelihood. */
#include "kernels/softmax/softmax.h"

#include <math.h>

#include "kernels/contract.h"
#include "kernels/element.h"
#include "kernels/kernels.h"

static bool each_row(const void *shape, struct sl_need *need)
{
    need->units = ((const struct sl_softmax *)shape)->n;
    return true;
}

static void fwd(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_softmax *s = shape;
    const struct sl_softmax_nll_fwd *t = args;
    assert(sl_softmax_is_sound(s) && sl_work_fits(work, each_row, s));
    for (int64_t i = work->begin; i < work->end; i++) {
        assert(!t->labels || (0 <= t->labels[i] && t->labels[i] < s->c));
        const int64_t at = i * s->xs;
        float *p = t->p + at;
        double max = sl_get(s->element, t->x, at), sum = 0.0;
        for (int32_t c = 1; c < s->c; c++) {
            const float x = sl_get(s->element, t->x, at + c);
            max = x > max ? x : max;
        }
        for (int32_t c = 0; c < s->c; c++)
            sum += exp(sl_get(s->element, t->x, at + c) - max);
        for (int32_t c = 0; c < s->xs; c++)
            p[c] = c < s->c ? (float)(exp(sl_get(s->element, t->x, at + c) - max) / sum) : 0.0f;
        if (t->labels && t->loss)
            t->loss[i] = sl_nll(exp(sl_get(s->element, t->x, at + t->labels[i]) - max) / sum);
    }
}

static void bwd(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_softmax *s = shape;
    const struct sl_softmax_nll_bwd *t = args;
    assert(sl_softmax_is_sound(s) && sl_work_fits(work, each_row, s));
    for (int64_t i = work->begin; i < work->end; i++) {
        assert(0 <= t->labels[i] && t->labels[i] < s->c);
        const float *p = t->p + i * s->xs;
        for (int32_t c = 0; c < s->xs; c++) {
            const float dx = c < s->c ? (p[c] - (c == t->labels[i] ? 1.0f : 0.0f)) * t->factor : 0.0f;
            sl_put(s->element, t->dx, i * s->xs + c, dx);
        }
    }
}

const struct sl_kernel sl_softmax_nll_fwd_ref = {.need = each_row, .run = fwd};
const struct sl_kernel sl_softmax_nll_fwd_bf16_ref = {.element = SL_ELEMENT_BF16, .need = each_row, .run = fwd};
const struct sl_kernel sl_softmax_nll_bwd_ref = {.need = each_row, .run = bwd};
const struct sl_kernel sl_softmax_nll_bwd_bf16_ref = {.element = SL_ELEMENT_BF16, .need = each_row, .run = bwd};
