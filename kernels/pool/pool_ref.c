/* Reference of maximum and average pooling. What windows give a pixel is added up in floats, and rounded once. */
#include "kernels/contract.h"
#include "kernels/element.h"
#include "kernels/kernels.h"
#include "kernels/pool/pool.h"

static bool each_image(const void *shape, struct sl_need *need)
{
    need->units = ((const struct sl_pool *)shape)->n;
    return true;
}

static int64_t image_elements(const struct sl_pool *s)
{
    return (int64_t)s->h * s->w * s->xs;
}

static bool each_image_summed(const void *shape, struct sl_need *need)
{
    need->scratch = sizeof(float) * (size_t)image_elements(shape);
    return each_image(shape, need);
}

static void max_fwd(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_pool *s = shape;
    const struct sl_pool_fwd *t = args;
    assert(sl_pool_is_sound(s) && sl_work_fits(work, each_image, s));
    assert(sl_are_apart(s->element, t->x, sl_pool_inputs(s), t->y, sl_pool_outputs(s)));
    for (int64_t n = work->begin; n < work->end; n++)
        for (int32_t p = 0; p < s->oh; p++)
            for (int32_t q = 0; q < s->ow; q++)
                for (int32_t c = 0; c < s->xs; c++) {
                    const struct sl_pool_window w = sl_pool_window_at(s, p, q);
                    float best = sl_get(s->element, t->x, sl_pool_at(s, n, w.top, w.left) + c);
                    for (int32_t i = w.top; i < w.bottom; i++)
                        for (int32_t j = w.left; j < w.right; j++) {
                            const float x = sl_get(s->element, t->x, sl_pool_at(s, n, i, j) + c);
                            best = x > best ? x : best;
                        }
                    sl_put(s->element, t->y, ((n * s->oh + p) * s->ow + q) * s->xs + c, best);
                }
}

static void clear_image(const struct sl_pool *s, float *sums)
{
    for (int64_t i = 0; i < image_elements(s); i++)
        sums[i] = 0.0f;
}

static void put_image(const struct sl_pool *s, const float *sums, int64_t n, void *dx)
{
    for (int64_t i = 0; i < image_elements(s); i++)
        sl_put(s->element, dx, sl_pool_at(s, n, 0, 0) + i, sums[i]);
}

static void max_bwd(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_pool *s = shape;
    const struct sl_pool_bwd *t = args;
    assert(sl_pool_is_sound(s) && sl_work_fits(work, each_image_summed, s));
    assert(sl_are_apart(s->element, t->dy, sl_pool_outputs(s), t->dx, sl_pool_inputs(s)));
    for (int64_t n = work->begin; n < work->end; n++) {
        float *sums = work->scratch;
        clear_image(s, sums);
        for (int32_t p = 0; p < s->oh; p++)
            for (int32_t q = 0; q < s->ow; q++)
                for (int32_t c = 0; c < s->xs; c++) {
                    const struct sl_pool_window w = sl_pool_window_at(s, p, q);
                    int64_t best = sl_pool_at(s, n, w.top, w.left) + c;
                    float most = sl_get(s->element, t->x, best);
                    for (int32_t i = w.top; i < w.bottom; i++)
                        for (int32_t j = w.left; j < w.right; j++) {
                            const int64_t at = sl_pool_at(s, n, i, j) + c;
                            const float x = sl_get(s->element, t->x, at);
                            best = x > most ? at : best;
                            most = x > most ? x : most;
                        }
                    sums[best - sl_pool_at(s, n, 0, 0)] +=
                        sl_get(s->element, t->dy, ((n * s->oh + p) * s->ow + q) * s->xs + c);
                }
        put_image(s, sums, n, t->dx);
    }
}

static void avg_fwd(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_pool *s = shape;
    const struct sl_pool_fwd *t = args;
    assert(sl_pool_is_sound(s) && sl_work_fits(work, each_image, s));
    assert(sl_are_apart(s->element, t->x, sl_pool_inputs(s), t->y, sl_pool_outputs(s)));
    for (int64_t n = work->begin; n < work->end; n++)
        for (int32_t p = 0; p < s->oh; p++)
            for (int32_t q = 0; q < s->ow; q++)
                for (int32_t c = 0; c < s->xs; c++) {
                    const struct sl_pool_window w = sl_pool_window_at(s, p, q);
                    double sum = 0.0;
                    for (int32_t i = w.top; i < w.bottom; i++)
                        for (int32_t j = w.left; j < w.right; j++)
                            sum += sl_get(s->element, t->x, sl_pool_at(s, n, i, j) + c);
                    sl_put(s->element, t->y, ((n * s->oh + p) * s->ow + q) * s->xs + c,
                           (float)(sum / sl_pool_window_pixels(w)));
                }
}

static void avg_bwd(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_pool *s = shape;
    const struct sl_pool_bwd *t = args;
    assert(sl_pool_is_sound(s) && sl_work_fits(work, each_image_summed, s));
    assert(sl_are_apart(s->element, t->dy, sl_pool_outputs(s), t->dx, sl_pool_inputs(s)));
    for (int64_t n = work->begin; n < work->end; n++) {
        float *sums = work->scratch;
        clear_image(s, sums);
        for (int32_t p = 0; p < s->oh; p++)
            for (int32_t q = 0; q < s->ow; q++)
                for (int32_t c = 0; c < s->xs; c++) {
                    const struct sl_pool_window w = sl_pool_window_at(s, p, q);
                    const float dy = sl_get(s->element, t->dy, ((n * s->oh + p) * s->ow + q) * s->xs + c);
                    for (int32_t i = w.top; i < w.bottom; i++)
                        for (int32_t j = w.left; j < w.right; j++)
                            sums[sl_pool_at(s, 0, i, j) + c] += dy / (float)sl_pool_window_pixels(w);
                }
        put_image(s, sums, n, t->dx);
    }
}

const struct sl_kernel sl_pool_max_fwd_ref = {.need = each_image, .run = max_fwd};
const struct sl_kernel sl_pool_max_fwd_bf16_ref = {.element = SL_ELEMENT_BF16, .need = each_image, .run = max_fwd};
const struct sl_kernel sl_pool_max_bwd_ref = {.need = each_image_summed, .run = max_bwd};
const struct sl_kernel sl_pool_max_bwd_bf16_ref = {
    .element = SL_ELEMENT_BF16, .need = each_image_summed, .run = max_bwd};
const struct sl_kernel sl_pool_avg_fwd_ref = {.need = each_image, .run = avg_fwd};
const struct sl_kernel sl_pool_avg_fwd_bf16_ref = {.element = SL_ELEMENT_BF16, .need = each_image, .run = avg_fwd};
const struct sl_kernel sl_pool_avg_bwd_ref = {.need = each_image_summed, .run = avg_bwd};
const struct sl_kernel sl_pool_avg_bwd_bf16_ref = {
    .element = SL_ELEMENT_BF16, .need = each_image_summed, .run = avg_bwd};
