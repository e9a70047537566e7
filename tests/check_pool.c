/* Maximum and average pooling. */
#include <stdio.h>

#include "kernels/pool/pool.h"
#include "tests/check.h"

/* n, h, w, c, xs, kh, kw, stride_h, stride_w, pad_top, pad_left, oh, ow; the last MEASURED to be measured */
static const struct sl_pool shapes[] = {
    {1, 1, 1, 1, 16, 1, 1, 1, 1, 0, 0, 1, 1, SL_ELEMENT_F32},
    {1, 2, 2, 16, 16, 2, 2, 2, 2, 0, 0, 1, 1, SL_ELEMENT_F32},
    {2, 7, 5, 17, 32, 2, 2, 2, 2, 0, 0, 3, 2, SL_ELEMENT_F32},
    {2, 7, 5, 31, 32, 2, 2, 2, 2, 0, 0, 4, 3, SL_ELEMENT_F32},
    {1, 9, 11, 33, 48, 3, 3, 2, 2, 1, 1, 5, 6, SL_ELEMENT_F32},
    {2, 6, 7, 15, 16, 3, 3, 1, 1, 1, 1, 6, 7, SL_ELEMENT_F32},
    {3, 5, 13, 7, 16, 3, 2, 1, 3, 2, 1, 6, 5, SL_ELEMENT_F32},
    {2, 4, 4, 3, 16, 2, 2, 3, 3, 0, 0, 2, 2, SL_ELEMENT_F32},
    {9, 8, 8, 200, 208, 8, 8, 1, 1, 0, 0, 1, 1, SL_ELEMENT_F32},
    {1, 7, 11, 64, 64, 7, 11, 1, 1, 0, 0, 1, 1, SL_ELEMENT_F32},
    {2, 32, 32, 64, 64, 2, 2, 2, 2, 0, 0, 16, 16, SL_ELEMENT_F32},
    {2, 5, 5, 10, 10, 3, 3, 2, 2, 1, 1, 3, 3, SL_ELEMENT_F32},
    {32, 64, 64, 64, 64, 2, 2, 2, 2, 0, 0, 32, 32, SL_ELEMENT_F32},
    {32, 8, 8, 200, 208, 8, 8, 1, 1, 0, 0, 1, 1, SL_ELEMENT_F32},
};
enum { MEASURED = 2, SHAPES = sizeof shapes / sizeof *shapes - MEASURED };

static const void *shape(size_t index, char *name, size_t size)
{
    const struct sl_pool *s = &shapes[index];
    snprintf(name, size, "n%dh%dw%dc%ds%dk%dx%ds%dx%dp%dx%do%dx%d", s->n, s->h, s->w, s->c, s->xs, s->kh, s->kw,
             s->stride_h, s->stride_w, s->pad_top, s->pad_left, s->oh, s->ow);
    return s;
}

static int64_t inside(const struct sl_pool *s)
{
    return (int64_t)s->n * s->h * s->w;
}

static int64_t outside(const struct sl_pool *s)
{
    return (int64_t)s->n * s->oh * s->ow;
}

static void fwd(struct check_case *c, struct check_tolerance tolerance)
{
    const struct sl_pool *s = c->shape;
    struct sl_pool_fwd *t = (void *)c->args.bytes;
    t->x = check_input_pixels(c, "x", inside(s), s->c, s->xs, CHECK_UNIFORM);
    t->y = check_output_pixels(c, "y", outside(s), s->c, s->xs, tolerance);
}

static void bwd(struct check_case *c, struct check_tolerance tolerance)
{
    const struct sl_pool *s = c->shape;
    struct sl_pool_bwd *t = (void *)c->args.bytes;
    t->x = check_input_pixels(c, "x", inside(s), s->c, s->xs, CHECK_COARSE); /* ties, where the first must win */
    t->dy = check_input_pixels(c, "dy", outside(s), s->c, s->xs, CHECK_UNIFORM);
    t->dx = check_output_pixels(c, "dx", inside(s), s->c, s->xs, tolerance);
}

/* A choice, not an arithmetic result. */
static void max_fwd(struct check_case *c)
{
    fwd(c, check_exact);
}

/* Overlapping windows add in the order of the windows, in every row. */
static void max_bwd(struct check_case *c)
{
    bwd(c, check_exact);
}

/* At most 77 terms of size <= 1, then one rounding. */
static void avg_fwd(struct check_case *c)
{
    fwd(c, (struct check_tolerance){1e-6, 0.0, 0});
}

/* One quotient (or product with a rounded reciprocal) for each of at most 9 windows. */
static void avg_bwd(struct check_case *c)
{
    bwd(c, (struct check_tolerance){2e-7, 4e-7, 0});
    check_moves(c, check_find(c, "x"), 0, 0);
}

static const struct check_op ops[] = {
    {SL_OP_pool_max_fwd, SHAPES, MEASURED, shape, max_fwd, NULL, CHECK_CLOSE},
    {SL_OP_pool_max_bwd, SHAPES, MEASURED, shape, max_bwd, NULL, CHECK_CLOSE},
    {SL_OP_pool_avg_fwd, SHAPES, MEASURED, shape, avg_fwd, NULL, CHECK_CLOSE},
    {SL_OP_pool_avg_bwd, SHAPES, MEASURED, shape, avg_bwd, NULL, CHECK_CLOSE},
};
const struct check_area check_pool = {ops, sizeof ops / sizeof *ops};
