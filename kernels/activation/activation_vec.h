/* Leaky ReLU, once for all vector lengths and elements. */
#include "kernels/activation/activation.h"
#include "kernels/contract.h"
#include "kernels/elementwise/flat.h"
#include "kernels/kernels.h"

/* out = x >= 0 ? v : slope*v, n elements. */
static inline void leak_some(const ve *x, const ve *v, ve *out, vf slope, int n)
{
    const vf a = e_load_some(v, n);
    e_store_some(out, v_select(v_ge(e_load_some(x, n), v_zero()), a, v_mul(slope, a)), n);
}

static void leak(const struct sl_leaky_relu *s, const ve *x, const ve *v, ve *out, const struct sl_work *work)
{
    assert(sl_work_fits(work, sl_flat_need, s));
    const int64_t end = sl_flat_end(work, s->n);
    const vf slope = v_set1(s->slope);
    int64_t i = sl_flat_begin(work);
    for (; i + VL <= end; i += VL) {
        __builtin_prefetch(x + i + SL_FLAT_AHEAD);
        __builtin_prefetch(v + i + SL_FLAT_AHEAD);
        __builtin_prefetch(out + i + SL_FLAT_AHEAD, 1);
        leak_some(x + i, v + i, out + i, slope, VL);
    }
    if (i < end)
        leak_some(x + i, v + i, out + i, slope, (int)(end - i));
}

static void leaky_relu_fwd(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_leaky_relu_fwd *t = args;
    leak(shape, t->x, t->x, t->y, work);
}

static void leaky_relu_bwd(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_leaky_relu_bwd *t = args;
    leak(shape, t->x, t->dy, t->dx, work);
}

const struct sl_kernel E_NAME(sl_leaky_relu_fwd) = {.element = E_ELEMENT, .need = sl_flat_need, .run = leaky_relu_fwd};
const struct sl_kernel E_NAME(sl_leaky_relu_bwd) = {.element = E_ELEMENT, .need = sl_flat_need, .run = leaky_relu_bwd};
