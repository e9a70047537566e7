/* Maximum and average pooling, once for all vector lengths and elements: a window at a time, a vector of channels
 * through the window. Backward, a unit is an image. Where windows overlap, its rows are cleared just before the first
 * window that reaches them, and added up: in dx itself if that holds floats, else in scratch, from where they are
 * rounded once. */
#include <string.h>

#include "kernels/contract.h"
#include "kernels/kernels.h"
#include "kernels/pool/pool.h"

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

static int64_t image_elements(const struct sl_pool *s)
{
    return (int64_t)s->h * s->w * s->xs;
}

static bool bwd_need(const void *shape, struct sl_need *need)
{
    const struct sl_pool *s = shape;
    need->units = s->n;
    if (E_ELEMENT != SL_ELEMENT_F32 && !tiles(s))
        need->scratch = sizeof(float) * (size_t)image_elements(s);
    return s->xs % SL_LANES == 0;
}

/* Backward counts the pixels of a window in floats. */
static bool max_bwd_need(const void *shape, struct sl_need *need)
{
    const struct sl_pool *s = shape;
    return bwd_need(shape, need) && (int64_t)s->kh * s->kw <= 1 << 24;
}

static bool each_row(const void *shape, struct sl_need *need)
{
    const struct sl_pool *s = shape;
    need->units = (int64_t)s->n * s->oh;
    return s->xs % SL_LANES == 0;
}

/* A window as the kernels walk it: its first pixel, its size, and the elements from one row to the next. */
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

static inline void max_patch(const struct patch *w, int32_t xs, const ve *x, ve *y)
{
    for (int32_t c = 0; c < xs; c += VL) {
        vf best = e_load(x + c);
        for (int32_t i = 0; i < w->rows; i++)
            for (int32_t j = 0; j < w->columns; j++)
                best = v_max(e_load(x + i * w->line + (int64_t)j * xs + c), best);
        e_store(y + c, best);
    }
}

/* Sums row by row, so that no float sum is long. */
static inline void avg_patch(const struct patch *w, int32_t xs, const ve *x, ve *y)
{
    const vf share = v_set1(1.0f / (float)(w->rows * w->columns));
    for (int32_t c = 0; c < xs; c += VL) {
        vf sum = v_zero();
        for (int32_t i = 0; i < w->rows; i++) {
            vf row = v_zero();
            for (int32_t j = 0; j < w->columns; j++)
                row = v_add(row, e_load(x + i * w->line + (int64_t)j * xs + c));
            sum = v_add(sum, row);
        }
        e_store(y + c, v_mul(sum, share));
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
            max_patch(&w, s->xs, e_at(t->x, w.at), e_to(t->y, (row * s->ow + q) * s->xs));
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
            avg_patch(&w, s->xs, e_at(t->x, w.at), e_to(t->y, (row * s->ow + q) * s->xs));
        }
}

/* The gradient of an image: where windows overlap, it is added up in `sums`, else `sums` is NULL. */
struct target {
    ve *dx;
    float *sums;
};

static struct target target_of(const struct sl_pool *s, const struct sl_pool_bwd *t, int64_t n, void *scratch)
{
    ve *dx = e_to(t->dx, sl_pool_at(s, n, 0, 0));
    void *sums = E_ELEMENT == SL_ELEMENT_F32 ? (void *)dx : scratch;
    return (struct target){dx, tiles(s) ? NULL : sums};
}

static inline void give(const struct target *to, int64_t at, vf d)
{
    if (to->sums)
        v_store(to->sums + at, v_add(v_load(to->sums + at), d));
    else
        e_store(to->dx + at, d);
}

/* Gives dy to the first largest of the window, zero to the others. Which pixel that is travels as a float: exact up to
 * 2^24 pixels. */
static inline void max_patch_bwd(const struct patch *w, int32_t xs, const ve *x, const ve *dy, const struct target *to,
                                 int64_t at)
{
    for (int32_t c = 0; c < xs; c += VL) {
        vf best = e_load(x + c), winner = v_zero();
        float k = 0.0f;
        for (int32_t i = 0; i < w->rows; i++)
            for (int32_t j = 0; j < w->columns; j++, k += 1.0f) {
                const vf here = e_load(x + i * w->line + (int64_t)j * xs + c);
                winner = v_select(v_gt(here, best), v_set1(k), winner);
                best = v_max(here, best);
            }
        const vf d = e_load(dy + c);
        k = 0.0f;
        for (int32_t i = 0; i < w->rows; i++)
            for (int32_t j = 0; j < w->columns; j++, k += 1.0f)
                give(to, at + i * w->line + (int64_t)j * xs + c, v_keep(v_eq(winner, v_set1(k)), d));
    }
}

static inline void avg_patch_bwd(const struct patch *w, int32_t xs, const ve *dy, const struct target *to, int64_t at)
{
    const vf share = v_set1(1.0f / (float)(w->rows * w->columns));
    for (int32_t i = 0; i < w->rows; i++)
        for (int32_t j = 0; j < w->columns; j++)
            for (int32_t c = 0; c < xs; c += VL)
                give(to, at + i * w->line + (int64_t)j * xs + c, v_mul(e_load(dy + c), share));
}

/* Clears rows [*cleared, to) of an image's sums. */
static void clear_rows(const struct sl_pool *s, float *sums, int32_t *cleared, int32_t to)
{
    to = to < s->h ? to : s->h;
    if (to <= *cleared)
        return;
    const size_t row = (size_t)s->w * (size_t)s->xs;
    memset(sums + (size_t)*cleared * row, 0, sizeof(float) * (size_t)(to - *cleared) * row);
    *cleared = to;
}

static inline void bwd_image(const struct sl_pool *s, const struct sl_pool_bwd *t, int64_t n, bool maximum,
                             void *scratch)
{
    const struct target to = target_of(s, t, n, scratch);
    const int64_t image = sl_pool_at(s, n, 0, 0);
    assert(sl_pool_is_sound(s));
    assert(sl_are_apart(s->element, t->dy, sl_pool_outputs(s), t->dx, sl_pool_inputs(s)));
    int32_t cleared = to.sums ? 0 : s->h;
    for (int32_t p = 0; p < s->oh; p++) {
        clear_rows(s, to.sums, &cleared, p * s->stride_h - s->pad_top + s->kh);
        for (int32_t q = 0; q < s->ow; q++) {
            const struct patch w = patch_at(s, n, p, q);
            const ve *dy = e_at(t->dy, ((n * s->oh + p) * s->ow + q) * s->xs);
            if (maximum)
                max_patch_bwd(&w, s->xs, e_at(t->x, w.at), dy, &to, w.at - image);
            else
                avg_patch_bwd(&w, s->xs, dy, &to, w.at - image);
        }
    }
    clear_rows(s, to.sums, &cleared, s->h);
    if (to.sums && E_ELEMENT != SL_ELEMENT_F32)
        for (int64_t i = 0; i < image_elements(s); i += VL)
            e_store(to.dx + i, v_load(to.sums + i));
}

static void max_bwd(const void *shape, const void *args, const struct sl_work *work)
{
    assert(sl_work_fits(work, max_bwd_need, shape));
    for (int64_t n = work->begin; n < work->end; n++)
        bwd_image(shape, args, n, true, work->scratch);
}

static void avg_bwd(const void *shape, const void *args, const struct sl_work *work)
{
    assert(sl_work_fits(work, bwd_need, shape));
    for (int64_t n = work->begin; n < work->end; n++)
        bwd_image(shape, args, n, false, work->scratch);
}

const struct sl_kernel E_NAME(sl_pool_max_fwd) = {.element = E_ELEMENT, .need = each_row, .run = max_fwd};
const struct sl_kernel E_NAME(sl_pool_max_bwd) = {.element = E_ELEMENT, .need = max_bwd_need, .run = max_bwd};
const struct sl_kernel E_NAME(sl_pool_avg_fwd) = {.element = E_ELEMENT, .need = each_row, .run = avg_fwd};
const struct sl_kernel E_NAME(sl_pool_avg_bwd) = {.element = E_ELEMENT, .need = bwd_need, .run = avg_bwd};
