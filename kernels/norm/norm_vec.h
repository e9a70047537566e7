/* Batch normalisation fused with activation and 2x2 maximum pooling, once for all vector lengths.
 *
 * Nothing but x is kept from the forward pass: the backward passes compute z and the window's maximum again, which
 * costs a multiply-add where memory is the limit. Forward and apply walk pixel by pixel through all channels; the two
 * reductions hold the sums of SL_LANES channels (one cache line of a pixel) in registers over a run of at most RUN
 * pixels or windows, then fold them into the unit's record, so that no float sum is long. */
#include "kernels/kernels.h"
#include "kernels/norm/norm.h"

enum {
    LINE = SL_LANES / VL, /* vectors in a cache line of channels */
    RUN = 64,             /* pixels or windows in one float sum */
    RECORDS = 128         /* at most; enough to share among threads, few enough to join in no time */
};

static bool fits(const void *shape)
{
    return ((const struct sl_norm *)shape)->xs % SL_LANES == 0;
}

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t pixels_of(const struct sl_norm *s)
{
    return (int64_t)s->n * s->h * s->w;
}

/* Rows of the output: the unit of the passes without sums. */
static int64_t output_rows(const void *shape)
{
    const struct sl_norm *s = shape;
    return (int64_t)s->n * (s->h / s->pool);
}

static inline vf normalise(const float *x, const float *scale, const float *shift)
{
    return v_fma(v_load(scale), v_load(x), v_load(shift));
}

static inline vf leak(vf z, vf v, vf slope)
{
    return v_select(v_ge(z, v_zero()), v, v_mul(slope, v));
}

/* --- moments: mean first, then squared deviations, over pieces that stay in the first-level cache --- */

enum { PIECE = 4096 }; /* floats */

static int64_t piece_pixels(const struct sl_norm *s)
{
    const int64_t pixels = PIECE / s->xs;
    return pixels < 8 ? 8 : pixels > RUN ? RUN : pixels;
}

/* Pixels of a unit: whole pieces. */
static int64_t moments_pixels(const struct sl_norm *s)
{
    const int64_t piece = piece_pixels(s), pieces = (pixels_of(s) + piece - 1) / piece;
    return (pieces + RECORDS - 1) / RECORDS * piece;
}

static int64_t moments_units(const void *shape)
{
    const int64_t unit = moments_pixels(shape);
    return (pixels_of(shape) + unit - 1) / unit;
}

/* Joins the moments of `pixels` pixels at x, of one line of channels, to the `before` pixels of the record (Chan's
 * formula, as sl_norm_join). */
static inline void add_piece(const float *x, int32_t xs, int64_t pixels, int64_t before, float *mean, float *squares)
{
    vf sum[2 * LINE], middle[LINE];
    for (int v = 0; v < 2 * LINE; v++)
        sum[v] = v_zero();
    int64_t i = 0;
    for (; i + 2 <= pixels; i += 2)
        for (int v = 0; v < 2 * LINE; v++)
            sum[v] = v_add(sum[v], v_load(x + (i + v / LINE) * xs + v % LINE * VL));
    for (int v = 0; v < LINE; v++) {
        if (i < pixels)
            sum[v] = v_add(sum[v], v_load(x + i * xs + v * VL));
        middle[v] = v_mul(v_add(sum[v], sum[v + LINE]), v_set1(1.0f / (float)pixels));
        sum[v] = sum[v + LINE] = v_zero();
    }
    for (i = 0; i + 2 <= pixels; i += 2)
        for (int v = 0; v < 2 * LINE; v++) {
            const vf d = v_sub(v_load(x + (i + v / LINE) * xs + v % LINE * VL), middle[v % LINE]);
            sum[v] = v_fma(d, d, sum[v]);
        }
    for (int v = 0; v < LINE; v++) {
        const vf last = i < pixels ? v_sub(v_load(x + i * xs + v * VL), middle[v]) : v_zero();
        const vf delta = v_sub(middle[v], v_load(mean + v * VL));
        const float share = (float)pixels / (float)(before + pixels);
        const vf between = v_mul(v_mul(delta, delta), v_set1((float)before * share));
        const vf within = v_fma(last, last, v_add(sum[v], sum[v + LINE]));
        v_store(mean + v * VL, v_fma(delta, v_set1(share), v_load(mean + v * VL)));
        v_store(squares + v * VL, v_add(v_load(squares + v * VL), v_add(within, between)));
    }
}

static void moments(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_norm *s = shape;
    const struct sl_norm_moments *t = args;
    const int64_t unit = moments_pixels(s), piece = piece_pixels(s), all = pixels_of(s);
    for (int64_t u = work->begin; u < work->end; u++) {
        float *record = t->moments + (size_t)u * sl_moments_size(s->xs);
        const int64_t begin = u * unit, end = min64(begin + unit, all);
        for (int64_t c = 0; c < (int64_t)sl_moments_size(s->xs); c++)
            record[c] = 0.0f;
        for (int64_t i = begin; i < end; i += piece)
            for (int32_t c = 0; c < s->xs; c += SL_LANES)
                add_piece(t->x + i * s->xs + c, s->xs, min64(piece, end - i), i - begin, record + c,
                          record + s->xs + c);
        record[2 * s->xs] = (float)(end - begin);
    }
}

/* --- forward --- */

static void fwd_row(const struct sl_norm *s, const struct sl_norm_fwd *t, int64_t row)
{
    const vf slope = v_set1(s->slope);
    const float *x = t->x + row * s->w * s->xs;
    float *y = t->y + row * s->w * s->xs;
    for (int32_t j = 0; j < s->w; j++, x += s->xs, y += s->xs)
        for (int32_t c = 0; c < s->xs; c += SL_LANES)
            for (int32_t l = c; l < c + SL_LANES; l += VL) {
                const vf z = normalise(x + l, t->scale + l, t->shift + l);
                v_store(y + l, leak(z, z, slope));
            }
}

static void fwd_pooled_row(const struct sl_norm *s, const struct sl_norm_fwd *t, int64_t row)
{
    const vf slope = v_set1(s->slope);
    const int64_t line = (int64_t)s->w * s->xs, next = s->xs;
    const float *x = t->x + 2 * row * line;
    float *y = t->y + row * (line / 2);
    for (int32_t j = 0; j < s->w / 2; j++, x += 2 * next, y += next)
        for (int32_t c = 0; c < s->xs; c += VL) {
            vf z = normalise(x + c, t->scale + c, t->shift + c);
            z = v_max(normalise(x + c + next, t->scale + c, t->shift + c), z);
            z = v_max(normalise(x + c + line, t->scale + c, t->shift + c), z);
            z = v_max(normalise(x + c + line + next, t->scale + c, t->shift + c), z);
            v_store(y + c, leak(z, z, slope));
        }
}

static void fwd(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_norm *s = shape;
    for (int64_t row = work->begin; row < work->end; row++)
        if (s->pool == 1)
            fwd_row(s, args, row);
        else
            fwd_pooled_row(s, args, row);
}

/* --- backward --- */

/* Sends dy to the first largest of a window's four z (row by row) and through the activation. */
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

/* Units of the reduction: `reduce_rows` output rows each. */
static int64_t reduce_rows(const struct sl_norm *s)
{
    return (output_rows(s) + RECORDS - 1) / RECORDS;
}

static int64_t reduce_units(const void *shape)
{
    const int64_t rows = reduce_rows(shape);
    return (output_rows(shape) + rows - 1) / rows;
}

/* Where a run of windows begins, and the sums of one line of channels that it goes to. */
struct run {
    const float *x, *dy;
    int64_t count;
    float *sum, *product; /* product: sum of dz*(x - mean) */
};

static inline void fold(const struct run *r, const vf sum[LINE], const vf product[LINE])
{
    for (int v = 0; v < LINE; v++) {
        v_store(r->sum + v * VL, v_add(v_load(r->sum + v * VL), sum[v]));
        v_store(r->product + v * VL, v_add(v_load(r->product + v * VL), product[v]));
    }
}

static inline void reduce_run(const struct sl_norm *s, const struct sl_norm_bwd_reduce *t, int32_t c,
                              const struct run *r)
{
    vf sum[LINE], product[LINE], scale[LINE], shift[LINE], mean[LINE];
    const vf slope = v_set1(s->slope);
    for (int v = 0; v < LINE; v++) {
        sum[v] = product[v] = v_zero();
        scale[v] = v_load(t->scale + c + v * VL);
        shift[v] = v_load(t->shift + c + v * VL);
        mean[v] = v_load(t->mean + c + v * VL);
    }
    const float *x = r->x, *dy = r->dy;
    for (int64_t j = 0; j < r->count; j++, x += s->xs, dy += s->xs)
        for (int v = 0; v < LINE; v++) {
            const vf at = v_load(x + v * VL);
            const vf dz = leak(v_fma(scale[v], at, shift[v]), v_load(dy + v * VL), slope);
            sum[v] = v_add(sum[v], dz);
            product[v] = v_fma(dz, v_sub(at, mean[v]), product[v]);
        }
    fold(r, sum, product);
}

/* One vector of channels at a time: a window has four values of everything. */
static inline void reduce_pooled_run(const struct sl_norm *s, const struct sl_norm_bwd_reduce *t, int32_t c,
                                     const struct run *r)
{
    const vf slope = v_set1(s->slope);
    const int64_t line = (int64_t)s->w * s->xs, next = s->xs;
    vf sum[LINE], product[LINE];
    for (int v = 0; v < LINE; v++) {
        const vf scale = v_load(t->scale + c + v * VL), shift = v_load(t->shift + c + v * VL);
        const vf mean = v_load(t->mean + c + v * VL);
        const float *x = r->x + v * VL, *dy = r->dy + v * VL;
        sum[v] = product[v] = v_zero();
        for (int64_t j = 0; j < r->count; j++, x += 2 * next, dy += next) {
            const vf at[4] = {v_load(x), v_load(x + next), v_load(x + line), v_load(x + line + next)};
            vf z[4], dz[4];
            for (int k = 0; k < 4; k++)
                z[k] = v_fma(scale, at[k], shift);
            route(z, v_load(dy), slope, dz);
            for (int k = 0; k < 4; k++) {
                sum[v] = v_add(sum[v], dz[k]);
                product[v] = v_fma(dz[k], v_sub(at[k], mean), product[v]);
            }
        }
    }
    fold(r, sum, product);
}

static void reduce_row(const struct sl_norm *s, const struct sl_norm_bwd_reduce *t, int64_t row, float *record)
{
    const int64_t pool = s->pool, windows = s->w / pool;
    for (int64_t j = 0; j < windows; j += RUN)
        for (int32_t c = 0; c < s->xs; c += SL_LANES) {
            const struct run r = {
                .x = t->x + (pool * row * s->w + pool * j) * s->xs + c,
                .dy = t->dy + (row * windows + j) * s->xs + c,
                .count = min64(RUN, windows - j),
                .sum = record + c,
                .product = record + s->xs + c,
            };
            if (pool == 1)
                reduce_run(s, t, c, &r);
            else
                reduce_pooled_run(s, t, c, &r);
        }
}

static void bwd_reduce(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_norm *s = shape;
    const struct sl_norm_bwd_reduce *t = args;
    const int64_t rows = reduce_rows(s);
    for (int64_t u = work->begin; u < work->end; u++) {
        float *record = t->sums + 2 * u * s->xs;
        for (int32_t c = 0; c < 2 * s->xs; c++)
            record[c] = 0.0f;
        for (int64_t row = u * rows; row < min64((u + 1) * rows, output_rows(s)); row++)
            reduce_row(s, t, row, record);
        for (int32_t c = 0; c < s->xs; c += VL)
            v_store(record + s->xs + c, v_mul(v_load(record + s->xs + c), v_load(t->rstd + c)));
    }
}

static void apply_row(const struct sl_norm *s, const struct sl_norm_bwd_apply *t, int64_t row)
{
    const vf slope = v_set1(s->slope);
    const int64_t begin = row * s->w * s->xs, end = begin + (int64_t)s->w * s->xs;
    for (int64_t i = begin; i < end; i += s->xs)
        for (int32_t c = 0; c < s->xs; c += SL_LANES)
            for (int32_t l = c; l < c + SL_LANES; l += VL) {
                const vf x = v_load(t->x + i + l), scale = v_load(t->scale + l);
                const vf dz = leak(v_fma(scale, x, v_load(t->shift + l)), v_load(t->dy + i + l), slope);
                const vf spread = v_fma(v_load(t->a + l), x, v_load(t->b + l));
                v_store(t->dx + i + l, v_fma(scale, dz, spread));
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
            for (int k = 0; k < 4; k++) {
                x[k] = v_load(t->x + i + c + corner[k]);
                z[k] = v_fma(scale, x[k], shift);
            }
            route(z, v_load(t->dy + o + c), slope, dz);
            for (int k = 0; k < 4; k++)
                v_store(t->dx + i + c + corner[k], v_fma(scale, dz[k], v_fma(a, x[k], b)));
        }
}

static void bwd_apply(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_norm *s = shape;
    for (int64_t row = work->begin; row < work->end; row++)
        if (s->pool == 1)
            apply_row(s, args, row);
        else
            apply_pooled_row(s, args, row);
}

const struct sl_kernel V_NAME(sl_norm_moments) = {.fits = fits, .units = moments_units, .run = moments};
const struct sl_kernel V_NAME(sl_norm_fwd) = {.fits = fits, .units = output_rows, .run = fwd};
const struct sl_kernel V_NAME(sl_norm_bwd_reduce) = {.fits = fits, .units = reduce_units, .run = bwd_reduce};
const struct sl_kernel V_NAME(sl_norm_bwd_apply) = {.fits = fits, .units = output_rows, .run = bwd_apply};
