/* The verdict on a step, on a GPU. Sums have one order: by threads, then by warps. */
#include "kernels/cuda/cuda.cuh"
#include "kernels/elementwise/elementwise.h"
#include "kernels/elementwise/flat.h"
#include "kernels/kernels.h"
#include "kernels/step/step.h"

constexpr int THREADS = 256;
constexpr size_t ROOM = 32 * sizeof(double);

constexpr int WARPS = THREADS / SL_SQUARE_LANES;

/* A warp sums a chunk: its lanes are those of step.h, and a warp's sum joins them by halves. */
static __global__ void __launch_bounds__(THREADS) sum_chunk(int64_t n, const float *x, double *sums)
{
    const int64_t chunk = (int64_t)blockIdx.x * WARPS + threadIdx.x / SL_SQUARE_LANES, begin = chunk * SL_FLAT_CHUNK;
    const int64_t end = begin + SL_FLAT_CHUNK < n ? begin + SL_FLAT_CHUNK : n;
    double sum = 0.0;
    for (int64_t i = begin + threadIdx.x % SL_SQUARE_LANES; i < end; i += SL_SQUARE_LANES)
        sum = fma((double)x[i], (double)x[i], sum); /* the square of a float is exact */
    sum = sl_warp_sum(sum);
    if (threadIdx.x % SL_SQUARE_LANES == 0 && begin < n)
        sums[chunk] = sum;
}

static void sum_squares(const void *shape, const void *args, const struct sl_work *work)
{
    const auto *s = static_cast<const struct sl_flat *>(shape);
    const auto *t = static_cast<const struct sl_sum_squares *>(args);
    sl_cuda_launch(sum_chunk, dim3(sl_cuda_blocks(sl_flat_units(s->n), WARPS)), dim3(THREADS), 0, work, s->n, t->x,
                   t->sums);
}

static bool once(const void *shape, struct sl_need *need)
{
    (void)shape;
    need->units = 1;
    return true;
}

/* The sum of n numbers, for thread 0 of the only block. */
__device__ __forceinline__ double sum_of(const double *x, int64_t n)
{
    double sum = 0.0;
    for (int64_t i = threadIdx.x; i < n; i += THREADS)
        sum += x[i];
    sum = sl_block_sum(sum, sl_shared<double>());
    __syncthreads(); /* the room is free again */
    return sum;
}

static __global__ void __launch_bounds__(THREADS) judge_step(const struct sl_judge_shape s, const struct sl_judge t)
{
    const double losses = sum_of(t.losses, s.losses), weights = sum_of(t.weights, s.weights);
    const double gradients = sum_of(t.gradients, s.gradients);
    if (threadIdx.x != 0)
        return;
    t.now->loss = s.losses ? losses / (double)s.losses : 0.0;
    t.now->half_norm = 0.5 * weights;
    t.now->gradient_norm = sqrt(gradients);
    const bool loss = isfinite(t.now->loss) && isfinite(t.now->half_norm);
    t.now->bad = (loss ? 0 : SL_BAD_LOSS) | (isfinite(t.now->gradient_norm) ? 0 : SL_BAD_GRADIENT);
}

static void judge(const void *shape, const void *args, const struct sl_work *work)
{
    const auto *s = static_cast<const struct sl_judge_shape *>(shape);
    const auto *t = static_cast<const struct sl_judge *>(args);
    sl_cuda_launch(judge_step, dim3(1), dim3(THREADS), ROOM, work, *s, *t);
}

/* A warp adds up a chunk, as above. */
static __global__ void __launch_bounds__(THREADS) mix_chunk(int64_t n, const float *x, uint64_t *sums)
{
    const int64_t chunk = (int64_t)blockIdx.x * WARPS + threadIdx.x / 32, begin = chunk * SL_FLAT_CHUNK;
    const int64_t end = begin + SL_FLAT_CHUNK < n ? begin + SL_FLAT_CHUNK : n;
    unsigned long long sum = 0;
    for (int64_t i = begin + threadIdx.x % 32; i < end; i += 32)
        sum += sl_mix_float(__float_as_uint(x[i]), (uint32_t)i);
    sum = sl_warp_sum(sum);
    if (threadIdx.x % 32 == 0 && begin < n)
        sums[chunk] = sum;
}

static void fingerprint(const void *shape, const void *args, const struct sl_work *work)
{
    const auto *s = static_cast<const struct sl_flat *>(shape);
    const auto *t = static_cast<const struct sl_fingerprint *>(args);
    sl_cuda_launch(mix_chunk, dim3(sl_cuda_blocks(sl_flat_units(s->n), WARPS)), dim3(THREADS), 0, work, s->n, t->x,
                   t->sums);
}

const struct sl_kernel sl_sum_squares_cuda = {.need = sl_flat_need, .run = sum_squares};
const struct sl_kernel sl_judge_cuda = {.need = once, .run = judge};
const struct sl_kernel sl_fingerprint_cuda = {.need = sl_flat_need, .run = fingerprint};
