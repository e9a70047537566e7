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
constexpr int CONV_CHUNKS = 8; /* of a line: 128 bytes, what a step adds up of a pixel or a channel */
constexpr int CONV_LINE = CONV_CHUNKS * CONV_CHUNK;

/* Elements of a chunk. */
template <class T> SL_ANYWHERE constexpr int conv_each()
{
    return CONV_CHUNK / (int)sizeof(T);
}

/* Elements of a line. */
template <class T> SL_ANYWHERE constexpr int conv_step()
{
    return CONV_LINE / (int)sizeof(T);
}

/* Where chunk q of a line lies in a tile of lines: exchanged, so that the same chunk of eight lines, which tensor cores
 * read at once, is in different banks. It is also how wgmma wants its tiles (the 128-byte swizzle of the PTX ISA). */
__device__ __forceinline__ int conv_chunk_at(int line, int q)
{
    return line * CONV_LINE + (q ^ line % CONV_CHUNKS) * CONV_CHUNK;
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

template <bool SMALL> struct conv_integer {
    typedef uint32_t type;
};
template <> struct conv_integer<false> {
    typedef int64_t type;
};

/* A pass over pixels: what it reads, and where. */
struct conv_pass {
    struct conv_axis rows, columns;
    int64_t pixels;                 /* outputs of all images */
    int32_t pool;                   /* 2: outputs come window by window, four after each other; 1: line by line */
    int32_t stride_in;              /* elements of a pixel of the source */
    int32_t sum;                    /* taps * stride_in: what an output adds up */
    struct sl_divisor across, down; /* outputs of a line, lines of an image; pooled: windows */
};

/* A term of an output's sum: its tap, and the channel of the source. */
struct conv_term {
    int32_t r, s, c;
};

/* Term number `at`: tap by tap; but where a pixel's channels are whole lines, all taps of one line come after each
 * other, because they read nearly the same pixels. */
template <class T> SL_ANYWHERE struct conv_term conv_term_of(const struct conv_pass &p, int32_t at)
{
    const int32_t line = conv_step<T>(), taps = p.rows.taps * p.columns.taps;
    const bool whole = p.stride_in % line == 0;
    const int32_t tap = whole ? at / line % taps : at / p.stride_in;
    const int32_t c = whole ? at / line / taps * line + at % line : at % p.stride_in;
    return {tap / p.columns.taps, tap % p.columns.taps, c};
}

/* Its inverse, for tap number `tap`. */
template <class T> SL_ANYWHERE int32_t conv_term_number(const struct conv_pass &p, int32_t tap, int32_t c)
{
    const int32_t line = conv_step<T>(), taps = p.rows.taps * p.columns.taps;
    return p.stride_in % line == 0 ? (c / line * taps + tap) * line + c % line : tap * p.stride_in + c;
}

/* The image, row and column of output number `pixel`. */
struct conv_place {
    int64_t image;
    int32_t row, column;
};

/* SMALL: of fewer than 2^31 pixels. */
template <bool SMALL>
__device__ __forceinline__ struct conv_place conv_place_of(const struct conv_pass &p, int64_t pixel)
{
    typedef typename conv_integer<SMALL>::type N;
    const int32_t part = p.pool == 2 ? (int32_t)(pixel % 4) : 0;
    const N window = (N)(p.pool == 2 ? pixel / 4 : pixel);
    const N line = sl_divide(window, p.across), image = sl_divide(line, p.down);
    return {image, (int32_t)(line - image * (N)p.down.number) * p.pool + part / 2,
            (int32_t)(window - line * (N)p.across.number) * p.pool + part % 2};
}

/* Its outputs come in windows of `pool` x `pool`. */
static inline void conv_pass_order(struct conv_pass *p, int32_t pool)
{
    p->pool = pool;
    p->across = sl_divisor_of(p->columns.output / pool);
    p->down = sl_divisor_of(p->rows.output / pool);
}

static inline struct conv_pass conv_forward_pass(const struct sl_conv2d *s)
{
    struct conv_pass p = {.rows = {s->h, s->oh, s->kh, s->stride_h, s->pad_top, 1},
                          .columns = {s->w, s->ow, s->kw, s->stride_w, s->pad_left, 1},
                          .pixels = (int64_t)s->n * s->oh * s->ow,
                          .stride_in = s->xs,
                          .sum = s->kh * s->kw * s->xs};
    conv_pass_order(&p, 1);
    return p;
}

static inline struct conv_pass conv_backward_pass(const struct sl_conv2d *s)
{
    struct conv_pass p = {.rows = {s->oh, s->h, s->kh, 1, s->kh - 1 - s->pad_top, s->stride_h},
                          .columns = {s->ow, s->w, s->kw, 1, s->kw - 1 - s->pad_left, s->stride_w},
                          .pixels = (int64_t)s->n * s->h * s->w,
                          .stride_in = s->ys,
                          .sum = s->kh * s->kw * s->ys};
    conv_pass_order(&p, 1);
    return p;
}
#endif
