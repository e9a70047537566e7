/* What the kernels of batch norm on a GPU have in common: how their blocks lie over chunks of channels and windows, and
 * the windows. */
#ifndef SL_KERNELS_NORM_NORM_CUDA_CUH
#define SL_KERNELS_NORM_NORM_CUDA_CUH

#include "kernels/cuda/cuda.cuh"
#include "kernels/norm/norm.h"

constexpr int THREADS = 256;
constexpr int64_t SEVERAL = 8; /* windows of a thread that only writes */

/* Windows of pool x pool pixels; with pool 1 the pixels. */
SL_ANYWHERE static inline int64_t windows_of(const struct sl_norm &s)
{
    return (int64_t)s.n * (s.h / s.pool) * (s.w / s.pool);
}

/* Elements of a chunk, where pixels are whole chunks. */
template <class T> SL_ANYWHERE constexpr int each_of()
{
    return 16 / (int)sizeof(T);
}

/* How the blocks lie over chunks and windows. */
struct layout {
    int32_t across, rows;   /* chunks and rows of chunks of a block */
    int64_t windows, part;  /* all, and of a block */
    struct sl_divisor line; /* windows across an image */
};

template <int EACH> static struct layout layout_of(const struct sl_norm *s, int64_t windows, int64_t part)
{
    const int32_t chunks = (s->xs + EACH - 1) / EACH, across = chunks < THREADS ? chunks : THREADS;
    return {across, THREADS / across, windows, part, sl_divisor_of(s->w / s->pool)};
}

template <int EACH> static dim3 grid_of(const struct sl_norm *s, const struct layout &l)
{
    return dim3((unsigned)((l.windows + l.part - 1) / l.part),
                (unsigned)((s->xs + EACH * l.across - 1) / (EACH * l.across)));
}

/* A thread's first channel, and its windows: [at, end) by steps of as many as there are rows. */
struct place {
    int32_t c;
    int row;
    int64_t at, end;
};

template <int EACH> __device__ __forceinline__ struct place place_of(const struct sl_norm &s, const struct layout &l)
{
    const int32_t q = (int32_t)threadIdx.x % l.across, row = (int32_t)threadIdx.x / l.across;
    const int32_t c = ((int32_t)blockIdx.y * l.across + q) * EACH;
    const int64_t begin = blockIdx.x * l.part, end = begin + l.part < l.windows ? begin + l.part : l.windows;
    return {c, row, begin + row, row < l.rows && c < s.xs ? end : begin};
}

/* Numbers of a thread's channels. */
template <int EACH> struct numbers {
    float at[EACH];
};

template <class T, int EACH> __device__ __forceinline__ struct numbers<EACH> read(const T *from) {
    struct numbers<EACH> v;
    const struct sl_chunk<T, EACH> chunk = *reinterpret_cast<const struct sl_chunk<T, EACH> *>(from);
    SL_UNROLLED for (int e = 0; e < EACH; e++) v.at[e] = sl_read(&chunk.at[e]);
    return v;
}

template <class T, int EACH>
__device__ __forceinline__ void write(T *to, const struct numbers<EACH> &v)
{
    struct sl_chunk<T, EACH> chunk;
    SL_UNROLLED for (int e = 0; e < EACH; e++) sl_write(&chunk.at[e], v.at[e]);
    *reinterpret_cast<struct sl_chunk<T, EACH> *>(to) = chunk;
}

/* Windows of a block that only writes. */
template <int EACH> static struct layout layout_of_writes(const struct sl_norm *s)
{
    struct layout l = layout_of<EACH>(s, windows_of(*s), 1);
    l.part = SEVERAL * l.rows;
    return l;
}

/* Where the first pixel of window i lies. */
__device__ __forceinline__ int64_t window_at(const struct sl_norm &s, const struct layout &l, int64_t i)
{
    if (s.pool == 1)
        return i * s.xs;
    const bool small = l.windows <= INT32_MAX;
    const int64_t line = small ? sl_divide((uint32_t)i, l.line) : sl_divide(i, l.line);
    const int64_t column = i - line * l.line.number; /* lines of windows follow each other, also from image to image */
    return (line * s.pool * s.w + column * s.pool) * s.xs;
}

/* The pixels of a window: their values, and which is the first largest z. */
template <int EACH> struct window {
    struct numbers<EACH> x[4], z, best_x; /* the last two of the best */
    int best[EACH];
};

/* Pixel k of a window, from its first one. */
__device__ __forceinline__ int64_t step_of(const struct sl_norm &s, int k)
{
    return ((int64_t)(k / 2) * s.w + k % 2) * s.xs;
}

template <class T, int EACH, int POOL>
__device__ __forceinline__ struct window<EACH>
read_window(const struct sl_norm &s, const T *x, const struct numbers<EACH> &scale, const struct numbers<EACH> &shift) {
    struct window<EACH> w;
    SL_UNROLLED for (int k = 0; k < POOL * POOL; k++) w.x[k] = read<T, EACH>(x + step_of(s, k));
    SL_UNROLLED for (int e = 0; e < EACH; e++) SL_UNROLLED for (int k = 0; k < POOL * POOL; k++)
    {
        const float z = fmaf(scale.at[e], w.x[k].at[e], shift.at[e]);
        if (k > 0 && !(z > w.z.at[e]))
            continue;
        w.z.at[e] = z;
        w.best[e] = k;
        w.best_x.at[e] = w.x[k].at[e];
    }
    return w;
}
#endif
