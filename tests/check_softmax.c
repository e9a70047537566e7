/* Softmax and negative log-likelihood. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kernels/softmax/softmax.h"
#include "tests/check.h"

/* n, c, xs; the last MEASURED to be measured */
static const struct sl_softmax shapes[] = {
    {1, 1, 16, SL_ELEMENT_F32},      {3, 2, 16, SL_ELEMENT_F32},    {2, 7, 16, SL_ELEMENT_F32},
    {5, 8, 16, SL_ELEMENT_F32},      {4, 9, 16, SL_ELEMENT_F32},    {7, 15, 16, SL_ELEMENT_F32},
    {2, 16, 16, SL_ELEMENT_F32},     {3, 17, 32, SL_ELEMENT_F32},   {1, 31, 48, SL_ELEMENT_F32},
    {32, 200, 208, SL_ELEMENT_F32},  {2, 10, 10, SL_ELEMENT_F32},   {3, 1000, 1008, SL_ELEMENT_F32},
    {2, 9973, 9984, SL_ELEMENT_F32}, {32, 200, 208, SL_ELEMENT_F32}};
enum { MEASURED = 1, SHAPES = sizeof shapes / sizeof *shapes - MEASURED };

static const void *shape(size_t index, char *name, size_t size)
{
    const struct sl_softmax *s = &shapes[index];
    snprintf(name, size, "n%dc%ds%d", s->n, s->c, s->xs);
    return s;
}

/* Logits of size 1, 30 and 400 in turn: the last underflow. One row is infinite, one not a number. Measured ones are
 * of size 1. */
static float logit(struct check_case *c, int32_t i, int32_t l)
{
    static const float size[] = {1.0f, 30.0f, 400.0f};
    const float u = check_draw(c, CHECK_UNIFORM), x = size[i % 3] * u;
    return c->measured ? u : i == 3 && l == 0 ? INFINITY : i == 4 && l == 1 ? NAN : x;
}

static int32_t *labels_of(struct check_case *c, const struct sl_softmax *s)
{
    int32_t *labels = check_input_bytes(c, "labels", sizeof *labels * (size_t)s->n, sizeof *labels);
    for (int32_t i = 0; i < s->n; i++)
        labels[i] = (int32_t)(check_random(c) % (uint32_t)s->c);
    check_freeze(c, labels);
    return labels;
}

/* Exponential, sum and quotient are each good to a few ulp; below 1e-30 a probability may be flushed to zero. The
 * loss is compared as a float. cuDNN's exponential is one of floats: it is off by its argument's rounding. */
static void fwd(struct check_case *c)
{
    const double rounding = strstr(c->row->name, "cudnn") ? 2e-5 : 0.0;
    const struct sl_softmax *s = c->shape;
    struct sl_softmax_nll_fwd *t = (void *)c->args.bytes;
    void *x = check_input_elements(c, "x", (size_t)s->n * (size_t)s->xs);
    for (int32_t i = 0; i < s->n; i++)
        for (int32_t l = 0; l < s->xs; l++)
            check_put(c, x, (size_t)i * (size_t)s->xs + (size_t)l, l < s->c ? logit(c, i, l) : 0.0f);
    check_freeze(c, x);
    t->x = x;
    t->p = check_output_rows(c, "p", s->n, s->c, s->xs, (struct check_tolerance){1e-30, 5e-7 + rounding, 0});
    if (c->variant % 4 != 3) {
        t->labels = labels_of(c, s);
        t->loss = check_work_double(c, "losses", (size_t)s->n);
        check_output(c, "loss", (size_t)s->n, (struct check_tolerance){1e-6 + rounding, 1e-6, 0});
    }
}

static void copy_loss(struct check_case *c)
{
    const struct sl_softmax *s = c->shape;
    const struct sl_softmax_nll_fwd *t = (const void *)c->args.bytes;
    float *loss = t->loss ? check_find(c, "loss") : NULL;
    for (int32_t i = 0; loss && i < s->n; i++)
        loss[i] = (float)t->loss[i];
}

/* One difference and one product: equal bits. */
static void bwd(struct check_case *c)
{
    const struct sl_softmax *s = c->shape;
    struct sl_softmax_nll_bwd *t = (void *)c->args.bytes;
    t->p = check_input_rows(c, "p", s->n, s->c, s->xs, CHECK_POSITIVE);
    t->labels = labels_of(c, s);
    t->factor = 1.0f / (float)s->n;
    t->dx = check_output_pixels(c, "dx", s->n, s->c, s->xs, check_exact);
}

static const struct check_op ops[] = {
    {SL_OP_softmax_nll_fwd, SHAPES, MEASURED, shape, fwd, copy_loss, CHECK_CLOSE},
    {SL_OP_softmax_nll_bwd, SHAPES, MEASURED, shape, bwd, NULL, CHECK_CLOSE},
};
const struct check_area check_softmax = {ops, sizeof ops / sizeof *ops};
