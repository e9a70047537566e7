/* The verdict on a step: sums in double. */
#include <stdio.h>

#include "kernels/elementwise/elementwise.h"
#include "kernels/elementwise/flat.h"
#include "tests/check.h"
#include "tests/check_flat.h"

static const void *flat_shape(size_t index, char *name, size_t size)
{
    static struct sl_flat s;
    s = (struct sl_flat){.n = check_length(index, CHECK_WEIGHTS)};
    snprintf(name, size, "n%lld", (long long)s.n);
    return &s;
}

enum { FLOATS = 3 }; /* that hold all bits of a double: 24 each of 53 */

static void as_floats(struct check_case *c)
{
    const double *sums = check_find(c, "sums");
    float *to = check_find(c, "as floats");
    for (int64_t i = 0; i < sl_flat_units(check_length_of(c)); i++) {
        double rest = sums[i];
        for (int k = 0; k < FLOATS; k++, to++) {
            *to = (float)rest;
            rest -= (double)*to;
        }
    }
}

static void sum_squares(struct check_case *c)
{
    struct sl_sum_squares *t = (void *)c->args.bytes;
    const size_t units = (size_t)sl_flat_units(check_length_of(c));
    t->x = check_input(c, "x", (size_t)check_length_of(c), CHECK_UNIFORM);
    t->sums = check_work_double(c, "sums", units);
    check_output(c, "as floats", FLOATS * units, check_exact);
}

/* losses, weights, gradients; the last MEASURED to be measured */
static const struct sl_judge_shape judge_shapes[] = {
    {1, 1, 1, SL_ELEMENT_F32},   {32, 0, 5, SL_ELEMENT_F32},   {0, 3, 5, SL_ELEMENT_F32},
    {7, 65, 66, SL_ELEMENT_F32}, {32, 66, 66, SL_ELEMENT_F32},
};
enum { MEASURED = 1, JUDGE_SHAPES = sizeof judge_shapes / sizeof *judge_shapes - MEASURED };

static const void *judge_shape(size_t index, char *name, size_t size)
{
    const struct sl_judge_shape *s = &judge_shapes[index];
    snprintf(name, size, "l%lldw%lldg%lld", (long long)s->losses, (long long)s->weights, (long long)s->gradients);
    return s;
}

static const double *doubles(struct check_case *c, const char *name, int64_t n)
{
    double *at = check_input_bytes(c, name, (size_t)n * sizeof *at, sizeof *at);
    for (int64_t i = 0; i < n; i++)
        at[i] = (double)check_draw(c, CHECK_POSITIVE);
    check_freeze(c, at);
    return at;
}

static void judge(struct check_case *c)
{
    const struct sl_judge_shape *s = c->shape;
    struct sl_judge *t = (void *)c->args.bytes;
    t->losses = doubles(c, "losses", s->losses);
    t->weights = doubles(c, "weights", s->weights);
    t->gradients = doubles(c, "gradients", s->gradients);
    t->now = (void *)check_work_double(c, "now", sizeof(struct sl_now) / sizeof(double));
    check_output(c, "found", 4, (struct check_tolerance){0.0, 1e-7, 1});
}

static void found(struct check_case *c)
{
    const struct sl_now *now = check_find(c, "now");
    float *to = check_find(c, "found");
    to[0] = (float)now->loss;
    to[1] = (float)now->half_norm;
    to[2] = (float)now->gradient_norm;
    to[3] = (float)now->bad;
}

enum { QUARTERS = 4 }; /* of 64 bits, which floats hold */

static void sums_as_floats(struct check_case *c)
{
    const uint64_t *sums = check_find(c, "sums");
    float *to = check_find(c, "as floats");
    for (int64_t i = 0; i < sl_flat_units(check_length_of(c)); i++)
        for (int k = 0; k < QUARTERS; k++)
            *to++ = (float)(sums[i] >> 16 * k & 0xffff);
}

/* Of any bits, those of NaNs among them. */
static void fingerprint(struct check_case *c)
{
    struct sl_fingerprint *t = (void *)c->args.bytes;
    const size_t n = (size_t)check_length_of(c), units = (size_t)sl_flat_units(check_length_of(c));
    uint32_t *bits = check_input_bytes(c, "x", n * sizeof *bits, sizeof *bits);
    for (size_t i = 0; i < n; i++)
        bits[i] = check_random(c);
    check_freeze(c, bits);
    t->x = (const float *)bits;
    t->sums = (uint64_t *)check_work_double(c, "sums", units);
    check_output(c, "as floats", QUARTERS * units, check_exact);
}

static const struct check_op ops[] = {
    {SL_OP_sum_squares, CHECK_LENGTHS, 1, flat_shape, sum_squares, as_floats, CHECK_ALL_EQUAL},
    {SL_OP_fingerprint, CHECK_LENGTHS, 1, flat_shape, fingerprint, sums_as_floats, CHECK_ALL_EQUAL},
    {SL_OP_judge, JUDGE_SHAPES, MEASURED, judge_shape, judge, found, CHECK_CLOSE},
};
const struct check_area check_step = {ops, sizeof ops / sizeof *ops};
