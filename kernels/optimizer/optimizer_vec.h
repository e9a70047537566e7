/* Updaters, once for all vector lengths: every state is read and written once, and an element's bits depend on nothing
 * but that element. */
#include "kernels/contract.h"
#include "kernels/elementwise/flat.h"
#include "kernels/kernels.h"
#include "kernels/optimizer/optimizer.h"

/* The scalars of a step in all lanes. */
struct factors {
    vf rate, momentum, beta1, beta2, rest1, rest2, epsilon, l2;
};

static inline struct factors factors_of(const struct sl_optimizer_step *t)
{
    return (struct factors){
        .rate = v_set1(t->now->rate),
        .momentum = v_set1(t->momentum),
        .beta1 = v_set1(t->beta1),
        .beta2 = v_set1(t->beta2),
        .rest1 = v_set1((float)(1.0 - (double)t->beta1)),
        .rest2 = v_set1((float)(1.0 - (double)t->beta2)),
        .epsilon = v_set1(t->epsilon),
        .l2 = v_set1(t->l2),
    };
}

/* The end of every updater: the weights move, or the move is handed out. */
static inline void apply_some(const struct sl_optimizer_step *t, int64_t i, int n, vf w, vf step)
{
    if (t->u)
        v_store_some(t->u + i, step, n);
    else
        v_store_some(t->w + i, v_sub(w, step), n);
}

static inline void sgd_some(const struct sl_optimizer_step *t, const struct factors *f, int64_t i, int n)
{
    const vf w = v_load_some(t->w + i, n);
    vf m = v_fma(f->l2, w, v_load_some(t->g + i, n));
    if (t->m) {
        m = v_fma(f->momentum, v_load_some(t->m + i, n), m);
        v_store_some(t->m + i, m, n);
    }
    apply_some(t, i, n, w, v_mul(f->rate, m));
}

/* Adam, and with `maximum` AMSGrad. */
static inline void adam_some(const struct sl_optimizer_step *t, const struct factors *f, int64_t i, int n, bool maximum)
{
    const vf w = v_load_some(t->w + i, n);
    const vf g = v_fma(f->l2, w, v_load_some(t->g + i, n));
    const vf m = v_fma(f->beta1, v_load_some(t->m + i, n), v_mul(f->rest1, g));
    vf v = v_fma(f->beta2, v_load_some(t->v + i, n), v_mul(v_mul(f->rest2, g), g));
    v_store_some(t->m + i, m, n);
    v_store_some(t->v + i, v, n);
    if (maximum) {
        v = v_max(v_load_some(t->h + i, n), v); /* a NaN in v is kept */
        v_store_some(t->h + i, v, n);
    }
    apply_some(t, i, n, w, v_div(v_mul(f->rate, m), v_add(v_sqrt(v), f->epsilon)));
}

/* Where a slice ends; a bad step has no element. */
static int64_t last(const struct sl_work *work, const struct sl_optimizer *s, const struct sl_now *now)
{
    return now->bad ? 0 : sl_flat_end(work, s->n);
}

static void sgd(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_optimizer_step *t = args;
    const int64_t end = last(work, shape, t->now);
    const struct factors f = factors_of(t);
    int64_t i = sl_flat_begin(work);
    assert(sl_work_fits(work, sl_flat_need, shape));
    for (; i + VL <= end; i += VL)
        sgd_some(t, &f, i, VL);
    if (i < end)
        sgd_some(t, &f, i, (int)(end - i));
}

static void adam(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_optimizer_step *t = args;
    const int64_t end = last(work, shape, t->now);
    const struct factors f = factors_of(t);
    int64_t i = sl_flat_begin(work);
    assert(sl_work_fits(work, sl_flat_need, shape));
    assert(t->m && t->v);
    for (; i + VL <= end; i += VL)
        adam_some(t, &f, i, VL, false);
    if (i < end)
        adam_some(t, &f, i, (int)(end - i), false);
}

static void amsgrad(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_optimizer_step *t = args;
    const int64_t end = last(work, shape, t->now);
    const struct factors f = factors_of(t);
    int64_t i = sl_flat_begin(work);
    assert(sl_work_fits(work, sl_flat_need, shape));
    assert(t->m && t->v && t->h);
    for (; i + VL <= end; i += VL)
        adam_some(t, &f, i, VL, true);
    if (i < end)
        adam_some(t, &f, i, (int)(end - i), true);
}

static void subtract(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_subtract *t = args;
    const int64_t end = last(work, shape, t->now);
    int64_t i = sl_flat_begin(work);
    assert(sl_work_fits(work, sl_flat_need, shape));
    for (; i + VL <= end; i += VL)
        v_store(t->w + i, v_sub(v_load(t->w + i), v_load(t->u + i)));
    if (i < end)
        v_store_some(t->w + i, v_sub(v_load_some(t->w + i, (int)(end - i)), v_load_some(t->u + i, (int)(end - i))),
                     (int)(end - i));
}

const struct sl_kernel V_NAME(sl_sgd_step) = {.need = sl_flat_need, .run = sgd};
const struct sl_kernel V_NAME(sl_adam_step) = {.need = sl_flat_need, .run = adam};
const struct sl_kernel V_NAME(sl_amsgrad_step) = {.need = sl_flat_need, .run = amsgrad};
const struct sl_kernel V_NAME(sl_subtract) = {.need = sl_flat_need, .run = subtract};
