/* The passes of batch norm that write pixels: norm_fwd, norm_bwd_apply. A template like norm_vec.h. What is written is
 * prefetched with what is read; dx is mostly x itself. */
#include "kernels/norm/norm_vec.h"

static bool each_row(const void *shape, struct sl_need *need)
{
    const struct sl_norm *s = shape;
    need->units = output_rows(s);
    return s->xs % SL_LANES == 0;
}

static inline vf normalise(const ve *x, const float *scale, const float *shift)
{
    return v_fma(v_load(scale), e_load(x), v_load(shift));
}

/* --- forward --- */

/* A third faster with AVX2 on a Zen 3; not measured with AVX-512. */
static bool fwd_streams(const struct sl_norm *s, const ve *y)
{
    return V_REGISTERS == 16 && sl_passes_caches(y, sl_norm_inputs(s) / (size_t)(s->pool * s->pool) * sizeof *y);
}

static inline void fwd_store(const bool streams, ve *y, vf a)
{
    if (streams)
        e_stream(y, a);
    else
        e_store(y, a);
}

static inline void fwd_row(const struct sl_norm *s, const struct sl_norm_fwd *t, const bool streams, int64_t row)
{
    const vf slope = v_set1(s->slope);
    const ve *x = e_at(t->x, row * s->w * s->xs);
    ve *y = e_to(t->y, row * s->w * s->xs);
    for (int32_t j = 0; j < s->w; j++, x += s->xs, y += s->xs)
        for (int32_t c = 0; c < s->xs; c += SL_LANES)
            for (int32_t l = c; l < c + SL_LANES; l += VL) {
                const vf z = normalise(x + l, t->scale + l, t->shift + l);
                __builtin_prefetch(x + l + SL_FLAT_AHEAD);
                if (!streams)
                    __builtin_prefetch(y + l + SL_FLAT_AHEAD, 1);
                fwd_store(streams, y + l, leak(z, z, slope));
            }
}

static inline void fwd_pooled_row(const struct sl_norm *s, const struct sl_norm_fwd *t, const bool streams, int64_t row)
{
    const vf slope = v_set1(s->slope);
    const int64_t line = (int64_t)s->w * s->xs, next = s->xs, corner[4] = {0, next, line, line + next};
    const ve *x = e_at(t->x, 2 * row * line);
    ve *y = e_to(t->y, row * (line / 2));
    for (int32_t j = 0; j < s->w / 2; j++, x += 2 * next, y += next)
        for (int32_t c = 0; c < s->xs; c += VL) {
            const vf scale = v_load(t->scale + c), shift = v_load(t->shift + c);
            vf z = v_fma(scale, e_load(x + c), shift);
#pragma GCC unroll 4
            for (int k = 1; k < 4; k++)
                z = v_max(v_fma(scale, e_load(x + c + corner[k]), shift), z);
#pragma GCC unroll 4
            for (int k = 0; k < 4; k++)
                __builtin_prefetch(x + c + corner[k] + SL_FLAT_AHEAD);
            fwd_store(streams, y + c, leak(z, z, slope));
        }
}

static inline void fwd_rows(const struct sl_norm *s, const struct sl_norm_fwd *t, const bool streams,
                            const struct sl_work *work)
{
    for (int64_t row = work->begin; row < work->end; row++)
        if (s->pool == 1)
            fwd_row(s, t, streams, row);
        else
            fwd_pooled_row(s, t, streams, row);
    if (streams)
        v_streamed();
}

static void fwd(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_norm *s = shape;
    const struct sl_norm_fwd *t = args;
    assert(sl_norm_is_sound(s) && sl_work_fits(work, each_row, s));
    assert(s->pool == 1 || sl_are_apart(s->element, t->x, sl_norm_inputs(s), t->y, sl_norm_inputs(s) / 4));
    if (fwd_streams(s, t->y))
        fwd_rows(s, t, true, work);
    else
        fwd_rows(s, t, false, work);
}

/* --- backward --- */

/* dz of a window's four pixels (row by row): dy goes through the activation to the first largest z, zero to the rest.
 */
static inline void route(const vf z[4], vf dy, vf slope, vf dz[4])
{
    const vmask second = v_gt(z[1], z[0]);
    vf best = v_max(z[1], z[0]);
    const vmask third = v_gt(z[2], best);
    best = v_max(z[2], best);
    const vmask fourth = v_gt(z[3], best);
    best = v_max(z[3], best);
    vf d = leak(best, dy, slope);
    dz[3] = v_keep(fourth, d);
    d = v_drop(fourth, d);
    dz[2] = v_keep(third, d);
    d = v_drop(third, d);
    dz[1] = v_keep(second, d);
    dz[0] = v_drop(second, d);
}

static void apply_row(const struct sl_norm *s, const struct sl_norm_bwd_apply *t, int64_t row)
{
    const vf slope = v_set1(s->slope);
    const int64_t begin = row * s->w * s->xs, end = begin + (int64_t)s->w * s->xs;
    for (int64_t i = begin; i < end; i += s->xs)
        for (int32_t c = 0; c < s->xs; c += SL_LANES)
            for (int32_t l = c; l < c + SL_LANES; l += VL) {
                const vf x = e_load(e_at(t->x, i + l)), scale = v_load(t->scale + l);
                __builtin_prefetch(e_at(t->dy, i + l + SL_FLAT_AHEAD));
                __builtin_prefetch(e_to(t->dx, i + l + SL_FLAT_AHEAD), 1);
                const vf dz = leak(v_fma(scale, x, v_load(t->shift + l)), e_load(e_at(t->dy, i + l)), slope);
                const vf spread = v_fma(v_load(t->a + l), x, v_load(t->b + l));
                e_store(e_to(t->dx, i + l), v_fma(scale, dz, spread));
            }
}

static void apply_pooled_row(const struct sl_norm *s, const struct sl_norm_bwd_apply *t, int64_t row)
{
    const vf slope = v_set1(s->slope);
    const int64_t line = (int64_t)s->w * s->xs, next = s->xs, corner[4] = {0, next, line, line + next};
    int64_t i = 2 * row * line, o = row * (line / 2);
    for (int32_t j = 0; j < s->w / 2; j++, i += 2 * next, o += next)
        for (int32_t c = 0; c < s->xs; c += VL) {
            const vf scale = v_load(t->scale + c), shift = v_load(t->shift + c);
            const vf a = v_load(t->a + c), b = v_load(t->b + c);
            vf x[4], z[4], dz[4];
#pragma GCC unroll 4
            for (int k = 0; k < 4; k++) {
                x[k] = e_load(e_at(t->x, i + c + corner[k]));
                __builtin_prefetch(e_to(t->dx, i + c + corner[k] + SL_FLAT_AHEAD), 1);
                z[k] = v_fma(scale, x[k], shift);
            }
            __builtin_prefetch(e_at(t->dy, o + c + SL_FLAT_AHEAD / 2));
            route(z, e_load(e_at(t->dy, o + c)), slope, dz);
#pragma GCC unroll 4
            for (int k = 0; k < 4; k++)
                e_store(e_to(t->dx, i + c + corner[k]), v_fma(scale, dz[k], v_fma(a, x[k], b)));
        }
}

static void bwd_apply(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_norm *s = shape;
    assert(sl_norm_is_sound(s) && sl_work_fits(work, each_row, s));
    for (int64_t row = work->begin; row < work->end; row++)
        if (s->pool == 1)
            apply_row(s, args, row);
        else
            apply_pooled_row(s, args, row);
}

const struct sl_kernel E_NAME(sl_norm_fwd) = {.element = E_ELEMENT, .need = each_row, .run = fwd};
const struct sl_kernel E_NAME(sl_norm_bwd_apply) = {.element = E_ELEMENT, .need = each_row, .run = bwd_apply};
