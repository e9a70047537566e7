/* Reference of bytes to floats. */
#include <math.h>

#include "kernels/contract.h"
#include "kernels/image/image.h"
#include "kernels/kernels.h"

static int64_t rows(const void *shape)
{
    return ((const struct sl_image *)shape)->oh;
}

static void to_float(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_image *s = shape;
    const struct sl_image_to_float *t = args;
    assert(sl_image_is_sound(s) && sl_slice_is_within(work, s->oh));
    for (int64_t i = work->begin; i < work->end; i++)
        for (int32_t j = 0; j < s->ow; j++)
            for (int32_t c = 0; c < 3; c++) {
                const int64_t row = i + t->top, column = (int64_t)t->left + (t->flip ? s->ow - 1 - j : j);
                const bool inside = row >= 0 && row < s->height && column >= 0 && column < s->width;
                const float byte = inside ? t->x[(row * s->width + column) * 3 + c] : 0.0f;
                t->y[(i * s->ow + j) * 3 + c] = fmaf(byte, t->scale[c], t->shift[c]);
            }
}

const struct sl_kernel sl_image_to_float_ref = {.units = rows, .run = to_float};
