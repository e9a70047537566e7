/* Two-dimensional convolution (cross-correlation, as every framework means it), its two gradients, and the
 * gradient of its bias.
 *
 *   y[n,p,q,k]  = act(bias[k] +
 *                     sum_{r,s,c} x[n, p*stride_h + r - pad_top, q*stride_w + s - pad_left, c] * w[k,r,s,c])
 *   dx[n,i,j,c] = sum_{k,r,s : p*stride_h + r - pad_top = i, q*stride_w + s - pad_left = j} dy[n,p,q,k] * w[k,r,s,c]
 *   dw[k,r,s,c] = sum_{n,p,q} dy[n,p,q,k] * x[n, p*stride_h + r - pad_top, q*stride_w + s - pad_left, c]
 *   db[k]       = sum_{n,p,q} dy[n,p,q,k]
 * where x is zero outside its borders.
 *
 * Activations are NHWC; one pixel holds `xs` (input side) or `ys` (output side) elements, of which the first
 * c (k) are channels and the rest are zero: readers may rely on that, writers must keep it. Weights are OHWI,
 * dense: w[k][kh][kw][c]. A dense layer is the case h = batch, n = w = kh = kw = 1.
 *
 * Activations and their gradients are of the shape's element, everything else is float: weights, bias, moments, dw, db,
 * and the sums of all rows. A row whose element is bf16 rounds a sum once, to the nearest, when it stores it.
 * Work: 2*n*oh*ow*k*kh*kw*c floating-point operations each. */
#ifndef SL_KERNELS_CONV_CONV_H
#define SL_KERNELS_CONV_CONV_H

#include "kernels/base.h"

struct sl_conv2d {
    int32_t n, h, w, c; /* input: images, rows, columns, channels */
    int32_t k;          /* output channels */
    int32_t kh, kw;     /* kernel */
    int32_t stride_h, stride_w;
    int32_t pad_top, pad_left; /* bottom and right padding follow from oh and ow */
    int32_t oh, ow;            /* output rows and columns */
    int32_t xs, ys;            /* elements from one pixel to the next: input, output */
    enum sl_element element;   /* of x, y and their gradients */
};

/* conv2d_fwd: overwrites y. Padding lanes of y become zero. */
struct sl_conv2d_fwd {
    const void *x;
    const float *weights; /* OHWI; where the row needs `packed` bytes, what its pack() made of that */
    const float *bias;    /* [k] or NULL */
    float slope;          /* act(v) = v >= 0 ? v : slope*v; 1 means none */
    void *y;
    /* NULL, or need.records of sl_moments_size(ys) floats, one for each unit of a row that does not say: the moments of
     * what was written, for batch norm (norm.h). */
    float *moments;
};

/* conv2d_pool_fwd: the same shape and arguments, where a maximum pool of 2 x 2 pixels and stride 2 follows: y, of
 * [n, oh/2, ow/2] pixels, is the maximum of each window. oh and ow are even, slope is at least 0, and there are no
 * moments. What the windows are made of is never stored. */

/* conv2d_bwd_data: overwrites dx. Padding lanes of dx become zero. */
struct sl_conv2d_bwd_data {
    const void *dy;
    const float *weights; /* as in conv2d_fwd; packed in another order */
    void *dx;
};

/* conv2d_bwd_weights: overwrites dw (OHWI). It adds in one order: the same bits for any slicing.
 * A row whose need.parts is not 0 cuts the sum over pixels into so many parts, so that many threads have work. Then dw
 * has room for as many gradients, one after the other, and what is wanted is their sum, in order: weighted_sum makes it
 * (elementwise.h). */
struct sl_conv2d_bwd_weights {
    const void *x, *dy;
    float *dw;
};

/* bias_bwd, over the same shape: overwrites db[k]. */
struct sl_bias_bwd {
    const void *dy;
    float *db;
};

/* conv2d_fold: gamma*(conv + bias - mean)/sqrt(var + epsilon) + beta as a convolution with other weights and another
 * bias. */
struct sl_conv2d_fold {
    const float *weights, *bias;            /* OHWI; [k] or NULL */
    const float *gamma, *beta, *mean, *var; /* [k] */
    double epsilon;
    float *folded, *folded_bias; /* OHWI; [k] */
};

/* What every row takes for granted of a shape. */
static inline bool sl_conv2d_is_sound(const struct sl_conv2d *shape)
{
    const bool counts = sl_is_image_count(shape->n) && sl_is_image_count(shape->h) && sl_is_image_count(shape->oh);
    const bool lengths = sl_is_length(shape->w) && sl_is_length(shape->ow) && sl_is_length(shape->c) &&
                         sl_is_length(shape->k) && sl_is_length(shape->kh) && sl_is_length(shape->kw);
    const bool steps = sl_is_length(shape->stride_h) && sl_is_length(shape->stride_w) && shape->pad_top >= 0 &&
                       shape->pad_top <= SL_MAX_LENGTH && shape->pad_left >= 0 && shape->pad_left <= SL_MAX_LENGTH;
    return counts && lengths && steps && shape->xs >= shape->c && shape->xs <= SL_MAX_LENGTH && shape->ys >= shape->k &&
           shape->ys <= SL_MAX_LENGTH;
}

/* Elements of x or dx, and of y or dy. */
static inline size_t sl_conv2d_inputs(const struct sl_conv2d *shape)
{
    return (size_t)shape->n * (size_t)shape->h * (size_t)shape->w * (size_t)shape->xs;
}

static inline size_t sl_conv2d_outputs(const struct sl_conv2d *shape)
{
    return (size_t)shape->n * (size_t)shape->oh * (size_t)shape->ow * (size_t)shape->ys;
}

/* Elements of the y of conv2d_pool_fwd. */
static inline size_t sl_conv2d_pooled_outputs(const struct sl_conv2d *shape)
{
    return sl_conv2d_outputs(shape) / 4;
}

static inline bool sl_conv2d_is_poolable(const struct sl_conv2d *shape)
{
    return shape->oh % 2 == 0 && shape->ow % 2 == 0;
}

/* Floating-point operations of any of the three passes. */
static inline double sl_conv2d_flops(const struct sl_conv2d *shape)
{
    return 2.0 * shape->n * shape->oh * shape->ow * shape->k * shape->kh * shape->kw * shape->c;
}

/* Floats of the OHWI weights. */
static inline size_t sl_conv2d_weights(const struct sl_conv2d *shape)
{
    return (size_t)shape->k * (size_t)shape->kh * (size_t)shape->kw * (size_t)shape->c;
}

/* Where w[k][r][s][0] lies in the OHWI weights. */
static inline size_t sl_conv2d_weight_at(const struct sl_conv2d *shape, int32_t k, int32_t r, int32_t s)
{
    const size_t row = (size_t)k * (size_t)shape->kh + (size_t)r;
    return (row * (size_t)shape->kw + (size_t)s) * (size_t)shape->c;
}
#endif
