/* Softmax and negative log-likelihood on a GPU: a warp for each row; few rows, so in double throughout. */
#include "kernels/cuda/cuda.cuh"
#include "kernels/kernels.h"
#include "kernels/softmax/softmax.h"

constexpr int WARPS = 4, THREADS = WARPS * 32;

static bool each_row(const void *shape, struct sl_need *need)
{
    need->units = static_cast<const struct sl_softmax *>(shape)->n;
    return true;
}

static unsigned blocks_of(const struct sl_softmax *s)
{
    return sl_cuda_blocks(s->n, WARPS);
}

/* The largest of a row; a NaN is left to the exponentials. */
template <class T> __device__ __forceinline__ float row_max(const struct sl_softmax &s, const T *x, int lane)
{
    float max = -INFINITY;
    for (int32_t c = lane; c < s.c; c += 32) {
        const float at = sl_read(x + c);
        max = at > max ? at : max;
    }
    return sl_warp_max(max);
}

template <class T>
static __global__ void __launch_bounds__(THREADS)
    forward(const struct sl_softmax s, const struct sl_softmax_nll_fwd t, const T *from)
{
    const int64_t i = (int64_t)blockIdx.x * WARPS + threadIdx.x / 32;
    const int lane = (int)(threadIdx.x % 32);
    if (i >= s.n)
        return;
    const T *x = from + i * s.xs;
    float *p = t.p + i * s.xs;
    const double max = row_max(s, x, lane);
    double sum = 0.0;
    for (int32_t c = lane; c < s.c; c += 32)
        sum += exp(sl_read(x + c) - max);
    sum = sl_warp_sum(sum);
    for (int32_t c = lane; c < s.xs; c += 32)
        p[c] = c < s.c ? (float)(exp(sl_read(x + c) - max) / sum) : 0.0f;
    if (lane == 0 && t.labels && t.loss)
        t.loss[i] = sl_nll(exp(sl_read(x + t.labels[i]) - max) / sum);
}

template <class T> static void fwd(const void *shape, const void *args, const struct sl_work *work)
{
    const auto *s = static_cast<const struct sl_softmax *>(shape);
    const auto *t = static_cast<const struct sl_softmax_nll_fwd *>(args);
    sl_cuda_launch(forward<T>, dim3(blocks_of(s)), dim3(THREADS), 0, work, *s, *t, (const T *)t->x);
}

template <class T>
static __global__ void __launch_bounds__(THREADS)
    backward(const struct sl_softmax s, const struct sl_softmax_nll_bwd t, T *to)
{
    const int64_t i = (int64_t)blockIdx.x * WARPS + threadIdx.x / 32;
    if (i >= s.n)
        return;
    const float *p = t.p + i * s.xs;
    for (int32_t c = (int32_t)(threadIdx.x % 32); c < s.xs; c += 32)
        sl_write(to + i * s.xs + c, c < s.c ? (p[c] - (c == t.labels[i] ? 1.0f : 0.0f)) * t.factor : 0.0f);
}

template <class T> static void bwd(const void *shape, const void *args, const struct sl_work *work)
{
    const auto *s = static_cast<const struct sl_softmax *>(shape);
    const auto *t = static_cast<const struct sl_softmax_nll_bwd *>(args);
    sl_cuda_launch(backward<T>, dim3(blocks_of(s)), dim3(THREADS), 0, work, *s, *t, (T *)t->dx);
}

const struct sl_kernel sl_softmax_nll_fwd_cuda = {.need = each_row, .run = fwd<float>};
const struct sl_kernel sl_softmax_nll_bwd_cuda = {.need = each_row, .run = bwd<float>};
const struct sl_kernel sl_softmax_nll_fwd_bf16_cuda = {
    .element = SL_ELEMENT_BF16, .need = each_row, .run = fwd<uint16_t>};
const struct sl_kernel sl_softmax_nll_bwd_bf16_cuda = {
    .element = SL_ELEMENT_BF16, .need = each_row, .run = bwd<uint16_t>};
