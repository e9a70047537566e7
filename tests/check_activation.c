/* Leaky ReLU: one product, so equal bits; every second length in place. */
#include <stdio.h>

#include "kernels/activation/activation.h"
#include "tests/check.h"
#include "tests/check_flat.h"

static const void *shape(size_t index, char *name, size_t size)
{
    static struct sl_leaky_relu s;
    s = (struct sl_leaky_relu){check_length(index, CHECK_ACTIVATIONS), index % 3 ? 0.1f : 0.0f, SL_ELEMENT_F32};
    snprintf(name, size, "n%lld_%g", (long long)s.n, (double)s.slope);
    return &s;
}

static void fwd(struct check_case *c)
{
    const int64_t n = check_length_of(c);
    struct sl_leaky_relu_fwd *t = (void *)c->args.bytes;
    if (c->variant % 2) {
        t->y = check_inout(c, "y", n, 1, 1, CHECK_COARSE, check_exact);
        t->x = t->y;
    } else {
        t->x = check_input_pixels(c, "x", n, 1, 1, CHECK_COARSE);
        t->y = check_output_pixels(c, "y", n, 1, 1, check_exact);
    }
}

static void bwd(struct check_case *c)
{
    const int64_t n = check_length_of(c);
    struct sl_leaky_relu_bwd *t = (void *)c->args.bytes;
    t->x = check_input_pixels(c, "x", n, 1, 1, CHECK_COARSE);
    if (c->variant % 2) {
        t->dx = check_inout(c, "dx", n, 1, 1, CHECK_UNIFORM, check_exact);
        t->dy = t->dx;
    } else {
        t->dy = check_input_pixels(c, "dy", n, 1, 1, CHECK_UNIFORM);
        t->dx = check_output_pixels(c, "dx", n, 1, 1, check_exact);
    }
}

static const struct check_op ops[] = {
    {SL_OP_leaky_relu_fwd, CHECK_LENGTHS, 1, shape, fwd, NULL, CHECK_CLOSE},
    {SL_OP_leaky_relu_bwd, CHECK_LENGTHS, 1, shape, bwd, NULL, CHECK_CLOSE},
};
const struct check_area check_activation = {ops, sizeof ops / sizeof *ops};
