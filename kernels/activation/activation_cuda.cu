/* The leaky ReLU on a GPU: bound by memory, one element a thread at a time. */
#include "kernels/activation/activation.h"
#include "kernels/cuda/cuda.cuh"
#include "kernels/elementwise/flat.h"
#include "kernels/kernels.h"

constexpr int THREADS = 256;

/* out = x >= 0 ? v : slope*v. out may be v. */
template <class T>
static __global__ void __launch_bounds__(THREADS) leak(int64_t n, float slope, const T *x, const T *v, T *out)
{
    const int64_t step = (int64_t)gridDim.x * THREADS;
    for (int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x; i < n; i += step) {
        const float value = sl_read(v + i);
        sl_write(out + i, sl_read(x + i) >= 0.0f ? value : slope * value);
    }
}

template <class T> static void leaky_relu_fwd(const void *shape, const void *args, const struct sl_work *work)
{
    const auto *s = static_cast<const struct sl_leaky_relu *>(shape);
    const auto *t = static_cast<const struct sl_leaky_relu_fwd *>(args);
    sl_cuda_launch(leak<T>, dim3(sl_cuda_blocks(s->n, 4 * THREADS)), dim3(THREADS), 0, work, s->n, s->slope,
                   (const T *)t->x, (const T *)t->x, (T *)t->y);
}

template <class T> static void leaky_relu_bwd(const void *shape, const void *args, const struct sl_work *work)
{
    const auto *s = static_cast<const struct sl_leaky_relu *>(shape);
    const auto *t = static_cast<const struct sl_leaky_relu_bwd *>(args);
    sl_cuda_launch(leak<T>, dim3(sl_cuda_blocks(s->n, 4 * THREADS)), dim3(THREADS), 0, work, s->n, s->slope,
                   (const T *)t->x, (const T *)t->dy, (T *)t->dx);
}

const struct sl_kernel sl_leaky_relu_fwd_cuda = {.need = sl_flat_need, .run = leaky_relu_fwd<float>};
const struct sl_kernel sl_leaky_relu_bwd_cuda = {.need = sl_flat_need, .run = leaky_relu_bwd<float>};
const struct sl_kernel sl_leaky_relu_fwd_bf16_cuda = {
    .element = SL_ELEMENT_BF16, .need = sl_flat_need, .run = leaky_relu_fwd<uint16_t>};
const struct sl_kernel sl_leaky_relu_bwd_bf16_cuda = {
    .element = SL_ELEMENT_BF16, .need = sl_flat_need, .run = leaky_relu_bwd<uint16_t>};
