/* Reference of batch normalisation with activation and pooling. One record for all pixels.
 * z is rounded once, as every row rounds it, so that all agree on its sign and on the window's maximum. */
#include "kernels/norm/norm.h"

#include <math.h>

#include "kernels/contract.h"
#include "kernels/element.h"
#include "kernels/kernels.h"

static bool whole(const void *shape, struct sl_need *need)
{
    (void)shape;
    need->units = 1;
    return true;
}

static bool each_image(const void *shape, struct sl_need *need)
{
    need->units = ((const struct sl_norm *)shape)->n;
    return true;
}

static void moments(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_norm *s = shape;
    const struct sl_norm_moments *t = args;
    const int64_t pixels = (int64_t)s->n * s->h * s->w;
    assert(sl_norm_is_sound(s) && sl_work_fits(work, whole, s));
    if (work->begin == work->end)
        return;
    for (int32_t c = 0; c < s->xs; c++) {
        double sum = 0.0, squares = 0.0;
        for (int64_t i = 0; i < pixels; i++)
            sum += sl_get(s->element, t->x, i * s->xs + c);
        const double mean = sum / (double)pixels;
        for (int64_t i = 0; i < pixels; i++) {
            const double d = sl_get(s->element, t->x, i * s->xs + c) - mean;
            squares += d * d;
        }
        t->moments[c] = (float)mean;
        t->moments[s->xs + c] = (float)squares;
    }
    for (int32_t c = 0; c < SL_LANES; c++)
        t->moments[2 * s->xs + c] = c == 0 ? (float)pixels : 0.0f;
}

static int64_t at(const struct sl_norm *s, int64_t n, int32_t i, int32_t j)
{
    return ((n * s->h + i) * s->w + j) * s->xs;
}

static int64_t at_pooled(const struct sl_norm *s, int64_t n, int32_t i, int32_t j)
{
    return ((n * (s->h / s->pool) + i / s->pool) * (s->w / s->pool) + j / s->pool) * s->xs;
}

static float z_at(const struct sl_norm *s, const void *x, const float *scale, const float *shift, int64_t at, int32_t c)
{
    return fmaf(scale[c], sl_get(s->element, x, at), shift[c]);
}

/* Where the first largest z of channel c lies in the window whose first pixel is (i, j). */
static int64_t first_largest(const struct sl_norm *s, const void *x, const float *scale, const float *shift, int64_t n,
                             int32_t i, int32_t j, int32_t c)
{
    int64_t best = at(s, n, i, j) + c;
    for (int32_t r = 0; r < s->pool; r++)
        for (int32_t q = 0; q < s->pool; q++) {
            const int64_t here = at(s, n, i + r, j + q) + c;
            if (z_at(s, x, scale, shift, here, c) > z_at(s, x, scale, shift, best, c))
                best = here;
        }
    return best;
}

static void fwd(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_norm *s = shape;
    const struct sl_norm_fwd *t = args;
    assert(sl_norm_is_sound(s) && sl_work_fits(work, each_image, s));
    assert(s->pool == 1 || sl_are_apart(s->element, t->x, sl_norm_inputs(s), t->y, sl_norm_inputs(s) / 4));
    for (int64_t n = work->begin; n < work->end; n++)
        for (int32_t i = 0; i < s->h; i += s->pool)
            for (int32_t j = 0; j < s->w; j += s->pool)
                for (int32_t c = 0; c < s->xs; c++) {
                    const int64_t best = first_largest(s, t->x, t->scale, t->shift, n, i, j, c);
                    const float z = z_at(s, t->x, t->scale, t->shift, best, c);
                    sl_put(s->element, t->y, at_pooled(s, n, i, j) + c, z >= 0.0f ? z : s->slope * z);
                }
}

/* dz of pixel (i, j), channel c. */
static float dz(const struct sl_norm *s, const void *x, const float *scale, const float *shift, const void *dy,
                int64_t n, int32_t i, int32_t j, int32_t c)
{
    const int64_t best = first_largest(s, x, scale, shift, n, i / s->pool * s->pool, j / s->pool * s->pool, c);
    if (best != at(s, n, i, j) + c)
        return 0.0f;
    const float d = sl_get(s->element, dy, at_pooled(s, n, i, j) + c);
    return z_at(s, x, scale, shift, best, c) >= 0.0f ? d : s->slope * d;
}

static void bwd_reduce(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_norm *s = shape;
    const struct sl_norm_bwd_reduce *t = args;
    assert(sl_norm_is_sound(s) && sl_work_fits(work, whole, s));
    if (work->begin == work->end)
        return;
    for (int32_t c = 0; c < s->xs; c++) {
        double sum = 0.0, products = 0.0;
        for (int64_t n = 0; n < s->n; n++)
            for (int32_t i = 0; i < s->h; i++)
                for (int32_t j = 0; j < s->w; j++) {
                    const double d = dz(s, t->x, t->scale, t->shift, t->dy, n, i, j, c);
                    sum += d;
                    const double x = sl_get(s->element, t->x, at(s, n, i, j) + c);
                    products += d * (x - t->mean[c]) * t->rstd[c];
                }
        t->sums[c] = (float)sum;
        t->sums[s->xs + c] = (float)products;
    }
}

/* The whole window before any of it is written: dx may be x. */
static void apply_window(const struct sl_norm *s, const struct sl_norm_bwd_apply *t, int64_t n, int32_t i, int32_t j,
                         int32_t c)
{
    const int64_t best = first_largest(s, t->x, t->scale, t->shift, n, i, j, c);
    const float d = dz(s, t->x, t->scale, t->shift, t->dy, n, (int32_t)(best / s->xs / s->w % s->h),
                       (int32_t)(best / s->xs % s->w), c);
    for (int32_t r = 0; r < s->pool; r++)
        for (int32_t q = 0; q < s->pool; q++) {
            const int64_t here = at(s, n, i + r, j + q) + c;
            const double direct = here == best ? (double)t->scale[c] * d : 0.0;
            const double spread = (double)t->a[c] * sl_get(s->element, t->x, here) + t->b[c];
            sl_put(s->element, t->dx, here, (float)(direct + spread));
        }
}

static void bwd_apply(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_norm *s = shape;
    const struct sl_norm_bwd_apply *t = args;
    assert(sl_norm_is_sound(s) && sl_work_fits(work, each_image, s));
    for (int64_t n = work->begin; n < work->end; n++)
        for (int32_t i = 0; i < s->h; i += s->pool)
            for (int32_t j = 0; j < s->w; j += s->pool)
                for (int32_t c = 0; c < s->xs; c++)
                    apply_window(s, t, n, i, j, c);
}

const struct sl_kernel sl_norm_moments_ref = {.need = whole, .run = moments};
const struct sl_kernel sl_norm_moments_bf16_ref = {.element = SL_ELEMENT_BF16, .need = whole, .run = moments};
const struct sl_kernel sl_norm_fwd_ref = {.need = each_image, .run = fwd};
const struct sl_kernel sl_norm_fwd_bf16_ref = {.element = SL_ELEMENT_BF16, .need = each_image, .run = fwd};
const struct sl_kernel sl_norm_bwd_reduce_ref = {.need = whole, .run = bwd_reduce};
const struct sl_kernel sl_norm_bwd_reduce_bf16_ref = {.element = SL_ELEMENT_BF16, .need = whole, .run = bwd_reduce};
const struct sl_kernel sl_norm_bwd_apply_ref = {.need = each_image, .run = bwd_apply};
const struct sl_kernel sl_norm_bwd_apply_bf16_ref = {.element = SL_ELEMENT_BF16, .need = each_image, .run = bwd_apply};
