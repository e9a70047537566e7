/* Maximum and average pooling over windows, NHWC.
 *
 *   max:  y[n,p,q,c] = max over window of x;  the first largest (row by row) gets the gradient
 *   avg:  y[n,p,q,c] = mean over the window's pixels that lie inside the image (padding is not counted)
 * Window (p,q): rows p*stride_h - pad_top + [0,kh), columns q*stride_w - pad_left + [0,kw); it always
 * holds at least one pixel of the image. Global average: kh = h, kw = w. */
#ifndef SL_KERNELS_POOL_POOL_H
#define SL_KERNELS_POOL_POOL_H

#include "kernels/base.h"

struct sl_pool {
    int32_t n, h, w, c;
    int32_t xs; /* elements per pixel, both sides; lanes past c are zero */
    int32_t kh, kw, stride_h, stride_w, pad_top, pad_left;
    int32_t oh, ow;
    enum sl_element element;
};

/* What every row takes for granted of a shape. */
static inline bool sl_pool_is_sound(const struct sl_pool *shape)
{
    const bool lengths = sl_is_image_count(shape->n) && sl_is_length(shape->h) && sl_is_length(shape->w) &&
                         sl_is_length(shape->c) && sl_is_length(shape->kh) && sl_is_length(shape->kw) &&
                         sl_is_length(shape->stride_h) && sl_is_length(shape->stride_w) && sl_is_length(shape->oh) &&
                         sl_is_length(shape->ow);
    const bool first =
        0 <= shape->pad_top && shape->pad_top < shape->kh && 0 <= shape->pad_left && shape->pad_left < shape->kw;
    return lengths && first && (shape->oh - 1) * shape->stride_h - shape->pad_top < shape->h &&
           (shape->ow - 1) * shape->stride_w - shape->pad_left < shape->w && shape->xs >= shape->c &&
           shape->xs <= SL_MAX_LENGTH;
}

/* Elements of x or dx, and of y or dy. */
static inline size_t sl_pool_inputs(const struct sl_pool *shape)
{
    return (size_t)shape->n * (size_t)shape->h * (size_t)shape->w * (size_t)shape->xs;
}

static inline size_t sl_pool_outputs(const struct sl_pool *shape)
{
    return (size_t)shape->n * (size_t)shape->oh * (size_t)shape->ow * (size_t)shape->xs;
}

struct sl_pool_fwd { /* pool_max_fwd, pool_avg_fwd */
    const void *x;
    void *y;
};

/* pool_max_bwd, pool_avg_bwd: overwrite dx. Windows may overlap, and what they give a pixel is added up in floats. avg
 * ignores x. */
struct sl_pool_bwd {
    const void *x, *dy;
    void *dx;
};

/* The part of a window inside the image: rows [top, bottom), columns [left, right). */
struct sl_pool_window {
    int32_t top, bottom, left, right;
};

SL_ANYWHERE static inline struct sl_pool_window sl_pool_window_at(const struct sl_pool *shape, int32_t p, int32_t q)
{
    const int32_t top = p * shape->stride_h - shape->pad_top, left = q * shape->stride_w - shape->pad_left;
    const struct sl_pool_window window = {
        .top = top < 0 ? 0 : top,
        .bottom = top + shape->kh < shape->h ? top + shape->kh : shape->h,
        .left = left < 0 ? 0 : left,
        .right = left + shape->kw < shape->w ? left + shape->kw : shape->w,
    };
    return window;
}

SL_ANYWHERE static inline int32_t sl_pool_window_pixels(struct sl_pool_window w)
{
    return (w.bottom - w.top) * (w.right - w.left);
}

/* Where pixel (i, j) of image n begins. */
SL_ANYWHERE static inline int64_t sl_pool_at(const struct sl_pool *shape, int64_t n, int32_t i, int32_t j)
{
    return ((n * shape->h + i) * shape->w + j) * shape->xs;
}
#endif
