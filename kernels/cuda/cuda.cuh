/* What a .cu file of a kernel includes. Such a file is compiled by nvcc for the plug-in, and as C++ for the tests,
 * where emulated.cuh runs it; so it keeps to what both know: no <<< >>>, no __shared__, no assembly, no libraries.
 * Multiply-adds are written as fmaf: the compiler joins none by itself (-fmad=false), so that a formula has the same
 * bits on every device.
 *
 * A row's run gets the whole problem: it starts kernels on the stream of its work and returns. */
#ifndef SL_KERNELS_CUDA_CUDA_CUH
#define SL_KERNELS_CUDA_CUDA_CUH

#include "kernels/cuda/ptx.cuh"
#include "kernels/exec.h"

/* ---- shared memory: one piece, whose size comes with the launch ---- */

#ifdef __CUDACC__
extern __shared__ __align__(1024) unsigned char sl_shared_bytes[];
#endif

template <class T> __device__ __forceinline__ T *sl_shared()
{
#ifdef __CUDACC__
    return reinterpret_cast<T *>(sl_shared_bytes);
#else
    return reinterpret_cast<T *>(emulated::running.shared);
#endif
}

/* ---- launch ---- */

/* The only way a kernel starts. What goes wrong shows at the device's next sync. */
template <class... P, class... A>
void sl_cuda_launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared_bytes, const struct sl_work *work,
                    A... args)
{
#ifdef __CUDACC__
    constexpr size_t WITHOUT_ASKING = 48 << 10;
    if (shared_bytes > WITHOUT_ASKING)
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared_bytes);
    kernel<<<grid, block, shared_bytes, (cudaStream_t)work->stream>>>(P(args)...);
#else
    (void)work;
    auto body = [=] { kernel(P(args)...); };
    static_assert(__is_trivially_copyable(decltype(body)), "arguments are copied as they are");
    const struct sl_emulated_launch launch = {{grid.x, grid.y, grid.z},
                                              {block.x, block.y, block.z},
                                              shared_bytes,
                                              [](void *self) { (*static_cast<decltype(body) *>(self))(); },
                                              &body,
                                              sizeof body};
    emulated::launch(launch);
#endif
}

/* Blocks of `size` for n things; at most so many that a grid can have. */
static inline unsigned sl_cuda_blocks(int64_t n, int64_t size)
{
    const int64_t most = 0x7fffffff, blocks = (n + size - 1) / size;
    return (unsigned)(blocks < 1 ? 1 : blocks > most ? most : blocks);
}

/* ---- loops ---- */

/* Before a loop of constant length whose index leads into an array of registers: registers have no index, and an array
 * that is indexed lies in memory (tests/cuda/resources.sh). SL_ROLLED: before one whose copies would not fit. */
#ifdef __CUDACC__
#define SL_UNROLLED _Pragma("unroll")
#define SL_ROLLED _Pragma("unroll 1")
#else
#define SL_UNROLLED
#define SL_ROLLED
#endif

/* ---- division by a number that stays the same ---- */

/* Of numbers below 2^31: (the high half of n * factor, + n) >> shift (Granlund & Montgomery 1994). */
struct sl_divisor {
    uint32_t number, factor, shift;
};

static inline struct sl_divisor sl_divisor_of(int32_t number)
{
    const uint64_t d = (uint64_t)number;
    uint32_t shift = 0;
    while ((uint64_t)1 << shift < d)
        shift++;
    return {(uint32_t)number, (uint32_t)(((((uint64_t)1 << shift) - d) << 32) / d + 1), shift};
}

__device__ __forceinline__ uint32_t sl_divide(uint32_t n, const struct sl_divisor &by)
{
    return (uint32_t)(((uint64_t)n * by.factor >> 32) + n) >> by.shift;
}

/* The same of any. */
__device__ __forceinline__ int64_t sl_divide(int64_t n, const struct sl_divisor &by)
{
    return n / by.number;
}

/* ---- sums of a warp and of a block, in one order ---- */

/* The sum over the lanes of a warp, in every lane: always added in the same order. */
template <class T> __device__ __forceinline__ T sl_warp_sum(T x)
{
    for (int lanes = 16; lanes > 0; lanes /= 2)
        x += __shfl_xor_sync(~0u, x, lanes);
    return x;
}

__device__ __forceinline__ float sl_warp_max(float x)
{
    for (int lanes = 16; lanes > 0; lanes /= 2) {
        const float other = __shfl_xor_sync(~0u, x, lanes);
        x = other > x ? other : x;
    }
    return x;
}

/* The sum over all threads of a block of whole warps, for its thread 0. `room`: 32 values of shared memory, which
 * nobody uses at the moment. */
template <class T> __device__ __forceinline__ T sl_block_sum(T x, T *room)
{
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, warps = blockDim.x / 32;
    x = sl_warp_sum(x);
    if (lane == 0)
        room[warp] = x;
    __syncthreads();
    x = lane < warps ? room[lane] : T(0);
    return warp == 0 ? sl_warp_sum(x) : x;
}

/* ---- bf16 (kernels/bf16.h says how it rounds) ---- */

__device__ __forceinline__ float sl_widen(uint16_t x)
{
    return __uint_as_float((uint32_t)x << 16);
}

__device__ __forceinline__ uint16_t sl_narrow(float x)
{
    const uint32_t bits = __float_as_uint(x);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

/* Elements of tensors as numbers: T is float or uint16_t (bf16). */
__device__ __forceinline__ float sl_read(const float *at)
{
    return *at;
}
__device__ __forceinline__ float sl_read(const uint16_t *at)
{
    return sl_widen(*at);
}
__device__ __forceinline__ void sl_write(float *at, float x)
{
    *at = x;
}
__device__ __forceinline__ void sl_write(uint16_t *at, float x)
{
    *at = sl_narrow(x);
}

/* As many as go to memory at once: 16 bytes, aligned to them. */
template <class T, int EACH> struct alignas(EACH * sizeof(T)) sl_chunk {
    T at[EACH];
};

/* Two that follow each other, aligned to both. What is not a number loses its payload. */
__device__ __forceinline__ void sl_write_2(float *at, float x, float y)
{
    at[0] = x;
    at[1] = y;
}
__device__ __forceinline__ void sl_write_2(uint16_t *at, float x, float y)
{
    *reinterpret_cast<uint32_t *>(at) = sl_to_bf16_2(x, y);
}
#endif
