/* Bytes to elements on a GPU: one output pixel a thread. */
#include "kernels/cuda/cuda.cuh"
#include "kernels/image/image.h"
#include "kernels/kernels.h"

constexpr int THREADS = 256;

static bool each_row(const void *shape, struct sl_need *need)
{
    const auto *s = static_cast<const struct sl_image *>(shape);
    need->units = (int64_t)s->n * s->oh;
    return true;
}

template <class T>
static __global__ void __launch_bounds__(THREADS)
    convert(const struct sl_image s, const struct sl_image_to_float t, T *y)
{
    const int64_t pixels = (int64_t)s.n * s.oh * s.ow;
    for (int64_t pixel = (int64_t)blockIdx.x * THREADS + threadIdx.x; pixel < pixels;
         pixel += (int64_t)gridDim.x * THREADS) {
        const int64_t i = pixel / s.ow;
        const int32_t j = (int32_t)(pixel % s.ow);
        const struct sl_image_place at = t.places[i / s.oh];
        const int64_t row = i % s.oh + at.top, column = (int64_t)at.left + (at.flip ? s.ow - 1 - j : j);
        const bool inside = row >= 0 && row < s.height && column >= 0 && column < s.width;
        const uint8_t *from = t.x + ((at.index * s.height + row) * s.width + column) * 3;
        for (int c = 0; c < 3; c++)
            sl_write(y + pixel * 3 + c, fmaf(inside ? (float)from[c] : 0.0f, t.scale[c], t.shift[c]));
    }
}

template <class T> static void to_float(const void *shape, const void *args, const struct sl_work *work)
{
    const auto *s = static_cast<const struct sl_image *>(shape);
    const auto *t = static_cast<const struct sl_image_to_float *>(args);
    sl_cuda_launch(convert<T>, dim3(sl_cuda_blocks((int64_t)s->n * s->oh * s->ow, THREADS)), dim3(THREADS), 0, work, *s,
                   *t, (T *)t->y);
}

const struct sl_kernel sl_image_to_float_cuda = {.need = each_row, .run = to_float<float>};
const struct sl_kernel sl_image_to_float_bf16_cuda = {
    .element = SL_ELEMENT_BF16, .need = each_row, .run = to_float<uint16_t>};
