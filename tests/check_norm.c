/* Batch normalisation. */
#include <math.h>
#include <stdio.h>

#include "kernels/norm/norm.h"
#include "tests/check.h"

/* n, h, w, c, xs, pool, slope */
static const struct sl_norm shapes[] = {
    {1, 1, 1, 1, 16, 1, 0.1f},    {1, 2, 2, 1, 16, 2, 0.1f},      {2, 3, 5, 7, 16, 1, 0.0f},
    {1, 7, 11, 15, 16, 1, 1.0f},  {3, 4, 6, 16, 16, 2, 0.1f},     {2, 5, 3, 17, 32, 1, 0.1f},
    {1, 2, 14, 31, 32, 2, 0.0f},  {2, 6, 10, 33, 48, 2, 0.1f},    {5, 8, 8, 64, 64, 2, 0.1f},
    {1, 64, 64, 32, 32, 1, 0.1f}, {2, 32, 32, 128, 128, 1, 0.1f}, {3, 16, 16, 512, 512, 2, 0.1f},
    {300, 2, 2, 20, 32, 2, 0.1f}, {1, 1, 3001, 16, 16, 1, 0.1f},  {1, 2, 2, 1040, 1040, 2, 1.0f},
    {2, 3, 3, 7, 7, 1, 0.1f},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static const void *shape(size_t index, char *name, size_t size)
{
    const struct sl_norm *s = &shapes[index];
    snprintf(name, size, "n%dh%dw%dc%ds%dp%d_%g", s->n, s->h, s->w, s->c, s->xs, s->pool, (double)s->slope);
    return s;
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
    return check_input_pixels(c, name, 1, s->c, s->xs, fill);
}

/* Values far from zero, spread little: what a single sum of squares would spoil. Means of at most 64 equal-sized terms
 * in a row lose about 1e-6 of the value; the variance is checked against that spread. */
static void moments(struct check_case *c, size_t index)
{
    const struct sl_norm *s = &shapes[index];
    float *x = check_input_bytes(c, "x", sizeof(float) * (size_t)(pixels_of(s) * s->xs));
    for (int64_t i = 0; i < pixels_of(s); i++)
        for (int32_t l = 0; l < s->xs; l++)
            x[i * s->xs + l] = l < s->c ? 50.0f + check_draw(c, CHECK_UNIFORM) : 0.0f;
    check_freeze(c, x);
    const size_t records = (size_t)sl_kernel_units(c->kernel, s);
    float *to = check_work(c, "records", records * sl_moments_size(s->xs));
    check_output_pixels(c, "mean", 1, s->c, s->xs, (struct check_tolerance){0.0, 4e-7, 4});
    check_output_pixels(c, "var", 1, s->c, s->xs, (struct check_tolerance){1e-7, 1e-5, 0});
    *(struct sl_norm_moments *)c->args.bytes = (struct sl_norm_moments){x, to};
}

static void join_moments(struct check_case *c, size_t index)
{
    const struct sl_norm *s = &shapes[index];
    sl_norm_join(s->xs, sl_kernel_units(c->kernel, s), check_find(c, "records"), check_find(c, "mean"),
                 check_find(c, "var"));
}

/* One fused multiply-add and one product: equal bits. */
static void fwd(struct check_case *c, size_t index)
{
    const struct sl_norm *s = &shapes[index];
    struct sl_norm_fwd *t = (void *)c->args.bytes;
    t->x = check_input_pixels(c, "x", pixels_of(s), s->c, s->xs, fill_of(s));
    t->scale = input(c, "scale", s, fill_of(s));
    t->shift = input(c, "shift", s, fill_of(s));
    t->y = check_output_pixels(c, "y", pixels_of(s) / (s->pool * s->pool), s->c, s->xs, check_exact);
}

/* Sums of `pixels` terms of size <= 4 in float runs: eps*sqrt(pixels) grows slower than this absolute bound. */
static void bwd_reduce(struct check_case *c, size_t index)
{
    const struct sl_norm *s = &shapes[index];
    struct sl_norm_bwd_reduce *t = (void *)c->args.bytes;
    t->x = check_input_pixels(c, "x", pixels_of(s), s->c, s->xs, fill_of(s));
    t->scale = input(c, "scale", s, fill_of(s));
    t->shift = input(c, "shift", s, fill_of(s));
    t->mean = input(c, "mean", s, CHECK_UNIFORM);
    t->rstd = input(c, "rstd", s, CHECK_POSITIVE);
    t->dy = check_input_pixels(c, "dy", pixels_of(s) / (s->pool * s->pool), s->c, s->xs, CHECK_UNIFORM);
    t->sums = check_work(c, "sums", 2 * (size_t)s->xs * (size_t)sl_kernel_units(c->kernel, s));
    const struct check_tolerance tolerance = {4e-7 * sqrt((double)pixels_of(s)), 1e-6, 0};
    check_output_pixels(c, "dbeta", 1, s->c, s->xs, tolerance);
    check_output_pixels(c, "dgamma", 1, s->c, s->xs, tolerance);
}

static void join_sums(struct check_case *c, size_t index)
{
    const struct sl_norm *s = &shapes[index];
    sl_norm_join_sums(s->xs, sl_kernel_units(c->kernel, s), check_find(c, "sums"), check_find(c, "dbeta"),
                      check_find(c, "dgamma"));
}

/* Two multiply-adds of terms <= 2; every second shape in place. */
static void bwd_apply(struct check_case *c, size_t index)
{
    const struct sl_norm *s = &shapes[index];
    const struct check_tolerance tolerance = {3e-7, 0.0, 0};
    struct sl_norm_bwd_apply *t = (void *)c->args.bytes;
    t->scale = input(c, "scale", s, fill_of(s));
    t->shift = input(c, "shift", s, fill_of(s));
    t->a = input(c, "a", s, CHECK_UNIFORM);
    t->b = input(c, "b", s, CHECK_UNIFORM);
    t->dy = check_input_pixels(c, "dy", pixels_of(s) / (s->pool * s->pool), s->c, s->xs, CHECK_UNIFORM);
    if (index % 2) {
        t->dx = check_inout(c, "dx", pixels_of(s), s->c, s->xs, fill_of(s), tolerance);
        t->x = t->dx;
    } else {
        t->x = check_input_pixels(c, "x", pixels_of(s), s->c, s->xs, fill_of(s));
        t->dx = check_output_pixels(c, "dx", pixels_of(s), s->c, s->xs, tolerance);
    }
}

static const struct check_op ops[] = {
    {SL_OP_norm_moments, SHAPES, shape, moments, join_moments},
    {SL_OP_norm_fwd, SHAPES, shape, fwd, NULL},
    {SL_OP_norm_bwd_reduce, SHAPES, shape, bwd_reduce, join_sums},
    {SL_OP_norm_bwd_apply, SHAPES, shape, bwd_apply, NULL},
};
const struct check_area check_norm = {ops, sizeof ops / sizeof *ops};
