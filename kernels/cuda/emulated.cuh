/* A block of CUDA threads on the CPU, for tests: the same .cu file compiled as C++ runs here, each thread of a block a
 * fiber, all fibers of a block on one thread of the operating system, one block after the other.
 *
 * What it finds: reads of shared memory that nobody wrote (it begins as NaN), reads of an asynchronous copy before it
 * was waited for, threads at different barriers, lanes of a warp at different places, threads that wait for ever, and,
 * since threads run in six different orders, barriers that are missing. Guard pages and sanitizers see what any C++
 * program shows them. What it cannot judge: speed, the memory model, rounding within the tensor cores.
 *
 * This header stands in for what nvcc knows without an include. There is no __shared__: shared memory is one piece,
 * asked for with the launch (cuda.cuh). */
#ifndef SL_KERNELS_CUDA_EMULATED_CUH
#define SL_KERNELS_CUDA_EMULATED_CUH

#include <math.h>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/cuda/emulated_launch.h"
#include "kernels/cuda/emulated_order.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c)
    {
    }
};

namespace emulated
{
/* Bytes on their way into shared memory. */
struct copy {
    void *to;
    const void *from;
    unsigned bytes, valid; /* past the valid ones come zeros */
    unsigned group;
};

/* A warpgroup's product on its way into a thread's sums (ptx.cuh, sl_wgmma). */
struct product {
    float *d;
    const void *a, *b;
    unsigned apart, n, element; /* bytes of one */
    bool columns, add;
    unsigned group;
};

constexpr unsigned MOST_COPIES = 128, MOST_PRODUCTS = 64;

struct thread {
    dim3 index;
    unsigned lane, warp;
    enum { READY, WAITS, DONE } state;
    void *stack_pointer, *stack;
    void *sanitizer; /* what AddressSanitizer keeps of a fiber that is left */
    unsigned copy_group, copies;
    copy copying[MOST_COPIES];
    unsigned product_group, products;
    product multiplying[MOST_PRODUCTS];
};

/* The block that runs. */
struct block {
    dim3 grid, size, index;
    unsigned char *shared;
    size_t shared_bytes;
    thread *now;
    bool multiplied; /* by a warpgroup, in this launch */
};
extern block running;

/* A fault: a message with block, thread and order, and the process ends with exit code 3. */
[[noreturn]] void __attribute__((format(printf, 1, 2))) give_up(const char *format, ...);

/* Runs the body for every thread of every block, or notes the launch (sl_emulated_note). A fault ends the process with
 * a message and exit code 3. */
void launch(const struct sl_emulated_launch &launch);

/* All threads of the block that have not ended wait here for each other. */
void barrier(const char *file, int line);

/* The lanes of `mask` meet: the last to come calls whole(lanes), lanes[i] being what lane i brought or NULL. */
void meet(unsigned mask, void *mine, void (*whole)(void *const lanes[32]), const char *file, int line);

/* Asynchronous copies of the running thread: done when it waits for all but its `later` newest groups. */
void start_copy(void *to, const void *from, unsigned bytes, unsigned valid);
void commit_copies();
void wait_copies(unsigned later);

/* The same of products, which read shared memory when they are waited for, no sooner. */
void start_product(product p);
void commit_products();
void wait_products(unsigned later);

template <class T> struct shuffle {
    T value, result;
    unsigned from;
};

template <class T> T shuffle_from(unsigned mask, T value, unsigned from, const char *file, int line)
{
    shuffle<T> mine = {value, value, from};
    meet(
        mask, &mine,
        [](void *const lanes[32]) {
            for (int i = 0; i < 32; i++) {
                auto *lane = static_cast<shuffle<T> *>(lanes[i]);
                if (lane && lane->from < 32 && lanes[lane->from])
                    lane->result = static_cast<shuffle<T> *>(lanes[lane->from])->value;
            }
        },
        file, line);
    return mine.result;
}
} // namespace emulated

#define threadIdx (emulated::running.now->index)
#define blockIdx (emulated::running.index)
#define blockDim (emulated::running.size)
#define gridDim (emulated::running.grid)

#define EMULATED_PLACE const char *file = __builtin_FILE(), int line = __builtin_LINE()

inline void __syncthreads(EMULATED_PLACE)
{
    emulated::barrier(file, line);
}

inline void __syncwarp(unsigned mask = ~0u, EMULATED_PLACE)
{
    emulated::meet(
        mask, nullptr, [](void *const *) {}, file, line);
}

template <class T> T __shfl_sync(unsigned mask, T value, int from, EMULATED_PLACE)
{
    return emulated::shuffle_from(mask, value, unsigned(from) & 31, file, line);
}

template <class T> T __shfl_xor_sync(unsigned mask, T value, int lanes, EMULATED_PLACE)
{
    return emulated::shuffle_from(mask, value, emulated::running.now->lane ^ unsigned(lanes), file, line);
}

template <class T> T __shfl_up_sync(unsigned mask, T value, unsigned by, EMULATED_PLACE)
{
    const unsigned lane = emulated::running.now->lane;
    return emulated::shuffle_from(mask, value, lane >= by ? lane - by : lane, file, line);
}

inline unsigned __ballot_sync(unsigned mask, int vote, EMULATED_PLACE)
{
    struct ballot {
        int vote;
        unsigned all;
    } mine = {vote, 0};
    emulated::meet(
        mask, &mine,
        [](void *const lanes[32]) {
            unsigned all = 0;
            for (int i = 0; i < 32; i++)
                all |= lanes[i] && static_cast<ballot *>(lanes[i])->vote ? 1u << i : 0;
            for (int i = 0; i < 32; i++)
                if (lanes[i])
                    static_cast<ballot *>(lanes[i])->all = all;
        },
        file, line);
    return mine.all;
}

inline int __popc(unsigned x)
{
    return __builtin_popcount(x);
}

inline unsigned __float_as_uint(float x)
{
    unsigned bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

inline float __uint_as_float(unsigned bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}
#endif
