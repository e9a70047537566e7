#include "kernels/image/image.h"
#include "kernels/kernels.h"

static int64_t rows(const void *shape)
{
    return ((const struct sl_image *)shape)->oh;
}

static void image_to_float(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_image *s = shape;
    const struct sl_image_to_float *a = args;
    for (int32_t i = (int32_t)work->begin; i < (int32_t)work->end; i++)
        for (int32_t j = 0; j < s->ow; j++) {
            const int32_t row = i + a->top, column = (a->flip ? s->ow - 1 - j : j) + a->left;
            const bool inside = row >= 0 && row < s->height && column >= 0 && column < s->width;
            for (int32_t c = 0; c < 3; c++) {
                const uint8_t byte = inside ? a->x[((int64_t)row * s->width + column) * 3 + c] : 0;
                a->y[((int64_t)i * s->ow + j) * 3 + c] = (float)byte * a->scale[c] + a->shift[c];
            }
        }
}

const struct sl_kernel sl_image_to_float_ref = {.units = rows, .run = image_to_float};
