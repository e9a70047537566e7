/* Reference of bytes to floats. */
#include <math.h>

#include "kernels/contract.h"
#include "kernels/element.h"
#include "kernels/image/image.h"
#include "kernels/kernels.h"

static bool each_row(const void *shape, struct sl_need *need)
{
    const struct sl_image *s = shape;
    need->units = (int64_t)s->n * s->oh;
    return true;
}

static void to_float(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_image *s = shape;
    const struct sl_image_to_float *t = args;
    assert(sl_image_is_sound(s) && sl_work_fits(work, each_row, s));
    for (int64_t i = work->begin; i < work->end; i++)
        for (int32_t j = 0; j < s->ow; j++)
            for (int32_t c = 0; c < 3; c++) {
                const struct sl_image_place *at = &t->places[i / s->oh];
                const int64_t row = i % s->oh + at->top, column = (int64_t)at->left + (at->flip ? s->ow - 1 - j : j);
                const bool inside = row >= 0 && row < s->height && column >= 0 && column < s->width;
                const int64_t pixel = (at->index * s->height + row) * s->width + column;
                const float byte = inside ? t->x[pixel * 3 + c] : 0.0f;
                sl_put(s->element, t->y, (i * s->ow + j) * 3 + c, fmaf(byte, t->scale[c], t->shift[c]));
            }
}

const struct sl_kernel sl_image_to_float_ref = {.need = each_row, .run = to_float};
const struct sl_kernel sl_image_to_float_bf16_ref = {.element = SL_ELEMENT_BF16, .need = each_row, .run = to_float};
