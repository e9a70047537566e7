/* Batch normalisation. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kernels/norm/norm.h"
#include "tests/check.h"

/* n, h, w, c, xs, pool, slope; the first FAR are for norm_fwd alone: their y goes past the caches; the last MEASURED
 * are to be measured */
static const struct sl_norm shapes[] = {
    {2, 256, 256, 31, 32, 1, 0.1f, SL_ELEMENT_F32},  {1, 512, 256, 63, 64, 2, 0.1f, SL_ELEMENT_F32},
    {1, 1, 1, 1, 16, 1, 0.1f, SL_ELEMENT_F32},       {1, 2, 2, 1, 16, 2, 0.1f, SL_ELEMENT_F32},
    {2, 3, 5, 7, 16, 1, 0.0f, SL_ELEMENT_F32},       {1, 7, 11, 15, 16, 1, 1.0f, SL_ELEMENT_F32},
    {3, 4, 6, 16, 16, 2, 0.1f, SL_ELEMENT_F32},      {2, 5, 3, 17, 32, 1, 0.1f, SL_ELEMENT_F32},
    {1, 2, 14, 31, 32, 2, 0.0f, SL_ELEMENT_F32},     {2, 6, 10, 33, 48, 2, 0.1f, SL_ELEMENT_F32},
    {5, 8, 8, 64, 64, 2, 0.1f, SL_ELEMENT_F32},      {1, 64, 64, 32, 32, 1, 0.1f, SL_ELEMENT_F32},
    {2, 32, 32, 128, 128, 1, 0.1f, SL_ELEMENT_F32},  {3, 16, 16, 512, 512, 2, 0.1f, SL_ELEMENT_F32},
    {300, 2, 2, 20, 32, 2, 0.1f, SL_ELEMENT_F32},    {1, 1, 3001, 16, 16, 1, 0.1f, SL_ELEMENT_F32},
    {1, 2, 2, 1040, 1040, 2, 1.0f, SL_ELEMENT_F32},  {2, 3, 3, 7, 7, 1, 0.1f, SL_ELEMENT_F32},
    {32, 64, 64, 32, 32, 1, 0.1f, SL_ELEMENT_F32},   {32, 64, 64, 64, 64, 2, 0.1f, SL_ELEMENT_F32},
    {32, 32, 32, 128, 128, 1, 0.1f, SL_ELEMENT_F32}, {32, 32, 32, 256, 256, 2, 0.1f, SL_ELEMENT_F32},
    {32, 16, 16, 256, 256, 1, 0.1f, SL_ELEMENT_F32}, {32, 16, 16, 512, 512, 2, 0.1f, SL_ELEMENT_F32},
};
static const struct check_tolerance few_roundings = {1e-7, 4e-7, 4};
enum { MEASURED = 6, FAR = 2, SHAPES = sizeof shapes / sizeof *shapes - MEASURED - FAR };

static const void *describe(const struct sl_norm *s, char *name, size_t size)
{
    snprintf(name, size, "n%dh%dw%dc%ds%dp%d_%g", s->n, s->h, s->w, s->c, s->xs, s->pool, (double)s->slope);
    return s;
}

static const void *shape(size_t index, char *name, size_t size)
{
    return describe(&shapes[FAR + index], name, size);
}

static const void *fwd_shape(size_t index, char *name, size_t size)
{
    return describe(&shapes[index], name, size);
}

static int64_t pixels_of(const struct sl_norm *s)
{
    return (int64_t)s->n * s->h * s->w;
}

/* Pooled cases take coarse values, so that windows hold equal ones. */
static enum check_fill fill_of(const struct sl_norm *s)
{
    return s->pool > 1 ? CHECK_COARSE : CHECK_UNIFORM;
}

static float *input(struct check_case *c, const char *name, const struct sl_norm *s, enum check_fill fill)
{
    return check_input_rows(c, name, 1, s->c, s->xs, fill);
}

/* Values far from zero, spread little: what a single sum of squares would spoil. Means of at most 64 equal-sized terms
 * in a row lose about 1e-6 of the value; the variance is checked against that spread. */
static void moments(struct check_case *c)
{
    const struct sl_norm *s = c->shape;
    void *x = check_input_elements(c, "x", (size_t)(pixels_of(s) * s->xs));
    for (int64_t i = 0; i < pixels_of(s); i++)
        for (int32_t l = 0; l < s->xs; l++)
            check_put(c, x, (size_t)(i * s->xs + l), l < s->c ? 50.0f + check_draw(c, CHECK_UNIFORM) : 0.0f);
    check_freeze(c, x);
    const size_t records = (size_t)c->need.units;
    float *to = check_work(c, "records", records * sl_moments_size(s->xs));
    check_output_rows(c, "mean", 1, s->c, s->xs, (struct check_tolerance){0.0, 4e-7, 4});
    check_output_rows(c, "var", 1, s->c, s->xs, (struct check_tolerance){1e-7, 1e-5, 0});
    *(struct sl_norm_moments *)c->args.bytes = (struct sl_norm_moments){x, to};
}

static void join_moments(struct check_case *c)
{
    const struct sl_norm *s = c->shape;
    const struct sl_norm_join args = {check_find(c, "records"), c->need.units, check_find(c, "mean"),
                                      check_find(c, "var")};
    const struct sl_norm channels = sl_norm_channels(s);
    check_reference(SL_OP_norm_join, &channels, &args);
}

/* One fused multiply-add and one product: equal bits. */
static void fwd(struct check_case *c)
{
    const struct sl_norm *s = c->shape;
    struct sl_norm_fwd *t = (void *)c->args.bytes;
    t->x = check_input_pixels(c, "x", pixels_of(s), s->c, s->xs, fill_of(s));
    t->scale = input(c, "scale", s, fill_of(s));
    t->shift = input(c, "shift", s, fill_of(s));
    t->y = check_output_pixels(c, "y", pixels_of(s) / (s->pool * s->pool), s->c, s->xs, check_exact);
}

/* Factors of size 1/4 to 3/4. */
static float *large_factors(struct check_case *c, const char *name, const struct sl_norm *s)
{
    float *to = check_input_bytes(c, name, (size_t)s->xs * sizeof *to, sizeof *to);
    for (int32_t l = 0; l < s->xs; l++)
        to[l] = l < s->c ? (l % 2 ? -0.5f : 0.5f) + check_draw(c, CHECK_UNIFORM) / 4.0f : 0.0f;
    check_freeze(c, to);
    return to;
}

/* norm_fwd's y of channel l, in the window whose first x is at `at`. */
static float output_of(const struct sl_norm *s, const struct sl_norm_bwd_reduce *t, int64_t at, int32_t l)
{
    float z = -INFINITY;
    for (int32_t i = 0; i < s->pool * s->pool; i++) {
        const int64_t here = at + ((int64_t)(i / s->pool) * s->w + i % s->pool) * s->xs;
        z = fmaxf(z, fmaf(t->scale[l], sl_get(s->element, t->x, here + l), t->shift[l]));
    }
    return z >= 0.0f ? z : s->slope * z;
}

/* y, and the gamma and beta that scale and shift are made of. `usable`: else one gamma is 0, and y is no number. */
static void with_y(struct check_case *c, const struct sl_norm *s, struct sl_norm_bwd_reduce *t, bool usable)
{
    const int32_t ow = s->w / s->pool;
    const int64_t outputs = pixels_of(s) / (s->pool * s->pool);
    float *gamma = check_input_bytes(c, "gamma", (size_t)s->c * sizeof *gamma, sizeof *gamma);
    float *beta = check_input_bytes(c, "beta", (size_t)s->c * sizeof *beta, sizeof *beta);
    for (int32_t l = 0; l < s->c; l++) {
        gamma[l] = usable || l != s->c / 2 ? t->scale[l] / t->rstd[l] : 0.0f;
        beta[l] = t->shift[l] + t->mean[l] * t->scale[l];
    }
    check_freeze(c, gamma);
    check_freeze(c, beta);
    void *y = check_input_elements(c, "y", (size_t)(outputs * s->xs));
    for (int64_t i = 0; i < outputs; i++)
        for (int32_t l = 0; l < s->xs; l++) {
            const int64_t at = (i / ow * s->pool * s->w + i % ow * s->pool) * s->xs;
            const float value = l < s->c ? output_of(s, t, at, l) : 0.0f;
            check_put(c, y, (size_t)(i * s->xs + l), usable ? value : NAN);
        }
    check_freeze(c, y);
    t->y = y;
    t->gamma = gamma;
    t->beta = beta;
}

/* Sums of `pixels` terms of size <= 4 in float runs: eps*sqrt(pixels) grows slower than this absolute bound. In turns
 * without y, with y, and with one that is not to be used. A y in bf16 is rounded, and a term made of it is off by up
 * to eight times as much. */
static void bwd_reduce(struct check_case *c)
{
    const struct sl_norm *s = c->shape;
    struct sl_norm_bwd_reduce *t = (void *)c->args.bytes;
    const bool has_y = c->variant % 3;
    t->x = check_input_pixels(c, "x", pixels_of(s), s->c, s->xs, fill_of(s));
    t->scale = has_y ? large_factors(c, "scale", s) : input(c, "scale", s, fill_of(s));
    t->shift = input(c, "shift", s, fill_of(s));
    t->mean = input(c, "mean", s, CHECK_UNIFORM);
    t->rstd = input(c, "rstd", s, CHECK_POSITIVE);
    t->dy = check_input_pixels(c, "dy", pixels_of(s) / (s->pool * s->pool), s->c, s->xs, CHECK_UNIFORM);
    t->sums = check_work(c, "sums", 2 * (size_t)s->xs * (size_t)c->need.units);
    if (has_y)
        with_y(c, s, t, c->variant % 3 == 1);
    /* cuDNN gets dz in the element: half a unit of bf16 in each of them. */
    const double size = sqrt((double)pixels_of(s)), rounding = strstr(c->row->name, "bf16_cudnn") ? 0x1p-8 : 0.0;
    const bool from_y = c->variant % 3 == 1 && s->slope > 0.0f;
    const double of_y = from_y && s->element == SL_ELEMENT_BF16 ? 0x1p-6 : 0.0;
    check_output(c, "dbeta", (size_t)s->c, (struct check_tolerance){(4e-7 + rounding) * size, 1e-6, 0});
    check_output(c, "dgamma", (size_t)s->c, (struct check_tolerance){(4e-7 + rounding + of_y) * size, 1e-6, 0});
    check_work(c, "a", (size_t)s->xs);
    check_work(c, "b", (size_t)s->xs);
}

static void join_sums(struct check_case *c)
{
    const struct sl_norm *s = c->shape;
    const struct sl_norm_bwd_reduce *t = (const void *)c->args.bytes;
    const struct sl_norm_bwd_join args = {
        .sums = check_find(c, "sums"),
        .parts = c->need.units,
        .scale = t->scale,
        .mean = t->mean,
        .rstd = t->rstd,
        .dbeta = check_find(c, "dbeta"),
        .dgamma = check_find(c, "dgamma"),
        .a = check_find(c, "a"),
        .b = check_find(c, "b"),
    };
    const struct sl_norm channels = sl_norm_channels(s);
    check_reference(SL_OP_norm_bwd_join, &channels, &args);
}

/* Two multiply-adds of terms <= 2; every second shape in place. */
static void bwd_apply(struct check_case *c)
{
    const struct sl_norm *s = c->shape;
    const struct check_tolerance tolerance = {3e-7, 0.0, 0};
    struct sl_norm_bwd_apply *t = (void *)c->args.bytes;
    t->scale = input(c, "scale", s, fill_of(s));
    t->shift = input(c, "shift", s, fill_of(s));
    t->a = input(c, "a", s, CHECK_UNIFORM);
    t->b = input(c, "b", s, CHECK_UNIFORM);
    t->dy = check_input_pixels(c, "dy", pixels_of(s) / (s->pool * s->pool), s->c, s->xs, CHECK_UNIFORM);
    if (c->variant % 2) {
        t->dx = check_inout(c, "dx", pixels_of(s), s->c, s->xs, fill_of(s), tolerance);
        t->x = t->dx;
    } else {
        t->x = check_input_pixels(c, "x", pixels_of(s), s->c, s->xs, fill_of(s));
        t->dx = check_output_pixels(c, "dx", pixels_of(s), s->c, s->xs, tolerance);
    }
}

/* As many records as the vector rows leave; few to check. */
static size_t parts_of(const struct check_case *c)
{
    return c->measured ? 128 : 3;
}

/* Sums in double, rounded once. */
static void join(struct check_case *c)
{
    const struct sl_norm *s = c->shape;
    const size_t record = sl_moments_size(s->xs), parts = parts_of(c);
    float *moments = check_input_bytes(c, "moments", parts * record * sizeof *moments, sizeof *moments);
    for (size_t i = 0; i < parts * record; i++)
        moments[i] = check_draw(c, CHECK_POSITIVE);
    moments[record + 2 * (size_t)s->xs] = 0.0f; /* a record of no pixels */
    check_freeze(c, moments);
    struct sl_norm_join *t = (void *)c->args.bytes;
    *t = (struct sl_norm_join){.moments = moments, .parts = (int64_t)parts};
    t->mean = check_output(c, "mean", (size_t)s->xs, few_roundings);
    t->var = check_output(c, "var", (size_t)s->xs, few_roundings);
}

static void scale(struct check_case *c)
{
    const struct sl_norm *s = c->shape;
    struct sl_norm_scale *t = (void *)c->args.bytes;
    t->mean = check_input(c, "mean", (size_t)s->c, CHECK_UNIFORM);
    t->var = check_input(c, "var", (size_t)s->c, CHECK_POSITIVE);
    t->gamma = check_input(c, "gamma", (size_t)s->c, CHECK_UNIFORM);
    t->beta = check_input(c, "beta", (size_t)s->c, CHECK_UNIFORM);
    t->epsilon = 1e-5;
    t->rstd = check_output_rows(c, "rstd", 1, s->c, s->xs, few_roundings);
    t->scale = check_output_rows(c, "scale", 1, s->c, s->xs, few_roundings);
    t->shift = check_output_rows(c, "shift", 1, s->c, s->xs, few_roundings);
}

static void bwd_join(struct check_case *c)
{
    const struct sl_norm *s = c->shape;
    struct sl_norm_bwd_join *t = (void *)c->args.bytes;
    t->sums = check_input(c, "sums", 2 * parts_of(c) * (size_t)s->xs, CHECK_UNIFORM);
    t->parts = (int64_t)parts_of(c);
    t->scale = input(c, "scale", s, CHECK_UNIFORM);
    t->mean = input(c, "mean", s, CHECK_UNIFORM);
    t->rstd = input(c, "rstd", s, CHECK_POSITIVE);
    t->dbeta = check_output(c, "dbeta", (size_t)s->c, few_roundings);
    t->dgamma = check_output(c, "dgamma", (size_t)s->c, few_roundings);
    t->a = check_output_rows(c, "a", 1, s->c, s->xs, few_roundings);
    t->b = check_output_rows(c, "b", 1, s->c, s->xs, few_roundings);
}

/* Every third step is bad. */
static void commit(struct check_case *c)
{
    const struct sl_norm *s = c->shape;
    struct sl_norm_commit *t = (void *)c->args.bytes;
    t->mean = input(c, "mean", s, CHECK_UNIFORM);
    t->var = input(c, "var", s, CHECK_POSITIVE);
    t->decay = 0.9;
    t->now = check_now(c, c->variant % 3 == 2);
    t->running_mean = check_inout(c, "running mean", s->c, 1, 1, CHECK_UNIFORM, few_roundings);
    t->running_var = check_inout(c, "running var", s->c, 1, 1, CHECK_POSITIVE, few_roundings);
}

static const struct check_op ops[] = {
    {SL_OP_norm_moments, SHAPES, MEASURED, shape, moments, join_moments, CHECK_CLOSE},
    {SL_OP_norm_join, SHAPES, MEASURED, shape, join, NULL, CHECK_CLOSE},
    {SL_OP_norm_scale, SHAPES, MEASURED, shape, scale, NULL, CHECK_CLOSE},
    {SL_OP_norm_fwd, FAR + SHAPES, MEASURED, fwd_shape, fwd, NULL, CHECK_CLOSE},
    {SL_OP_norm_bwd_reduce, SHAPES, MEASURED, shape, bwd_reduce, join_sums, CHECK_CLOSE},
    {SL_OP_norm_bwd_join, SHAPES, MEASURED, shape, bwd_join, NULL, CHECK_CLOSE},
    {SL_OP_norm_bwd_apply, SHAPES, MEASURED, shape, bwd_apply, NULL, CHECK_CLOSE},
    {SL_OP_norm_commit, SHAPES, MEASURED, shape, commit, NULL, CHECK_CLOSE},
};
const struct check_area check_norm = {ops, sizeof ops / sizeof *ops};
