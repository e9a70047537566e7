/* Reference of maximum and average pooling. */
#include "kernels/contract.h"
#include "kernels/kernels.h"
#include "kernels/pool/pool.h"

static bool each_image(const void *shape, struct sl_need *need)
{
    need->units = ((const struct sl_pool *)shape)->n;
    return true;
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
                    float best = t->x[sl_pool_at(s, n, w.top, w.left) + c];
                    for (int32_t i = w.top; i < w.bottom; i++)
                        for (int32_t j = w.left; j < w.right; j++) {
                            const float x = t->x[sl_pool_at(s, n, i, j) + c];
                            best = x > best ? x : best;
                        }
                    t->y[((n * s->oh + p) * s->ow + q) * s->xs + c] = best;
                }
}

static void clear_image(const struct sl_pool *s, int64_t n, float *dx)
{
    for (int64_t i = sl_pool_at(s, n, 0, 0); i < sl_pool_at(s, n + 1, 0, 0); i++)
        dx[i] = 0.0f;
}

static void max_bwd(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_pool *s = shape;
    const struct sl_pool_bwd *t = args;
    assert(sl_pool_is_sound(s) && sl_work_fits(work, each_image, s));
    assert(sl_are_apart(s->element, t->dy, sl_pool_outputs(s), t->dx, sl_pool_inputs(s)));
    for (int64_t n = work->begin; n < work->end; n++) {
        clear_image(s, n, t->dx);
        for (int32_t p = 0; p < s->oh; p++)
            for (int32_t q = 0; q < s->ow; q++)
                for (int32_t c = 0; c < s->xs; c++) {
                    const struct sl_pool_window w = sl_pool_window_at(s, p, q);
                    int64_t best = sl_pool_at(s, n, w.top, w.left) + c;
                    for (int32_t i = w.top; i < w.bottom; i++)
                        for (int32_t j = w.left; j < w.right; j++) {
                            const int64_t at = sl_pool_at(s, n, i, j) + c;
                            best = t->x[at] > t->x[best] ? at : best;
                        }
                    t->dx[best] += t->dy[((n * s->oh + p) * s->ow + q) * s->xs + c];
                }
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
                            sum += t->x[sl_pool_at(s, n, i, j) + c];
                    t->y[((n * s->oh + p) * s->ow + q) * s->xs + c] = (float)(sum / sl_pool_window_pixels(w));
                }
}

static void avg_bwd(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_pool *s = shape;
    const struct sl_pool_bwd *t = args;
    assert(sl_pool_is_sound(s) && sl_work_fits(work, each_image, s));
    assert(sl_are_apart(s->element, t->dy, sl_pool_outputs(s), t->dx, sl_pool_inputs(s)));
    for (int64_t n = work->begin; n < work->end; n++) {
        clear_image(s, n, t->dx);
        for (int32_t p = 0; p < s->oh; p++)
            for (int32_t q = 0; q < s->ow; q++)
                for (int32_t c = 0; c < s->xs; c++) {
                    const struct sl_pool_window w = sl_pool_window_at(s, p, q);
                    const float dy = t->dy[((n * s->oh + p) * s->ow + q) * s->xs + c];
                    for (int32_t i = w.top; i < w.bottom; i++)
                        for (int32_t j = w.left; j < w.right; j++)
                            t->dx[sl_pool_at(s, n, i, j) + c] += dy / (float)sl_pool_window_pixels(w);
                }
    }
}

const struct sl_kernel sl_pool_max_fwd_ref = {.need = each_image, .run = max_fwd};
const struct sl_kernel sl_pool_max_bwd_ref = {.need = each_image, .run = max_bwd};
const struct sl_kernel sl_pool_avg_fwd_ref = {.need = each_image, .run = avg_fwd};
const struct sl_kernel sl_pool_avg_bwd_ref = {.need = each_image, .run = avg_bwd};
