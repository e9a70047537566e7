/* Operations on whole buffers: sums, channel copies (concatenation), dropout. */
#ifndef SL_KERNELS_ELEMENTWISE_ELEMENTWISE_H
#define SL_KERNELS_ELEMENTWISE_ELEMENTWISE_H

#include "kernels/base.h"

struct sl_flat {
    int64_t n;
};

/* add_fwd: y = a + b; y may be a or b. */
struct sl_add_fwd {
    const float *a, *b;
    float *y;
};

/* accumulate: y += x. */
struct sl_accumulate {
    const float *x;
    float *y;
};

/* channel_copy: for each of `pixels` pixels, to[to_at + i] (=|+=) from[from_at + i], i < c. Concatenation forward, and its
 * gradient backward. Lanes outside are left alone. */
struct sl_channels {
    int64_t pixels;
    int32_t c, from_stride, from_at, to_stride, to_at;
    bool add;
};
struct sl_channel_copy {
    const float *from;
    float *to;
};

/* dropout: y[i] = keep(i) ? x[i] / (1 - rate) : 0, keep(i) a Philox draw of (seed, stream, first + i); forward and
 * backward are the same map, so nothing is stored. y may be x. */
struct sl_dropout_shape {
    int64_t n;
    float rate; /* in [0, 1) */
};
struct sl_dropout {
    const float *x;
    float *y;
    uint64_t seed, stream;
};
#endif
