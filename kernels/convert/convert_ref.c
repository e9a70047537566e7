/* Reference of the conversion from floats to bf16. */
#include "kernels/contract.h"
#include "kernels/convert/convert.h"
#include "kernels/elementwise/flat.h"
#include "kernels/kernels.h"

static void to_bf16(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_flat *s = shape;
    const struct sl_to_bf16 *t = args;
    assert(sl_work_fits(work, sl_flat_need, s));
    for (int64_t i = sl_flat_begin(work); i < sl_flat_end(work, s->n); i++)
        t->y[i] = sl_bf16_from_float(t->x[i]);
}

const struct sl_kernel sl_to_bf16_ref = {.need = sl_flat_need, .run = to_bf16};
