/* Threshold encoding on a GPU: a block for each chunk, so that one launch does all of it and indices ascend without
 * any block waiting for another. The same bits as on a processor. */
#include "kernels/cuda/cuda.cuh"
#include "kernels/kernels.h"
#include "kernels/threshold/chunks.h"
#include "kernels/threshold/threshold.h"

constexpr int THREADS = 1024, WARPS = THREADS / 32;

/* ---- encode ---- */

/* How many entries the warps before this one have, and all of them: after it every thread may write `counts` again. */
struct before {
    int own, all;
};

__device__ __forceinline__ struct before count_before(int mine, int *counts)
{
    const int warp = (int)(threadIdx.x / 32), lane = (int)(threadIdx.x % 32);
    if (lane == 0)
        counts[warp] = mine;
    __syncthreads();
    int sum = counts[lane]; /* as many warps as lanes */
    for (int lanes = 1; lanes < 32; lanes *= 2) {
        const int other = __shfl_up_sync(~0u, sum, lanes);
        sum += lane >= lanes ? other : 0;
    }
    const struct before before = {__shfl_sync(~0u, sum, warp) - mine, __shfl_sync(~0u, sum, 31)};
    __syncthreads();
    return before;
}

static __global__ void __launch_bounds__(THREADS) encode_chunk(int64_t n, const struct sl_threshold_encode t)
{
    const int64_t begin = (int64_t)blockIdx.x * SL_THRESHOLD_CHUNK;
    const int64_t end = begin + SL_THRESHOLD_CHUNK < n ? begin + SL_THRESHOLD_CHUNK : n;
    const unsigned below = (1u << threadIdx.x % 32) - 1; /* the lanes before this one */
    int64_t count = 0;
    for (int64_t base = begin; base < end; base += THREADS) {
        const int64_t k = base + threadIdx.x;
        float r = 0.0f;
        bool sent = false;
        if (k < end) {
            r = t.u ? t.r[k] + t.u[k] : t.r[k];
            sent = fabsf(r) >= t.tau;
            t.r[k] = sent ? r - copysignf(t.tau, r) : r;
        }
        const unsigned lanes = __ballot_sync(~0u, sent);
        const struct before before = count_before(__popc(lanes), sl_shared<int>());
        if (sent)
            t.entries[begin + count + before.own + __popc(lanes & below)] =
                (uint32_t)k | (signbit(r) ? SL_THRESHOLD_NEGATIVE : 0);
        count += before.all;
    }
    if (threadIdx.x == 0)
        t.counts[blockIdx.x] = count;
}

static unsigned chunks_of(const void *shape)
{
    return (unsigned)sl_threshold_chunks(static_cast<const struct sl_threshold *>(shape)->n);
}

static int64_t length_of(const void *shape)
{
    return static_cast<const struct sl_threshold *>(shape)->n;
}

static void encode(const void *shape, const void *args, const struct sl_work *work)
{
    const auto *t = static_cast<const struct sl_threshold_encode *>(args);
    sl_cuda_launch(encode_chunk, dim3(chunks_of(shape)), dim3(THREADS), WARPS * sizeof(int), work, length_of(shape),
                   *t);
}

/* ---- decode ---- */

/* The scratch counts the quanta of every element. */
static bool decode_need(const void *shape, struct sl_need *need)
{
    need->scratch = (size_t)chunks_of(shape) * SL_THRESHOLD_CHUNK * sizeof(int32_t);
    return sl_threshold_need(shape, need);
}

__device__ __forceinline__ int64_t element_of(uint32_t entry)
{
    return entry & ~SL_THRESHOLD_NEGATIVE;
}

__device__ __forceinline__ int32_t sign_of(uint32_t entry)
{
    return entry & SL_THRESHOLD_NEGATIVE ? -1 : 1;
}

/* Of `count` parts with one tau: a part has an element at most once, so its threads meet nobody; parts follow each
 * other. The first visit of an element adds what all of them sent. */
__device__ __forceinline__ void add_parts(const struct sl_threshold_part *parts, int32_t count, int32_t *quanta,
                                          float *sum)
{
    for (int32_t p = 0; p < count; p++) {
        const int64_t end = parts[p].offsets[blockIdx.x + 1];
        for (int64_t i = parts[p].offsets[blockIdx.x] + threadIdx.x; i < end; i += THREADS)
            quanta[element_of(parts[p].entries[i])] += sign_of(parts[p].entries[i]);
        __syncthreads();
    }
    for (int32_t p = 0; p < count; p++) {
        const int64_t end = parts[p].offsets[blockIdx.x + 1];
        for (int64_t i = parts[p].offsets[blockIdx.x] + threadIdx.x; i < end; i += THREADS) {
            const int64_t k = element_of(parts[p].entries[i]);
            sum[k] += (float)quanta[k] * parts[p].tau;
            quanta[k] = 0;
        }
        __syncthreads();
    }
}

static __global__ void __launch_bounds__(THREADS)
    decode_chunk(int64_t n, const struct sl_threshold_decode t, int32_t *quanta)
{
    const int64_t begin = (int64_t)blockIdx.x * SL_THRESHOLD_CHUNK;
    const int64_t end = begin + SL_THRESHOLD_CHUNK < n ? begin + SL_THRESHOLD_CHUNK : n;
    for (int64_t k = begin + threadIdx.x; k < end; k += THREADS) {
        t.sum[k] = 0.0f;
        quanta[k] = 0;
    }
    __syncthreads();
    for (int32_t p = 0, alike; p < t.count; p += alike) {
        alike = 1;
        while (p + alike < t.count && t.parts[p + alike].tau == t.parts[p].tau)
            alike++;
        add_parts(t.parts + p, alike, quanta, t.sum);
    }
    if (t.scale != 1.0f)
        for (int64_t k = begin + threadIdx.x; k < end; k += THREADS)
            t.sum[k] *= t.scale;
}

static void decode(const void *shape, const void *args, const struct sl_work *work)
{
    const auto *t = static_cast<const struct sl_threshold_decode *>(args);
    sl_cuda_launch(decode_chunk, dim3(chunks_of(shape)), dim3(THREADS), 0, work, length_of(shape), *t,
                   static_cast<int32_t *>(work->scratch));
}

/* ---- sample, clip ---- */

static __global__ void __launch_bounds__(THREADS) take_sample(int64_t n, int64_t m, const struct sl_threshold_sample t)
{
    const int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (i >= m)
        return;
    const int64_t k = i * n / m;
    t.sample[i] = fabsf(t.u ? t.r[k] + t.u[k] : t.r[k]);
}

static void sample(const void *shape, const void *args, const struct sl_work *work)
{
    const auto *t = static_cast<const struct sl_threshold_sample *>(args);
    const int64_t n = length_of(shape), m = sl_threshold_samples(n);
    sl_cuda_launch(take_sample, dim3(sl_cuda_blocks(m, THREADS)), dim3(THREADS), 0, work, n, m, *t);
}

/* What a chunk loses is added up by threads, then by warps: close to the reference's sum, and always the same. */
static __global__ void __launch_bounds__(THREADS) clip_chunk(int64_t n, const struct sl_threshold_clip t)
{
    const int64_t begin = (int64_t)blockIdx.x * SL_THRESHOLD_CHUNK;
    const int64_t end = begin + SL_THRESHOLD_CHUNK < n ? begin + SL_THRESHOLD_CHUNK : n;
    double lost = 0.0;
    for (int64_t k = begin + threadIdx.x; k < end; k += THREADS) {
        const float r = t.r[k];
        if (fabsf(r) > t.limit) {
            lost += (double)fabsf(r) - (double)t.limit;
            t.r[k] = copysignf(t.limit, r);
        }
    }
    lost = sl_block_sum(lost, sl_shared<double>());
    if (threadIdx.x == 0)
        t.lost[blockIdx.x] = lost;
}

static void clip(const void *shape, const void *args, const struct sl_work *work)
{
    const auto *t = static_cast<const struct sl_threshold_clip *>(args);
    sl_cuda_launch(clip_chunk, dim3(chunks_of(shape)), dim3(THREADS), WARPS * sizeof(double), work, length_of(shape),
                   *t);
}

const struct sl_kernel sl_threshold_encode_cuda = {.need = sl_threshold_need, .run = encode};
const struct sl_kernel sl_threshold_decode_cuda = {.need = decode_need, .run = decode};
const struct sl_kernel sl_threshold_sample_cuda = {.need = sl_threshold_need, .run = sample};
const struct sl_kernel sl_threshold_clip_cuda = {.need = sl_threshold_need, .run = clip};
