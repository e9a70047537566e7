/* Updaters on a GPU: each number is read and written once. The same operations in the same order as on a processor's
 * vectors, so that replicas on unlike devices keep the same bits. */
#include "kernels/cuda/cuda.cuh"
#include "kernels/elementwise/flat.h"
#include "kernels/kernels.h"
#include "kernels/optimizer/optimizer.h"

constexpr int THREADS = 256;

/* The end of every updater: the weights move, or the move is handed out. */
__device__ __forceinline__ void apply(const struct sl_optimizer_step &t, int64_t i, float w, float step)
{
    if (t.u)
        t.u[i] = step;
    else
        t.w[i] = w - step;
}

static __global__ void __launch_bounds__(THREADS) sgd(int64_t n, const struct sl_optimizer_step t)
{
    const float rate = t.now->rate;
    if (t.now->bad)
        return;
    for (int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x; i < n; i += (int64_t)gridDim.x * THREADS) {
        const float w = t.w[i];
        float m = fmaf(t.l2, w, t.g[i]);
        if (t.m)
            t.m[i] = m = fmaf(t.momentum, t.m[i], m);
        apply(t, i, w, rate * m);
    }
}

struct rests {
    float first, second; /* 1 - beta, rounded once */
};

/* Adam, and AMSGrad where there is a maximum. Six blocks of a processor: left to itself the assembler wants eight, and
 * spills. */
template <bool MAXIMUM>
static __global__ void __launch_bounds__(THREADS, 6)
    adam(int64_t n, const struct sl_optimizer_step t, const struct rests rest)
{
    const float rate = t.now->rate;
    if (t.now->bad)
        return;
    for (int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x; i < n; i += (int64_t)gridDim.x * THREADS) {
        const float w = t.w[i], g = fmaf(t.l2, w, t.g[i]);
        const float m = fmaf(t.beta1, t.m[i], rest.first * g);
        float v = fmaf(t.beta2, t.v[i], rest.second * g * g);
        t.m[i] = m;
        t.v[i] = v;
        if (MAXIMUM) {
            const float h = t.h[i];
            t.h[i] = v = h > v ? h : v; /* a NaN in v is kept */
        }
        apply(t, i, w, rate * m / (sqrtf(v) + t.epsilon));
    }
}

static __global__ void __launch_bounds__(THREADS) take_away(int64_t n, const struct sl_subtract t)
{
    if (t.now->bad)
        return;
    for (int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x; i < n; i += (int64_t)gridDim.x * THREADS)
        t.w[i] -= t.u[i];
}

static dim3 grid_of(const void *shape)
{
    return dim3(sl_cuda_blocks(static_cast<const struct sl_optimizer *>(shape)->n, THREADS));
}

static int64_t length_of(const void *shape)
{
    return static_cast<const struct sl_optimizer *>(shape)->n;
}

static void sgd_step(const void *shape, const void *args, const struct sl_work *work)
{
    const auto *t = static_cast<const struct sl_optimizer_step *>(args);
    sl_cuda_launch(sgd, grid_of(shape), dim3(THREADS), 0, work, length_of(shape), *t);
}

template <bool MAXIMUM> static void adam_step(const void *shape, const void *args, const struct sl_work *work)
{
    const auto *t = static_cast<const struct sl_optimizer_step *>(args);
    const struct rests rest = {(float)(1.0 - (double)t->beta1), (float)(1.0 - (double)t->beta2)};
    sl_cuda_launch(adam<MAXIMUM>, grid_of(shape), dim3(THREADS), 0, work, length_of(shape), *t, rest);
}

static void subtract(const void *shape, const void *args, const struct sl_work *work)
{
    const auto *t = static_cast<const struct sl_subtract *>(args);
    sl_cuda_launch(take_away, grid_of(shape), dim3(THREADS), 0, work, length_of(shape), *t);
}

const struct sl_kernel sl_sgd_step_cuda = {.need = sl_flat_need, .run = sgd_step};
const struct sl_kernel sl_adam_step_cuda = {.need = sl_flat_need, .run = adam_step<false>};
const struct sl_kernel sl_amsgrad_step_cuda = {.need = sl_flat_need, .run = adam_step<true>};
const struct sl_kernel sl_subtract_cuda = {.need = sl_flat_need, .run = subtract};
