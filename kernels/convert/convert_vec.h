/* From floats to bf16, once for all vector lengths: one vector at a time. */
#include "kernels/contract.h"
#include "kernels/convert/convert.h"
#include "kernels/elementwise/flat.h"
#include "kernels/kernels.h"
#include "kernels/simd/vec_bf16.h"

static void to_bf16(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_to_bf16 *t = args;
    const int64_t end = sl_flat_end(work, ((const struct sl_flat *)shape)->n);
    int64_t i = sl_flat_begin(work);
    assert(sl_work_fits(work, sl_flat_need, shape));
    for (; i + VL <= end; i += VL)
        v_store_bf16(t->y + i, v_load(t->x + i));
    if (i < end)
        v_store_bf16_head(t->y + i, v_load_head(t->x + i, (int)(end - i)), (int)(end - i));
}

const struct sl_kernel V_NAME(sl_to_bf16) = {.need = sl_flat_need, .run = to_bf16};
