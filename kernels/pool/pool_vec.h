/* Maximum and average pooling, once for all vector lengths: a window at a time, a vector of channels through the
 * window. Backward, a unit is an image, whose rows are cleared just before the first window that reaches them. */
#include <string.h>

#include "kernels/contract.h"
#include "kernels/kernels.h"
#include "kernels/pool/pool.h"

static bool each_image(const void *shape, struct sl_need *need)
{
    const struct sl_pool *s = shape;
    need->units = s->n;
    return s->xs % SL_LANES == 0;
}

/* Backward counts the pixels of a window in floats. */
static bool max_bwd_need(const void *shape, struct sl_need *need)
{
    const struct sl_pool *s = shape;
    return each_image(shape, need) && (int64_t)s->kh * s->kw <= 1 << 24;
}

static bool each_row(const void *shape, struct sl_need *need)
{
    const struct sl_pool *s = shape;
    need->units = (int64_t)s->n * s->oh;
    return s->xs % SL_LANES == 0;
}

/* A window as the kernels walk it: its first pixel, its size, and the floats from one row to the next. */
struct patch {
    int64_t at, line;
    int32_t rows, columns;
};

static inline struct patch patch_at(const struct sl_pool *s, int64_t n, int32_t p, int32_t q)
{
    const struct sl_pool_window w = sl_pool_window_at(s, p, q);
    return (struct patch){.at = sl_pool_at(s, n, w.top, w.left),
                          .line = (int64_t)s->w * s->xs,
                          .rows = w.bottom - w.top,
                          .columns = w.right - w.left};
}

static inline void max_patch(const struct patch *w, int32_t xs, const float *x, float *y)
{
    for (int32_t c = 0; c < xs; c += VL) {
        vf best = v_load(x + c);
        for (int32_t i = 0; i < w->rows; i++)
            for (int32_t j = 0; j < w->columns; j++)
                best = v_max(v_load(x + i * w->line + (int64_t)j * xs + c), best);
        v_store(y + c, best);
    }
}

/* Sums row by row, so that no float sum is long. */
static inline void avg_patch(const struct patch *w, int32_t xs, const float *x, float *y)
{
    const vf share = v_set1(1.0f / (float)(w->rows * w->columns));
    for (int32_t c = 0; c < xs; c += VL) {
        vf sum = v_zero();
        for (int32_t i = 0; i < w->rows; i++) {
            vf row = v_zero();
            for (int32_t j = 0; j < w->columns; j++)
                row = v_add(row, v_load(x + i * w->line + (int64_t)j * xs + c));
            sum = v_add(sum, row);
        }
        v_store(y + c, v_mul(sum, share));
    }
}

static void max_fwd(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_pool *s = shape;
    const struct sl_pool_fwd *t = args;
    assert(sl_pool_is_sound(s) && sl_work_fits(work, each_row, s));
    assert(sl_are_apart(s->element, t->x, sl_pool_inputs(s), t->y, sl_pool_outputs(s)));
    for (int64_t row = work->begin; row < work->end; row++)
        for (int32_t q = 0; q < s->ow; q++) {
            const struct patch w = patch_at(s, row / s->oh, (int32_t)(row % s->oh), q);
            max_patch(&w, s->xs, t->x + w.at, t->y + (row * s->ow + q) * s->xs);
        }
}

static void avg_fwd(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_pool *s = shape;
    const struct sl_pool_fwd *t = args;
    assert(sl_pool_is_sound(s) && sl_work_fits(work, each_row, s));
    assert(sl_are_apart(s->element, t->x, sl_pool_inputs(s), t->y, sl_pool_outputs(s)));
    for (int64_t row = work->begin; row < work->end; row++)
        for (int32_t q = 0; q < s->ow; q++) {
            const struct patch w = patch_at(s, row / s->oh, (int32_t)(row % s->oh), q);
            avg_patch(&w, s->xs, t->x + w.at, t->y + (row * s->ow + q) * s->xs);
        }
}

/* Does every one of n rows (columns) lie in exactly one window? */
static inline bool tiles_line(int32_t n, int32_t windows, int32_t size, int32_t stride, int32_t pad)
{
    return pad == 0 && (int64_t)windows * size == n && (windows == 1 || size == stride);
}

static inline bool tiles(const struct sl_pool *s)
{
    return tiles_line(s->h, s->oh, s->kh, s->stride_h, s->pad_top) &&
           tiles_line(s->w, s->ow, s->kw, s->stride_w, s->pad_left);
}

/* Gives d to the pixel at `to`, added to what other windows gave. */
static inline void give(float *to, vf d, bool add)
{
    v_store(to, add ? v_add(v_load(to), d) : d);
}

/* Gives dy to the first largest of the window, zero to the others. Which pixel that is travels as a float: exact up to
 * 2^24 pixels. */
static inline void max_patch_bwd(const struct patch *w, int32_t xs, bool add, const float *x, const float *dy,
                                 float *dx)
{
    for (int32_t c = 0; c < xs; c += VL) {
        vf best = v_load(x + c), winner = v_zero();
        float k = 0.0f;
        for (int32_t i = 0; i < w->rows; i++)
            for (int32_t j = 0; j < w->columns; j++, k += 1.0f) {
                const vf at = v_load(x + i * w->line + (int64_t)j * xs + c);
                winner = v_select(v_gt(at, best), v_set1(k), winner);
                best = v_max(at, best);
            }
        const vf d = v_load(dy + c);
        k = 0.0f;
        for (int32_t i = 0; i < w->rows; i++)
            for (int32_t j = 0; j < w->columns; j++, k += 1.0f)
                give(dx + i * w->line + (int64_t)j * xs + c, v_keep(v_eq(winner, v_set1(k)), d), add);
    }
}

static inline void avg_patch_bwd(const struct patch *w, int32_t xs, bool add, const float *dy, float *dx)
{
    const vf share = v_set1(1.0f / (float)(w->rows * w->columns));
    for (int32_t i = 0; i < w->rows; i++)
        for (int32_t j = 0; j < w->columns; j++)
            for (int32_t c = 0; c < xs; c += VL)
                give(dx + i * w->line + (int64_t)j * xs + c, v_mul(v_load(dy + c), share), add);
}

/* Clears rows [*cleared, to) of image n. */
static void clear_rows(const struct sl_pool *s, float *dx, int64_t n, int32_t *cleared, int32_t to)
{
    to = to < s->h ? to : s->h;
    if (to <= *cleared)
        return;
    memset(dx + sl_pool_at(s, n, *cleared, 0), 0,
           sizeof(float) * (size_t)(to - *cleared) * (size_t)s->w * (size_t)s->xs);
    *cleared = to;
}

static inline void bwd_image(const struct sl_pool *s, const struct sl_pool_bwd *t, int64_t n, bool maximum)
{
    const bool add = !tiles(s);
    assert(sl_pool_is_sound(s));
    assert(sl_are_apart(s->element, t->dy, sl_pool_outputs(s), t->dx, sl_pool_inputs(s)));
    int32_t cleared = add ? 0 : s->h;
    for (int32_t p = 0; p < s->oh; p++) {
        clear_rows(s, t->dx, n, &cleared, p * s->stride_h - s->pad_top + s->kh);
        for (int32_t q = 0; q < s->ow; q++) {
            const struct patch w = patch_at(s, n, p, q);
            const float *dy = t->dy + ((n * s->oh + p) * s->ow + q) * s->xs;
            if (maximum)
                max_patch_bwd(&w, s->xs, add, t->x + w.at, dy, t->dx + w.at);
            else
                avg_patch_bwd(&w, s->xs, add, dy, t->dx + w.at);
        }
    }
    clear_rows(s, t->dx, n, &cleared, s->h);
}

static void max_bwd(const void *shape, const void *args, const struct sl_work *work)
{
    assert(sl_work_fits(work, max_bwd_need, shape));
    for (int64_t n = work->begin; n < work->end; n++)
        bwd_image(shape, args, n, true);
}

static void avg_bwd(const void *shape, const void *args, const struct sl_work *work)
{
    assert(sl_work_fits(work, each_image, shape));
    for (int64_t n = work->begin; n < work->end; n++)
        bwd_image(shape, args, n, false);
}

const struct sl_kernel V_NAME(sl_pool_max_fwd) = {.need = each_row, .run = max_fwd};
const struct sl_kernel V_NAME(sl_pool_max_bwd) = {.need = max_bwd_need, .run = max_bwd};
const struct sl_kernel V_NAME(sl_pool_avg_fwd) = {.need = each_row, .run = avg_fwd};
const struct sl_kernel V_NAME(sl_pool_avg_bwd) = {.need = each_image, .run = avg_bwd};
