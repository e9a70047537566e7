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
    int32_t xs; /* floats per pixel, both sides; lanes past c are zero */
    int32_t kh, kw, stride_h, stride_w, pad_top, pad_left;
    int32_t oh, ow;
};

struct sl_pool_fwd { /* pool_max_fwd, pool_avg_fwd */
    const float *x;
    float *y;
};

struct sl_pool_bwd { /* pool_max_bwd, pool_avg_bwd: overwrite dx; windows may overlap. avg ignores x */
    const float *x, *dy;
    float *dx;
};

/* The part of a window inside the image: rows [top, bottom), columns [left, right). */
struct sl_pool_window {
    int32_t top, bottom, left, right;
};

static inline struct sl_pool_window sl_pool_window_at(const struct sl_pool *s, int32_t p, int32_t q)
{
    const int32_t top = p * s->stride_h - s->pad_top, left = q * s->stride_w - s->pad_left;
    return (struct sl_pool_window){
        .top = top < 0 ? 0 : top,
        .bottom = top + s->kh < s->h ? top + s->kh : s->h,
        .left = left < 0 ? 0 : left,
        .right = left + s->kw < s->w ? left + s->kw : s->w,
    };
}

static inline int32_t sl_pool_window_pixels(struct sl_pool_window w)
{
    return (w.bottom - w.top) * (w.right - w.left);
}

/* Where pixel (i, j) of image n begins. */
static inline int64_t sl_pool_at(const struct sl_pool *s, int64_t n, int32_t i, int32_t j)
{
    return ((n * s->h + i) * s->w + j) * s->xs;
}
#endif
