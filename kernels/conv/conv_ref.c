/* Convolution as its formulas say (conv.h), in double: the arbiter of every other row. Activations of both elements are
 * read and written through get() and put(). */
#include <math.h>
#include <string.h>

#include "kernels/contract.h"
#include "kernels/conv/conv.h"
#include "kernels/element.h"
#include "kernels/kernels.h"
#include "kernels/norm/norm.h"

static bool each_image(const void *shape, struct sl_need *need)
{
    need->units = ((const struct sl_conv2d *)shape)->n;
    return true;
}

static bool each_poolable_image(const void *shape, struct sl_need *need)
{
    return sl_conv2d_is_poolable(shape) && each_image(shape, need);
}

static bool each_filter(const void *shape, struct sl_need *need)
{
    need->units = ((const struct sl_conv2d *)shape)->k;
    return true;
}

static double get(enum sl_element element, const void *from, size_t i)
{
    return (double)sl_get(element, from, (int64_t)i);
}

static void put(enum sl_element element, void *to, size_t i, double value)
{
    sl_put(element, to, (int64_t)i, (float)value);
}

/* Is there a pixel (i, j) in images of h rows of w? */
static bool is_inside(int32_t h, int32_t w, int32_t i, int32_t j)
{
    return i >= 0 && i < h && j >= 0 && j < w;
}

/* Where pixel (i, j) of image n begins: `size` elements each, h rows of w. */
static size_t pixel(int32_t h, int32_t w, int32_t size, int64_t n, int32_t i, int32_t j)
{
    return (size_t)((n * h + i) * w + j) * (size_t)size;
}

/* Sums of neighbours, taken side by side: each adds up its products in the order of its formula. */
enum { BLOCK = 8 };

static int32_t smaller(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

/* sums[l] += factor * from[at + l*stride] */
static void add_products(double *sums, int32_t count, double factor, enum sl_element element, const void *from,
                         size_t at, size_t stride)
{
    for (int32_t l = 0; l < count; l++)
        sums[l] += factor * get(element, from, at + (size_t)l * stride);
}

/* The sums of y[n,p,q,k] and the `count - 1` channels after it. */
static void add_forward(const struct sl_conv2d *s, const struct sl_conv2d_fwd *a, int64_t n, int32_t p, int32_t q,
                        int32_t k, int32_t count, double *sums)
{
    const size_t filter = sl_conv2d_weight_at(s, 1, 0, 0);
    for (int32_t r = 0; r < s->kh; r++)
        for (int32_t t = 0; t < s->kw; t++) {
            const int32_t i = p * s->stride_h + r - s->pad_top, j = q * s->stride_w + t - s->pad_left;
            if (!is_inside(s->h, s->w, i, j))
                continue;
            const size_t x = pixel(s->h, s->w, s->xs, n, i, j), w = sl_conv2d_weight_at(s, k, r, t);
            for (size_t c = 0; c < (size_t)s->c; c++)
                add_products(sums, count, get(s->element, a->x, x + c), SL_ELEMENT_F32, a->weights, w + c, filter);
        }
}

/* Moments of what is stored, of the pixels of one image: those from `first` on. */
static void image_moments(const struct sl_conv2d *s, const void *y, size_t first, float *record)
{
    const size_t pixels = (size_t)s->oh * (size_t)s->ow, ys = (size_t)s->ys;
    for (size_t k = 0; k < ys; k++) {
        double sum = 0.0, squares = 0.0;
        for (size_t i = 0; i < pixels; i++)
            sum += get(s->element, y, first + i * ys + k);
        const double mean = sum / (double)pixels;
        for (size_t i = 0; i < pixels; i++) {
            const double apart = get(s->element, y, first + i * ys + k) - mean;
            squares += apart * apart;
        }
        record[k] = (float)mean;
        record[ys + k] = (float)squares;
    }
    memset(record + 2 * ys, 0, SL_LANES * sizeof *record);
    record[2 * ys] = (float)pixels;
}

/* y[n,p,q,k] of conv2d_fwd, and the block of channels after it. */
static void outputs(const struct sl_conv2d *s, const struct sl_conv2d_fwd *a, int64_t n, int32_t p, int32_t q,
                    int32_t k, double y[BLOCK])
{
    const int32_t count = smaller(BLOCK, s->k - k);
    memset(y, 0, BLOCK * sizeof *y);
    add_forward(s, a, n, p, q, k, count, y);
    for (int32_t l = 0; l < count; l++) {
        const double v = y[l] + (a->bias ? (double)a->bias[k + l] : 0.0);
        y[l] = v >= 0.0 ? v : (double)a->slope * v;
    }
}

static void put_block(enum sl_element element, void *to, size_t at, const double *values, int32_t count)
{
    for (int32_t l = 0; l < count; l++)
        put(element, to, at + (size_t)l, values[l]);
}

static void forward(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_conv2d *s = shape;
    const struct sl_conv2d_fwd *a = args;
    assert(sl_conv2d_is_sound(s) && sl_work_fits(work, each_image, s));
    assert(sl_are_apart(s->element, a->x, sl_conv2d_inputs(s), a->y, sl_conv2d_outputs(s)));
    for (int64_t n = work->begin; n < work->end; n++) {
        const size_t image = pixel(s->oh, s->ow, s->ys, n, 0, 0);
        for (int32_t p = 0; p < s->oh; p++)
            for (int32_t q = 0; q < s->ow; q++)
                for (int32_t k = 0; k < s->ys; k += BLOCK) {
                    double y[BLOCK];
                    outputs(s, a, n, p, q, k, y);
                    put_block(s->element, a->y, pixel(s->oh, s->ow, s->ys, n, p, q) + (size_t)k, y,
                              smaller(BLOCK, s->ys - k));
                }
        if (a->moments)
            image_moments(s, a->y, image, a->moments + (size_t)n * sl_moments_size(s->ys));
    }
}

/* Of the window that begins with (p, q). */
static void largest_outputs(const struct sl_conv2d *s, const struct sl_conv2d_fwd *a, int64_t n, int32_t p, int32_t q,
                            int32_t k, double most[BLOCK])
{
    outputs(s, a, n, p, q, k, most);
    for (int32_t i = 1; i < 4; i++) {
        double y[BLOCK];
        outputs(s, a, n, p + i / 2, q + i % 2, k, y);
        for (int32_t l = 0; l < BLOCK; l++)
            most[l] = fmax(most[l], y[l]);
    }
}

static void pool_forward(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_conv2d *s = shape;
    const struct sl_conv2d_fwd *a = args;
    assert(sl_conv2d_is_sound(s) && sl_work_fits(work, each_poolable_image, s));
    assert(sl_are_apart(s->element, a->x, sl_conv2d_inputs(s), a->y, sl_conv2d_pooled_outputs(s)));
    assert(!a->moments && a->slope >= 0.0f);
    for (int64_t n = work->begin; n < work->end; n++)
        for (int32_t p = 0; p < s->oh; p += 2)
            for (int32_t q = 0; q < s->ow; q += 2)
                for (int32_t k = 0; k < s->ys; k += BLOCK) {
                    double most[BLOCK];
                    largest_outputs(s, a, n, p, q, k, most);
                    put_block(s->element, a->y, pixel(s->oh / 2, s->ow / 2, s->ys, n, p / 2, q / 2) + (size_t)k, most,
                              smaller(BLOCK, s->ys - k));
                }
}

/* The output row that kernel row r reads input row i for, or -1: p*stride + r - pad = i. */
static int32_t output_of(int32_t i, int32_t r, int32_t stride, int32_t pad, int32_t count)
{
    const int32_t p = i + pad - r;
    return p < 0 || p % stride || p / stride >= count ? -1 : p / stride;
}

/* The sums of dx[n,i,j,c] and the `count - 1` channels after it. */
static void add_backward_data(const struct sl_conv2d *s, const struct sl_conv2d_bwd_data *a, int64_t n, int32_t i,
                              int32_t j, int32_t c, int32_t count, double *sums)
{
    for (int32_t r = 0; r < s->kh; r++)
        for (int32_t t = 0; t < s->kw; t++) {
            const int32_t p = output_of(i, r, s->stride_h, s->pad_top, s->oh);
            const int32_t q = output_of(j, t, s->stride_w, s->pad_left, s->ow);
            if (!is_inside(s->oh, s->ow, p, q))
                continue;
            const size_t dy = pixel(s->oh, s->ow, s->ys, n, p, q);
            for (int32_t k = 0; k < s->k; k++)
                add_products(sums, count, get(s->element, a->dy, dy + (size_t)k), SL_ELEMENT_F32, a->weights,
                             sl_conv2d_weight_at(s, k, r, t) + (size_t)c, 1);
        }
}

static void backward_data(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_conv2d *s = shape;
    const struct sl_conv2d_bwd_data *a = args;
    assert(sl_conv2d_is_sound(s) && sl_work_fits(work, each_image, s));
    assert(sl_are_apart(s->element, a->dy, sl_conv2d_outputs(s), a->dx, sl_conv2d_inputs(s)));
    for (int64_t n = work->begin; n < work->end; n++)
        for (int32_t i = 0; i < s->h; i++)
            for (int32_t j = 0; j < s->w; j++)
                for (int32_t c = 0; c < s->xs; c += BLOCK) {
                    double dx[BLOCK] = {0};
                    add_backward_data(s, a, n, i, j, c, smaller(BLOCK, s->c - c), dx);
                    put_block(s->element, a->dx, pixel(s->h, s->w, s->xs, n, i, j) + (size_t)c, dx,
                              smaller(BLOCK, s->xs - c));
                }
}

/* The sums of dw[k,r,t,c] and the `count - 1` channels after it. */
static void add_backward_weights(const struct sl_conv2d *s, const struct sl_conv2d_bwd_weights *a, int64_t k, int32_t r,
                                 int32_t t, int32_t c, int32_t count, double *sums)
{
    size_t dy = (size_t)k;
    for (int64_t n = 0; n < s->n; n++)
        for (int32_t p = 0; p < s->oh; p++)
            for (int32_t q = 0; q < s->ow; q++, dy += (size_t)s->ys) {
                const int32_t i = p * s->stride_h + r - s->pad_top, j = q * s->stride_w + t - s->pad_left;
                if (is_inside(s->h, s->w, i, j))
                    add_products(sums, count, get(s->element, a->dy, dy), s->element, a->x,
                                 pixel(s->h, s->w, s->xs, n, i, j) + (size_t)c, 1);
            }
}

static void backward_weights(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_conv2d *s = shape;
    const struct sl_conv2d_bwd_weights *a = args;
    assert(sl_conv2d_is_sound(s) && sl_work_fits(work, each_filter, s));
    for (int64_t k = work->begin; k < work->end; k++)
        for (int32_t r = 0; r < s->kh; r++)
            for (int32_t t = 0; t < s->kw; t++)
                for (int32_t c = 0; c < s->c; c += BLOCK) {
                    const int32_t count = smaller(BLOCK, s->c - c);
                    double dw[BLOCK] = {0};
                    add_backward_weights(s, a, k, r, t, c, count, dw);
                    put_block(SL_ELEMENT_F32, a->dw, sl_conv2d_weight_at(s, (int32_t)k, r, t) + (size_t)c, dw, count);
                }
}

static void bias_backward(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_conv2d *s = shape;
    const struct sl_bias_bwd *a = args;
    const size_t pixels = (size_t)s->n * (size_t)s->oh * (size_t)s->ow;
    assert(sl_conv2d_is_sound(s) && sl_work_fits(work, each_filter, s));
    for (int64_t k = work->begin; k < work->end; k++) {
        double sum = 0.0;
        for (size_t i = 0; i < pixels; i++)
            sum += get(s->element, a->dy, i * (size_t)s->ys + (size_t)k);
        a->db[k] = (float)sum;
    }
}

const struct sl_kernel sl_conv2d_fwd_ref = {.need = each_image, .run = forward};
const struct sl_kernel sl_conv2d_pool_fwd_ref = {.need = each_poolable_image, .run = pool_forward};
const struct sl_kernel sl_conv2d_bwd_data_ref = {.need = each_image, .run = backward_data};
const struct sl_kernel sl_conv2d_bwd_weights_ref = {.need = each_filter, .run = backward_weights};
const struct sl_kernel sl_bias_bwd_ref = {.need = each_filter, .run = bias_backward};

/* The same for activations in bf16. */
const struct sl_kernel sl_conv2d_fwd_bf16_ref = {.element = SL_ELEMENT_BF16, .need = each_image, .run = forward};
const struct sl_kernel sl_conv2d_pool_fwd_bf16_ref = {
    .element = SL_ELEMENT_BF16, .need = each_poolable_image, .run = pool_forward};
const struct sl_kernel sl_conv2d_bwd_data_bf16_ref = {
    .element = SL_ELEMENT_BF16, .need = each_image, .run = backward_data};
const struct sl_kernel sl_conv2d_bwd_weights_bf16_ref = {
    .element = SL_ELEMENT_BF16, .need = each_filter, .run = backward_weights};
const struct sl_kernel sl_bias_bwd_bf16_ref = {.element = SL_ELEMENT_BF16, .need = each_filter, .run = bias_backward};
