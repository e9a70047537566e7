/* Reference of the leaky ReLU. */
#include "kernels/activation/activation.h"
#include "kernels/contract.h"
#include "kernels/element.h"
#include "kernels/elementwise/flat.h"
#include "kernels/kernels.h"

static void leaky_relu_fwd(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_leaky_relu *s = shape;
    const struct sl_leaky_relu_fwd *t = args;
    assert(sl_work_fits(work, sl_flat_need, shape));
    for (int64_t i = sl_flat_begin(work); i < sl_flat_end(work, s->n); i++) {
        const float x = sl_get(s->element, t->x, i);
        sl_put(s->element, t->y, i, x >= 0.0f ? x : s->slope * x);
    }
}

static void leaky_relu_bwd(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_leaky_relu *s = shape;
    const struct sl_leaky_relu_bwd *t = args;
    assert(sl_work_fits(work, sl_flat_need, shape));
    for (int64_t i = sl_flat_begin(work); i < sl_flat_end(work, s->n); i++) {
        const float dy = sl_get(s->element, t->dy, i);
        sl_put(s->element, t->dx, i, sl_get(s->element, t->x, i) >= 0.0f ? dy : s->slope * dy);
    }
}

const struct sl_kernel sl_leaky_relu_fwd_ref = {.need = sl_flat_need, .run = leaky_relu_fwd};
const struct sl_kernel sl_leaky_relu_fwd_bf16_ref = {
    .element = SL_ELEMENT_BF16, .need = sl_flat_need, .run = leaky_relu_fwd};
const struct sl_kernel sl_leaky_relu_bwd_ref = {.need = sl_flat_need, .run = leaky_relu_bwd};
const struct sl_kernel sl_leaky_relu_bwd_bf16_ref = {
    .element = SL_ELEMENT_BF16, .need = sl_flat_need, .run = leaky_relu_bwd};
