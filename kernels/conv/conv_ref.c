/* Convolution as its formulas say (conv.h), in double: the arbiter of every other row. */
#include <string.h>

#include "kernels/contract.h"
#include "kernels/conv/conv.h"
#include "kernels/kernels.h"
#include "kernels/norm/norm.h"

static bool each_image(const void *shape, struct sl_need *need)
{
    need->units = ((const struct sl_conv2d *)shape)->n;
    return true;
}

static bool each_filter(const void *shape, struct sl_need *need)
{
    need->units = ((const struct sl_conv2d *)shape)->k;
    return true;
}

/* Pixel (i, j) of image n: `size` floats each, h rows of w. NULL outside the borders. */
static const float *pixel(const float *x, int32_t h, int32_t w, int32_t size, int64_t n, int32_t i, int32_t j)
{
    return i < 0 || i >= h || j < 0 || j >= w ? NULL : x + (size_t)((n * h + i) * w + j) * (size_t)size;
}

static double forward_sum(const struct sl_conv2d *s, const float *x, const float *weights, int64_t n, int32_t p,
                          int32_t q, int32_t k)
{
    double sum = 0.0;
    for (int32_t r = 0; r < s->kh; r++)
        for (int32_t t = 0; t < s->kw; t++) {
            const float *from =
                pixel(x, s->h, s->w, s->xs, n, p * s->stride_h + r - s->pad_top, q * s->stride_w + t - s->pad_left);
            const float *w = weights + sl_conv2d_weight_at(s, k, r, t);
            for (int32_t c = 0; from && c < s->c; c++)
                sum += (double)from[c] * (double)w[c];
        }
    return sum;
}

/* Moments of the pixels of one image. */
static void image_moments(const struct sl_conv2d *s, const float *y, float *record)
{
    const int64_t pixels = (int64_t)s->oh * s->ow;
    for (int32_t k = 0; k < s->ys; k++) {
        double sum = 0.0, squares = 0.0;
        for (int64_t i = 0; i < pixels; i++)
            sum += (double)y[i * s->ys + k];
        const double mean = sum / (double)pixels;
        for (int64_t i = 0; i < pixels; i++)
            squares += ((double)y[i * s->ys + k] - mean) * ((double)y[i * s->ys + k] - mean);
        record[k] = (float)mean;
        record[s->ys + k] = (float)squares;
    }
    memset(record + 2 * s->ys, 0, SL_LANES * sizeof *record);
    record[2 * s->ys] = (float)pixels;
}

static void forward(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_conv2d *s = shape;
    const struct sl_conv2d_fwd *a = args;
    assert(sl_conv2d_is_sound(s) && sl_work_fits(work, each_image, s));
    assert(sl_are_apart(s->element, a->x, sl_conv2d_inputs(s), a->y, sl_conv2d_outputs(s)));
    for (int64_t n = work->begin; n < work->end; n++) {
        float *image = (float *)a->y + (size_t)n * (size_t)s->oh * (size_t)s->ow * (size_t)s->ys;
        float *y = image;
        for (int32_t p = 0; p < s->oh; p++)
            for (int32_t q = 0; q < s->ow; q++, y += s->ys)
                for (int32_t k = 0; k < s->ys; k++) {
                    double v = 0.0;
                    if (k < s->k)
                        v = forward_sum(s, a->x, a->weights, n, p, q, k) + (a->bias ? (double)a->bias[k] : 0.0);
                    y[k] = (float)(v >= 0.0 ? v : (double)a->slope * v);
                }
        if (a->moments)
            image_moments(s, image, a->moments + (size_t)n * sl_moments_size(s->ys));
    }
}

/* The output row that kernel row r reads input row i for, or -1: p*stride + r - pad = i. */
static int32_t output_of(int32_t i, int32_t r, int32_t stride, int32_t pad, int32_t count)
{
    const int32_t p = i + pad - r;
    return p < 0 || p % stride || p / stride >= count ? -1 : p / stride;
}

static double backward_data_sum(const struct sl_conv2d *s, const struct sl_conv2d_bwd_data *a, int64_t n, int32_t i,
                                int32_t j, int32_t c)
{
    const size_t filter = (size_t)s->kh * (size_t)s->kw * (size_t)s->c;
    double sum = 0.0;
    for (int32_t r = 0; r < s->kh; r++)
        for (int32_t t = 0; t < s->kw; t++) {
            const int32_t p = output_of(i, r, s->stride_h, s->pad_top, s->oh);
            const int32_t q = output_of(j, t, s->stride_w, s->pad_left, s->ow);
            const float *dy = pixel(a->dy, s->oh, s->ow, s->ys, n, p, q);
            const float *w = a->weights + sl_conv2d_weight_at(s, 0, r, t) + (size_t)c;
            for (int32_t k = 0; dy && k < s->k; k++)
                sum += (double)dy[k] * (double)w[(size_t)k * filter];
        }
    return sum;
}

static void backward_data(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_conv2d *s = shape;
    const struct sl_conv2d_bwd_data *a = args;
    assert(sl_conv2d_is_sound(s) && sl_work_fits(work, each_image, s));
    assert(sl_are_apart(s->element, a->dy, sl_conv2d_outputs(s), a->dx, sl_conv2d_inputs(s)));
    for (int64_t n = work->begin; n < work->end; n++) {
        float *dx = (float *)a->dx + (size_t)n * (size_t)s->h * (size_t)s->w * (size_t)s->xs;
        for (int32_t i = 0; i < s->h; i++)
            for (int32_t j = 0; j < s->w; j++, dx += s->xs)
                for (int32_t c = 0; c < s->xs; c++)
                    dx[c] = c < s->c ? (float)backward_data_sum(s, a, n, i, j, c) : 0.0f;
    }
}

static double backward_weights_sum(const struct sl_conv2d *s, const struct sl_conv2d_bwd_weights *a, int64_t k,
                                   int32_t r, int32_t t, int32_t c)
{
    double sum = 0.0;
    const float *dy = (const float *)a->dy + k;
    for (int64_t n = 0; n < s->n; n++)
        for (int32_t p = 0; p < s->oh; p++)
            for (int32_t q = 0; q < s->ow; q++, dy += s->ys) {
                const float *x = pixel(a->x, s->h, s->w, s->xs, n, p * s->stride_h + r - s->pad_top,
                                       q * s->stride_w + t - s->pad_left);
                if (x)
                    sum += (double)*dy * (double)x[c];
            }
    return sum;
}

static void backward_weights(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_conv2d *s = shape;
    const struct sl_conv2d_bwd_weights *a = args;
    assert(sl_conv2d_is_sound(s) && sl_work_fits(work, each_filter, s));
    for (int64_t k = work->begin; k < work->end; k++) {
        float *dw = a->dw + (size_t)k * (size_t)s->kh * (size_t)s->kw * (size_t)s->c;
        for (int32_t r = 0; r < s->kh; r++)
            for (int32_t t = 0; t < s->kw; t++)
                for (int32_t c = 0; c < s->c; c++)
                    *dw++ = (float)backward_weights_sum(s, a, k, r, t, c);
    }
}

static void bias_backward(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_conv2d *s = shape;
    const struct sl_bias_bwd *a = args;
    const float *dy = a->dy;
    const int64_t pixels = (int64_t)s->n * s->oh * s->ow;
    assert(sl_conv2d_is_sound(s) && sl_work_fits(work, each_filter, s));
    for (int64_t k = work->begin; k < work->end; k++) {
        double sum = 0.0;
        for (int64_t i = 0; i < pixels; i++)
            sum += (double)dy[i * s->ys + k];
        a->db[k] = (float)sum;
    }
}

const struct sl_kernel sl_conv2d_fwd_ref = {.need = each_image, .run = forward};
const struct sl_kernel sl_conv2d_bwd_data_ref = {.need = each_image, .run = backward_data};
const struct sl_kernel sl_conv2d_bwd_weights_ref = {.need = each_filter, .run = backward_weights};
const struct sl_kernel sl_bias_bwd_ref = {.need = each_filter, .run = bias_backward};
