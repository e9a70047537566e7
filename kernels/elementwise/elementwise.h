/* Operations on whole buffers: sums, channel copies (concatenation), dropout; of floats alone weighted sums and
 * scaling. An operation on elements computes in floats and rounds once. */
#ifndef SL_KERNELS_ELEMENTWISE_ELEMENTWISE_H
#define SL_KERNELS_ELEMENTWISE_ELEMENTWISE_H

#include "kernels/base.h"
#include "kernels/elementwise/philox.h"
#include "kernels/step/step.h"

struct sl_flat {
    int64_t n;
    enum sl_element element;
};

/* add_fwd: y = a + b; y may be a or b. */
struct sl_add_fwd {
    const void *a, *b;
    void *y;
};

/* accumulate: y += x. */
struct sl_accumulate {
    const void *x;
    void *y;
};

/* channel_copy: for each of `pixels` pixels, to[to_at + i] (=|+=) from[from_at + i], i < c. Concatenation forward, and
 * its gradient backward. Lanes outside are left alone. */
struct sl_channels {
    int64_t pixels;
    int32_t c, from_stride, from_at, to_stride, to_at;
    int32_t add; /* 0: copies, 1: adds */
    enum sl_element element;
};

/* What every row takes for granted of a shape. */
static inline bool sl_channels_are_sound(const struct sl_channels *shape)
{
    return shape->pixels >= 0 && shape->c >= 0 && shape->from_at >= 0 && shape->to_at >= 0 &&
           shape->c <= shape->from_stride - shape->from_at && shape->c <= shape->to_stride - shape->to_at;
}

struct sl_channel_copy {
    const void *from;
    void *to;
};

/* dropout: y[i] = keep(i) ? x[i] * (1 / (1 - rate)) : 0; forward and backward are the same map, so nothing is stored.
 * keep(i): Philox draw of key `seed`, counter (stream, 16*(i / 64) + i % 16), word i / 16 % 4, as a uniform number in
 * [0, 1), is at least `rate`. Each iteration has a stream of its own: SL_DROPOUT_STREAMS after the one before. (64
 * elements take 16 draws word by word, which vectors of 8 and 16 store in order.) y may be x. */
struct sl_dropout_shape {
    int64_t n;
    float rate; /* in [0, 1) */
    enum sl_element element;
};
struct sl_dropout {
    const void *x;
    void *y;
    const struct sl_now *now; /* seed and iteration */
    uint64_t stream;          /* of this layer, at iteration 0 */
};

enum { SL_DROPOUT_STREAMS = 1024 }; /* layers of a network, at most */

SL_ANYWHERE static inline uint64_t sl_dropout_stream(const struct sl_dropout *t)
{
    return t->stream + t->now->iteration * SL_DROPOUT_STREAMS;
}

static inline bool sl_dropout_keeps(float rate, uint64_t seed, uint64_t stream, uint64_t i)
{
    const struct sl_philox draw = sl_philox4x32(seed, stream, i / 64 * 16 + i % 16);
    return sl_uniform(draw.word[i / 16 % 4]) >= rate;
}

/* weighted_sum: sum[i] = weights[0] * x[i] rounded, then for each part j = 1, 2, ... in order
 * sum[i] = fma(weights[j], x[j * n + i], sum[i]), i < n. All rows have the same bits. sum may be one of the parts. */
struct sl_weighted_sum_shape {
    int64_t n;
    int32_t parts; /* at least 1 */
    enum sl_element element;
};
struct sl_weighted_sum {
    const float *x;       /* [parts][n] */
    const float *weights; /* [parts]; NULL: all 1 */
    float *sum;           /* [n], out */
};

/* scale: y *= factor. All rows have the same bits. */
struct sl_scale {
    float *y;
    float factor;
};
#endif
