/* What the convolutions of a GPU share: how products are made, and how chunks of 16 bytes lie in shared memory. */
#ifndef SL_KERNELS_CONV_CONV_CUDA_CUH
#define SL_KERNELS_CONV_CONV_CUDA_CUH

#include "kernels/conv/conv.h"
#include "kernels/cuda/cuda.cuh"

/* How numbers are multiplied: as floats by the ordinary cores, or by tensor cores, which add in float. */
enum conv_math { CONV_PLAIN, CONV_TF32, CONV_BF16 };

template <int MATH> struct conv_element {
    typedef float type;
};
template <> struct conv_element<CONV_BF16> {
    typedef uint16_t type;
};

constexpr int CONV_CHUNK = 16; /* bytes that one asynchronous copy brings */

/* Elements of a chunk. */
template <class T> SL_ANYWHERE constexpr int conv_each()
{
    return CONV_CHUNK / (int)sizeof(T);
}

/* d (16 x 8) += a * b; tensor cores. */
template <int MATH> __device__ __forceinline__ void conv_mma(float d[4], const uint32_t a[4], const uint32_t b[2])
{
    if (MATH == CONV_BF16)
        sl_mma_bf16(d, a, b);
    else
        sl_mma_tf32(d, a, b);
}

/* One axis of how the kernel lies over the source: output position i and tap r meet at (i*stride + r - pad)/spacing, if
 * that leaves no remainder and is within the source (README.md: one formula for forward and backward-data). */
struct conv_axis {
    int32_t source, output, taps, stride, pad, spacing;
};

/* The source position, or -1: there is none. */
__device__ __forceinline__ int32_t conv_meet(const struct conv_axis &a, int32_t begin, int32_t tap)
{
    const int32_t at = begin + tap;
    if (a.spacing == 1)
        return at < a.source ? at : -1; /* below 0 as well */
    return at < 0 || at % a.spacing || at / a.spacing >= a.source ? -1 : at / a.spacing;
}

/* A pass over pixels: what it reads, and where. */
struct conv_pass {
    struct conv_axis rows, columns;
    int64_t pixels;    /* outputs of all images */
    int32_t pool;      /* 2: outputs come window by window, four after each other; 1: line by line */
    int32_t stride_in; /* elements of a pixel of the source */
    int32_t sum;       /* taps * stride_in: what an output adds up */
};

/* The image, row and column of output number `pixel`. */
struct conv_place {
    int64_t image;
    int32_t row, column;
};

__device__ __forceinline__ struct conv_place conv_place_of(const struct conv_pass &p, int64_t pixel)
{
    const int32_t part = p.pool == 2 ? (int32_t)(pixel % 4) : 0;
    const int64_t window = p.pool == 2 ? pixel / 4 : pixel;
    const int32_t across = p.columns.output / p.pool, down = p.rows.output / p.pool;
    return {window / across / down, (int32_t)(window / across % down) * p.pool + part / 2,
            (int32_t)(window % across) * p.pool + part % 2};
}

static inline struct conv_pass conv_forward_pass(const struct sl_conv2d *s)
{
    return {.rows = {s->h, s->oh, s->kh, s->stride_h, s->pad_top, 1},
            .columns = {s->w, s->ow, s->kw, s->stride_w, s->pad_left, 1},
            .pixels = (int64_t)s->n * s->oh * s->ow,
            .pool = 1,
            .stride_in = s->xs,
            .sum = s->kh * s->kw * s->xs};
}

static inline struct conv_pass conv_backward_pass(const struct sl_conv2d *s)
{
    return {.rows = {s->oh, s->h, s->kh, 1, s->kh - 1 - s->pad_top, s->stride_h},
            .columns = {s->ow, s->w, s->kw, 1, s->kw - 1 - s->pad_left, s->stride_w},
            .pixels = (int64_t)s->n * s->h * s->w,
            .pool = 1,
            .stride_in = s->ys,
            .sum = s->kh * s->kw * s->ys};
}
#endif
