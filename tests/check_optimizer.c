/* Updaters: a handful of roundings, each relative to a term of size <= 1. */
#include <stdio.h>

#include "kernels/optimizer/optimizer.h"
#include "tests/check.h"
#include "tests/check_flat.h"

static const struct check_tolerance few_roundings = {3e-7, 4e-7, 0};

static const void *shape(size_t index, char *name, size_t size)
{
    static struct sl_optimizer s;
    s.n = check_length(index, CHECK_WEIGHTS);
    snprintf(name, size, "n%lld", (long long)s.n);
    return &s;
}

static float *state(struct check_case *c, const char *name, enum check_fill fill)
{
    return check_inout(c, name, check_length_of(c), 1, 1, fill, few_roundings);
}

static struct sl_optimizer_step *begin(struct check_case *c)
{
    struct sl_optimizer_step *t = (void *)c->args.bytes;
    *t = (struct sl_optimizer_step){.beta1 = 0.9f, .beta2 = 0.999f, .epsilon = 1e-8f, .l2 = 1e-4f};
    t->now = check_now(c, c->variant % 5 == 4);
    t->w = state(c, "w", CHECK_UNIFORM);
    t->g = check_input(c, "g", (size_t)check_length_of(c), CHECK_UNIFORM);
    if (c->variant % 3 == 1)
        t->u = state(c, "u", CHECK_UNIFORM);
    return t;
}

static void sgd(struct check_case *c)
{
    struct sl_optimizer_step *t = begin(c);
    if (c->measured || c->variant % 2) {
        t->momentum = 0.9f;
        t->m = state(c, "m", CHECK_UNIFORM);
    }
}

static void adam(struct check_case *c)
{
    struct sl_optimizer_step *t = begin(c);
    t->m = state(c, "m", CHECK_UNIFORM);
    t->v = state(c, "v", CHECK_POSITIVE);
}

static void amsgrad(struct check_case *c)
{
    adam(c);
    ((struct sl_optimizer_step *)(void *)c->args.bytes)->h = state(c, "h", CHECK_POSITIVE);
}

/* One subtraction: equal bits. */
static void subtract(struct check_case *c)
{
    struct sl_subtract *t = (void *)c->args.bytes;
    t->u = check_input(c, "u", (size_t)check_length_of(c), CHECK_UNIFORM);
    t->now = check_now(c, c->variant % 5 == 4);
    t->w = check_inout(c, "w", check_length_of(c), 1, 1, CHECK_UNIFORM, check_exact);
}

static const struct check_op ops[] = {
    {SL_OP_sgd_step, CHECK_LENGTHS, 1, shape, sgd, NULL, CHECK_VECTORS_EQUAL},
    {SL_OP_adam_step, CHECK_LENGTHS, 1, shape, adam, NULL, CHECK_VECTORS_EQUAL},
    {SL_OP_amsgrad_step, CHECK_LENGTHS, 1, shape, amsgrad, NULL, CHECK_VECTORS_EQUAL},
    {SL_OP_subtract, CHECK_LENGTHS, 1, shape, subtract, NULL, CHECK_ALL_EQUAL},
};
const struct check_area check_optimizer = {ops, sizeof ops / sizeof *ops};
