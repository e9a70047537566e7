/* Reference of the updaters. */
#include <math.h>

#include "kernels/contract.h"
#include "kernels/elementwise/flat.h"
#include "kernels/kernels.h"
#include "kernels/optimizer/optimizer.h"

/* Where a slice ends; a bad step has no element. */
static int64_t last(const struct sl_work *work, const struct sl_optimizer *s, const struct sl_now *now)
{
    return now->bad ? 0 : sl_flat_end(work, s->n);
}

/* The end of every updater: the weights move, or the move is handed out. */
static void apply(const struct sl_optimizer_step *t, int64_t i, double step)
{
    if (t->u)
        t->u[i] = (float)step;
    else
        t->w[i] = (float)(t->w[i] - step);
}

static void sgd(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_optimizer *s = shape;
    const struct sl_optimizer_step *t = args;
    const int64_t end = last(work, s, t->now);
    assert(sl_work_fits(work, sl_flat_need, s));
    for (int64_t i = sl_flat_begin(work); i < end; i++) {
        double m = (double)t->g[i] + (double)t->l2 * t->w[i];
        if (t->m) {
            m += (double)t->momentum * t->m[i];
            t->m[i] = (float)m;
        }
        apply(t, i, t->now->rate * m);
    }
}

/* The step Adam and AMSGrad share: moves m and v of element i. */
static void move_moments(const struct sl_optimizer_step *t, int64_t i, double *m, double *v)
{
    const double g = (double)t->g[i] + (double)t->l2 * t->w[i];
    *m = (double)t->beta1 * t->m[i] + (1.0 - (double)t->beta1) * g;
    *v = (double)t->beta2 * t->v[i] + (1.0 - (double)t->beta2) * g * g;
    t->m[i] = (float)*m;
    t->v[i] = (float)*v;
}

static void adam(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_optimizer *s = shape;
    const struct sl_optimizer_step *t = args;
    const int64_t end = last(work, s, t->now);
    assert(sl_work_fits(work, sl_flat_need, s));
    assert(t->m && t->v);
    for (int64_t i = sl_flat_begin(work); i < end; i++) {
        double m, v;
        move_moments(t, i, &m, &v);
        apply(t, i, t->now->rate * m / (sqrt(v) + t->epsilon));
    }
}

static void amsgrad(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_optimizer *s = shape;
    const struct sl_optimizer_step *t = args;
    const int64_t end = last(work, s, t->now);
    assert(sl_work_fits(work, sl_flat_need, s));
    assert(t->m && t->v && t->h);
    for (int64_t i = sl_flat_begin(work); i < end; i++) {
        double m, v;
        move_moments(t, i, &m, &v);
        const double h = t->h[i] > v ? t->h[i] : v;
        t->h[i] = (float)h;
        apply(t, i, t->now->rate * m / (sqrt(h) + t->epsilon));
    }
}

static void subtract(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_subtract *t = args;
    const int64_t end = last(work, shape, t->now);
    assert(sl_work_fits(work, sl_flat_need, shape));
    for (int64_t i = sl_flat_begin(work); i < end; i++)
        t->w[i] -= t->u[i];
}

const struct sl_kernel sl_sgd_step_ref = {.need = sl_flat_need, .run = sgd};
const struct sl_kernel sl_adam_step_ref = {.need = sl_flat_need, .run = adam};
const struct sl_kernel sl_amsgrad_step_ref = {.need = sl_flat_need, .run = amsgrad};
const struct sl_kernel sl_subtract_ref = {.need = sl_flat_need, .run = subtract};
