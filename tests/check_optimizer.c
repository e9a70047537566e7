/* Updaters: a handful of roundings, each relative to a term of size <= 1. */
#include <stdio.h>

#include "kernels/optimizer/optimizer.h"
#include "tests/check.h"
#include "tests/check_flat.h"

static const struct check_tolerance few_roundings = {3e-7, 4e-7, 0};

static const void *shape(size_t index, char *name, size_t size)
{
    static struct sl_optimizer s;
    s.n = check_lengths[index];
    snprintf(name, size, "n%lld", (long long)s.n);
    return &s;
}

static float *state(struct check_case *c, const char *name, size_t index, enum check_fill fill)
{
    return check_inout(c, name, check_lengths[index], 1, 1, fill, few_roundings);
}

static struct sl_optimizer_step *begin(struct check_case *c, size_t index)
{
    struct sl_optimizer_step *t = (void *)c->args.bytes;
    *t = (struct sl_optimizer_step){.beta1 = 0.9f, .beta2 = 0.999f, .epsilon = 1e-8f, .l2 = 1e-4f};
    t->now = check_now(c, index % 5 == 4);
    t->w = state(c, "w", index, CHECK_UNIFORM);
    t->g = check_input(c, "g", (size_t)check_lengths[index], CHECK_UNIFORM);
    if (index % 3 == 1)
        t->u = state(c, "u", index, CHECK_UNIFORM);
    return t;
}

static void sgd(struct check_case *c, size_t index)
{
    struct sl_optimizer_step *t = begin(c, index);
    if (index % 2) {
        t->momentum = 0.9f;
        t->m = state(c, "m", index, CHECK_UNIFORM);
    }
}

static void adam(struct check_case *c, size_t index)
{
    struct sl_optimizer_step *t = begin(c, index);
    t->m = state(c, "m", index, CHECK_UNIFORM);
    t->v = state(c, "v", index, CHECK_POSITIVE);
}

static void amsgrad(struct check_case *c, size_t index)
{
    adam(c, index);
    ((struct sl_optimizer_step *)(void *)c->args.bytes)->h = state(c, "h", index, CHECK_POSITIVE);
}

/* One subtraction: equal bits. */
static void subtract(struct check_case *c, size_t index)
{
    struct sl_subtract *t = (void *)c->args.bytes;
    t->u = check_input(c, "u", (size_t)check_lengths[index], CHECK_UNIFORM);
    t->now = check_now(c, index % 5 == 4);
    t->w = check_inout(c, "w", check_lengths[index], 1, 1, CHECK_UNIFORM, check_exact);
}

static const struct check_op ops[] = {
    {SL_OP_sgd_step, CHECK_LENGTHS, shape, sgd, NULL},
    {SL_OP_adam_step, CHECK_LENGTHS, shape, adam, NULL},
    {SL_OP_amsgrad_step, CHECK_LENGTHS, shape, amsgrad, NULL},
    {SL_OP_subtract, CHECK_LENGTHS, shape, subtract, NULL},
};
const struct check_area check_optimizer = {ops, sizeof ops / sizeof *ops};
