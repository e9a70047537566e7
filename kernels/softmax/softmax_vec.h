/* Softmax, once for all vector lengths and elements. A row is read three times: for its maximum, for the exponentials
 * and their sum, and to divide. It stays in the first-level cache meanwhile. */
#include "kernels/contract.h"
#include "kernels/kernels.h"
#include "kernels/simd/vec_exp.h"
#include "kernels/softmax/softmax.h"

/* Lanes past the last class hold this. It is no maximum, and its exponential is 0. */
static const float NOTHING = -3.4e38f;

static bool each_row(const void *shape, struct sl_need *need)
{
    need->units = ((const struct sl_softmax *)shape)->n;
    return true;
}

/* VL classes from c on; lanes past the last class are `filler`. */
static inline vf load_classes(const ve *x, int32_t c, int32_t classes, vf filler)
{
    if (c + VL <= classes)
        return e_load(x + c);
    float lanes[VL];
    v_store(lanes, filler);
    for (int32_t i = c; i < classes; i++)
        lanes[i - c] = e_get(x + i);
    return v_load(lanes);
}

/* exp(x - max). Rounding changes the difference d by up to half an ulp of d, which would change the result by up to |d|
 * of its own ulp. So what rounding took away (Knuth's TwoSum finds it exactly) is handed on beside d. */
static inline vf exp_below(vf x, vf max)
{
    const vf d = v_sub(x, max), back = v_sub(d, x);
    const vf lost = v_sub(v_sub(x, v_sub(d, back)), v_add(max, back));
    return v_exp(d, lost);
}

/* Writes exp(x - max) to p and returns the sum. After 4096 terms a sum in float is added to the one in double. */
static double exponentials(const struct sl_softmax *s, const ve *x, float max, float *p)
{
    double total = 0.0;
    for (int32_t begin = 0; begin < s->c; begin += 4096) {
        const int32_t end = begin + 4096 < s->c ? begin + 4096 : s->c;
        vf sum = v_zero();
        for (int32_t c = begin; c < end; c += VL) {
            const vf e = exp_below(load_classes(x, c, s->c, v_set1(NOTHING)), v_set1(max));
            v_store_some(p + c, e, s->c - c < VL ? s->c - c : VL);
            sum = v_add(sum, e);
        }
        total += (double)v_sum(sum);
    }
    return total;
}

static void fwd(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_softmax *s = shape;
    const struct sl_softmax_nll_fwd *t = args;
    assert(sl_softmax_is_sound(s) && sl_work_fits(work, each_row, s));
    for (int64_t i = work->begin; i < work->end; i++) {
        assert(!t->labels || (0 <= t->labels[i] && t->labels[i] < s->c));
        const ve *x = e_at(t->x, i * s->xs);
        float *p = t->p + i * s->xs;
        vf max = v_set1(NOTHING);
        for (int32_t c = 0; c < s->c; c += VL)
            max = v_max(load_classes(x, c, s->c, v_set1(NOTHING)), max);
        const float top = v_max_lane(max);
        const double sum = exponentials(s, x, top, p);
        const vf factor = v_set1((float)(1.0 / sum));
        int32_t c = 0;
        for (; c + VL <= s->c; c += VL)
            v_store(p + c, v_mul(v_load(p + c), factor));
        if (c < s->c)
            v_store_head(p + c, v_mul(v_load_head(p + c, s->c - c), factor), s->c - c);
        for (c = s->c; c < s->xs; c++)
            p[c] = 0.0f;
        if (t->labels && t->loss)
            t->loss[i] = sl_nll(exp((double)e_get(x + t->labels[i]) - (double)top) / sum);
    }
}

static void bwd(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_softmax *s = shape;
    const struct sl_softmax_nll_bwd *t = args;
    const vf factor = v_set1(t->factor);
    assert(sl_softmax_is_sound(s) && sl_work_fits(work, each_row, s));
    for (int64_t i = work->begin; i < work->end; i++) {
        assert(0 <= t->labels[i] && t->labels[i] < s->c);
        const float *p = t->p + i * s->xs;
        ve *dx = e_to(t->dx, i * s->xs);
        const int32_t label = t->labels[i];
        int32_t c = 0;
        for (; c + VL <= s->c; c += VL)
            e_store(dx + c, v_mul(v_load(p + c), factor));
        if (c < s->c)
            e_store_head(dx + c, v_mul(v_load_head(p + c, s->c - c), factor), s->c - c);
        for (c = s->c; c < s->xs; c++)
            e_put(dx + c, 0.0f);
        e_put(dx + label, (p[label] - 1.0f) * t->factor);
    }
}

const struct sl_kernel E_NAME(sl_softmax_nll_fwd) = {.element = E_ELEMENT, .need = each_row, .run = fwd};
const struct sl_kernel E_NAME(sl_softmax_nll_bwd) = {.element = E_ELEMENT, .need = each_row, .run = bwd};
