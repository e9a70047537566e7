/* The passes of batch norm that sum over pixels: norm_moments, norm_bwd_reduce. A template like norm_vec.h.
 *
 * Sums are in scratch, small enough for the first-level cache. After RUN pixels or windows those of the backward
 * reduction are folded into the record and start again from zero, so that no sum in float is long. */
#include <string.h>

#include "kernels/norm/norm_vec.h"

enum {
    RUN = 64,      /* pixels, or windows of four, in one sum */
    RECORDS = 128, /* at most: enough to share among threads, few enough to join quickly */
    PIECE = 4096,  /* elements of x in one piece of the moments */
    NEAR = 512,    /* how many elements ahead pixels are prefetched where farther is no better */
    /* Pixels that add to a sum before it is stored. Measured: AVX-512 on an Intel Xeon gains by that; AVX2 on a Zen 3
     * loses more by reading four places than it gains by fewer stores. */
    ABREAST = V_REGISTERS == 32 ? 4 : 1
};

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t pixels_of(const struct sl_norm *s)
{
    return (int64_t)s->n * s->h * s->w;
}

/* Bytes of the sums of a slice: two for each channel. */
static size_t sums_bytes(const struct sl_norm *s)
{
    return 2 * sizeof(float) * (size_t)s->xs;
}

static inline void clear(float *at, int64_t n)
{
    memset(at, 0, sizeof(float) * (size_t)n);
}

/* --- moments --- */

static int64_t piece_pixels(const struct sl_norm *s)
{
    const int64_t pixels = PIECE / s->xs;
    return pixels < 8 ? 8 : pixels;
}

/* Pixels of a unit: a whole number of pieces. */
static int64_t moments_pixels(const struct sl_norm *s)
{
    const int64_t piece = piece_pixels(s), pieces = (pixels_of(s) + piece - 1) / piece;
    return (pieces + RECORDS - 1) / RECORDS * piece;
}

static bool moments_need(const void *shape, struct sl_need *need)
{
    const struct sl_norm *s = shape;
    const int64_t unit = moments_pixels(s);
    need->units = (pixels_of(s) + unit - 1) / unit;
    need->scratch = sums_bytes(s);
    return s->xs % SL_LANES == 0;
}

/* Adds x - origin and (x - origin)^2 of one pixel to the sums. */
static inline void add_pixel(const ve *x, int32_t xs, const float *origin, float *sums)
{
    for (int32_t c = 0; c < xs; c += VL) {
        const vf d = v_sub(e_load(x + c), v_load(origin + c));
        __builtin_prefetch(x + c + NEAR);
        v_store(sums + c, v_add(v_load(sums + c), d));
        v_store(sums + xs + c, v_fma(d, d, v_load(sums + xs + c)));
    }
}

/* Joins a piece to the `before` pixels of a record, by Chan's formula as in sl_norm_join.
 *
 * `sums` holds sum(x - m) and sum((x - m)^2) of the piece, m being the record's mean so far. So the mean of the piece
 * is m + delta with delta = sum(x - m)/pixels, and its squared deviations are sum((x - m)^2) - pixels*delta^2.
 *
 * That difference loses digits only where delta is large beside the spread of the piece. But there delta^2 also becomes
 * part of the joint variance, and the loss is at most eps*(before + pixels)/before of that. So one pass over memory is
 * as good as two. */
static inline void join_piece(int32_t xs, int64_t before, int64_t pixels, const float *sums, float *record)
{
    const float share = (float)pixels / (float)(before + pixels);
    const vf one = v_set1(1.0f / (float)pixels), weight = v_set1(share), between = v_set1((float)before * share);
    for (int32_t c = 0; c < xs; c += VL) {
        float *mean = record + c, *squares = record + xs + c;
        const vf delta = v_mul(v_load(sums + c), one);
        const vf own = v_max(v_fnma(delta, v_load(sums + c), v_load(sums + xs + c)), v_zero());
        v_store(mean, v_fma(delta, weight, v_load(mean)));
        v_store(squares, v_add(v_load(squares), v_fma(v_mul(delta, delta), between, own)));
    }
}

static void moments(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_norm *s = shape;
    const struct sl_norm_moments *t = args;
    const int64_t unit = moments_pixels(s), piece = piece_pixels(s), xs = s->xs;
    assert(sl_norm_is_sound(s) && sl_work_fits(work, moments_need, s));
    for (int64_t u = work->begin; u < work->end; u++) {
        float *record = t->moments + (size_t)u * sl_moments_size(s->xs);
        const int64_t begin = u * unit, end = min64(begin + unit, pixels_of(s));
        clear(record, (int64_t)sl_moments_size(s->xs));
        for (int64_t c = 0; c < xs; c += VL) /* the first origin: any pixel will do */
            v_store(record + c, e_load(e_at(t->x, begin * xs + c)));
        for (int64_t i = begin; i < end; i += piece) {
            const int64_t pixels = min64(piece, end - i);
            clear(work->scratch, 2 * xs);
            for (int64_t j = i; j < i + pixels; j++)
                add_pixel(e_at(t->x, j * xs), s->xs, record, work->scratch);
            join_piece(s->xs, i - begin, pixels, work->scratch, record);
        }
        record[2 * xs] = (float)(end - begin);
    }
}

/* --- backward --- */

/* Output rows of a unit of the reduction. */
static int64_t reduce_rows(const struct sl_norm *s)
{
    return (output_rows(s) + RECORDS - 1) / RECORDS;
}

static bool reduce_need(const void *shape, struct sl_need *need)
{
    const struct sl_norm *s = shape;
    const int64_t rows = reduce_rows(s);
    need->units = (output_rows(s) + rows - 1) / rows;
    need->scratch = sums_bytes(s);
    return s->xs % SL_LANES == 0;
}

/* Adds dz and dz*(x - mean) of `pixels` pixels from the one at `at` on to the sums. */
static inline __attribute__((always_inline)) void
reduce_pixels(const struct sl_norm *s, const struct sl_norm_bwd_reduce *t, const int pixels, int64_t at, float *sums)
{
    const vf slope = v_set1(s->slope);
    for (int32_t c = 0; c < s->xs; c += VL) {
        const vf scale = v_load(t->scale + c), shift = v_load(t->shift + c), mean = v_load(t->mean + c);
        vf sum = v_load(sums + c), product = v_load(sums + s->xs + c);
#pragma GCC unroll 4
        for (int i = 0; i < pixels; i++) {
            const int64_t j = at + (int64_t)i * s->xs + c;
            const vf x = e_load(e_at(t->x, j)), dy = e_load(e_at(t->dy, j));
            __builtin_prefetch(e_at(t->x, j + SL_FLAT_AHEAD));
            __builtin_prefetch(e_at(t->dy, j + SL_FLAT_AHEAD));
            const vf dz = leak(v_fma(scale, x, shift), dy, slope);
            sum = v_add(sum, dz);
            product = v_fma(dz, v_sub(x, mean), product);
        }
        v_store(sums + c, sum);
        v_store(sums + s->xs + c, product);
    }
}

/* The same for the window whose first pixel is at `at`: its dy goes to one pixel, that of the first largest z. */
static inline void reduce_window(const struct sl_norm *s, const struct sl_norm_bwd_reduce *t, int64_t at, const ve *dy,
                                 float *sums)
{
    const vf slope = v_set1(s->slope);
    const int64_t line = (int64_t)s->w * s->xs, corner[4] = {0, s->xs, line, line + s->xs};
    for (int32_t c = 0; c < s->xs; c += VL) {
        const vf scale = v_load(t->scale + c), shift = v_load(t->shift + c);
        vf x = e_load(e_at(t->x, at + c)), z = v_fma(scale, x, shift);
        __builtin_prefetch(e_at(t->x, at + c + NEAR));
#pragma GCC unroll 4
        for (int k = 1; k < 4; k++) {
            const vf next = e_load(e_at(t->x, at + corner[k] + c)), z_next = v_fma(scale, next, shift);
            __builtin_prefetch(e_at(t->x, at + corner[k] + c + NEAR));
            x = v_select(v_gt(z_next, z), next, x);
            z = v_max(z_next, z);
        }
        __builtin_prefetch(dy + c + NEAR);
        const vf dz = leak(z, e_load(dy + c), slope);
        v_store(sums + c, v_add(v_load(sums + c), dz));
        v_store(sums + s->xs + c, v_fma(dz, v_sub(x, v_load(t->mean + c)), v_load(sums + s->xs + c)));
    }
}

static inline void fold(float *sums, int64_t n, float *record)
{
    for (int64_t c = 0; c < n; c += VL)
        v_store(record + c, v_add(v_load(record + c), v_load(sums + c)));
    clear(sums, n);
}

static void reduce_row(const struct sl_norm *s, const struct sl_norm_bwd_reduce *t, int64_t row, float *sums,
                       float *record)
{
    const int64_t xs = s->xs, at = row * s->w * xs;
    for (int64_t j = 0; j < s->w; j += RUN) {
        const int64_t end = min64(j + RUN, s->w);
        int64_t i = j;
        for (; i + ABREAST <= end; i += ABREAST)
            reduce_pixels(s, t, ABREAST, at + i * xs, sums);
        for (; i < end; i++)
            reduce_pixels(s, t, 1, at + i * xs, sums);
        fold(sums, 2 * xs, record);
    }
}

static void reduce_pooled_row(const struct sl_norm *s, const struct sl_norm_bwd_reduce *t, int64_t row, float *sums,
                              float *record)
{
    const int64_t xs = s->xs, windows = s->w / 2, at = 2 * row * s->w * xs;
    for (int64_t j = 0; j < windows; j += RUN) {
        for (int64_t i = j; i < min64(j + RUN, windows); i++)
            reduce_window(s, t, at + 2 * i * xs, e_at(t->dy, (row * windows + i) * xs), sums);
        fold(sums, 2 * xs, record);
    }
}

/* Adds dz and dz*z of one pixel of y to the sums. */
static inline void reduce_output(const struct sl_norm *s, const ve *y, const ve *dy, float *sums)
{
    const vf slope = v_set1(s->slope);
    for (int32_t c = 0; c < s->xs; c += VL) {
        const vf a = e_load(y + c), d = e_load(dy + c);
        __builtin_prefetch(y + c + SL_FLAT_AHEAD);
        __builtin_prefetch(dy + c + SL_FLAT_AHEAD);
        v_store(sums + c, v_add(v_load(sums + c), leak(a, d, slope)));
        v_store(sums + s->xs + c, v_fma(d, a, v_load(sums + s->xs + c)));
    }
}

/* Output rows [begin, end), from y: sum dz*z becomes sum dz*xhat in the end. */
static void reduce_outputs(const struct sl_norm *s, const struct sl_norm_bwd_reduce *t, int64_t begin, int64_t end,
                           float *sums, float *record)
{
    const int64_t xs = s->xs, ow = s->w / s->pool;
    for (int64_t i = begin * ow; i < end * ow; i += RUN) {
        for (int64_t j = i; j < min64(i + RUN, end * ow); j++)
            reduce_output(s, e_at(t->y, j * xs), e_at(t->dy, j * xs), sums);
        fold(sums, 2 * xs, record);
    }
    for (int32_t c = 0; c < s->c; c++)
        record[xs + c] = (record[xs + c] - t->beta[c] * record[c]) / t->gamma[c];
}

/* The same from x: sum dz*(x - mean) becomes sum dz*xhat. */
static void reduce_inputs(const struct sl_norm *s, const struct sl_norm_bwd_reduce *t, int64_t begin, int64_t end,
                          float *sums, float *record)
{
    const int64_t xs = s->xs;
    for (int64_t row = begin; row < end; row++)
        if (s->pool == 1)
            reduce_row(s, t, row, sums, record);
        else
            reduce_pooled_row(s, t, row, sums, record);
    for (int64_t c = 0; c < xs; c += VL)
        v_store(record + xs + c, v_mul(v_load(record + xs + c), v_load(t->rstd + c)));
}

static void bwd_reduce(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_norm *s = shape;
    const struct sl_norm_bwd_reduce *t = args;
    const int64_t rows = reduce_rows(s), xs = s->xs;
    const bool from_y = t->y && s->slope > 0.0f && sl_norm_is_invertible(s->c, t->gamma, t->beta);
    assert(sl_norm_is_sound(s) && sl_work_fits(work, reduce_need, s));
    clear(work->scratch, 2 * xs);
    for (int64_t u = work->begin; u < work->end; u++) {
        const int64_t end = min64((u + 1) * rows, output_rows(s));
        clear(t->sums + 2 * u * xs, 2 * xs);
        (from_y ? reduce_outputs : reduce_inputs)(s, t, u * rows, end, work->scratch, t->sums + 2 * u * xs);
    }
}

const struct sl_kernel E_NAME(sl_norm_moments) = {.element = E_ELEMENT, .need = moments_need, .run = moments};
const struct sl_kernel E_NAME(sl_norm_bwd_reduce) = {.element = E_ELEMENT, .need = reduce_need, .run = bwd_reduce};
