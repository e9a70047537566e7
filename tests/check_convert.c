/* From floats to bf16: equal bits, for every bf16 and for the floats that are hard to round. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kernels/convert/convert.h"
#include "tests/check.h"
#include "tests/check_flat.h"

enum { EVERY = 1 << 16, LENGTHS = CHECK_LENGTHS + 1 }; /* one case has every bf16 */

static const void *shape(size_t index, char *name, size_t size)
{
    static struct sl_flat s;
    s = (struct sl_flat){.n = index == CHECK_LENGTHS ? EVERY : check_length(index, CHECK_ACTIVATIONS)};
    snprintf(name, size, "n%lld", (long long)s.n);
    return &s;
}

static float of_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* A bf16, what lies half way to the next, and their neighbours: ties to even both ways, the largest numbers and those
 * beyond, infinities, subnormal numbers, and NaNs whose upper bits alone would be an infinity. */
static float hard(uint32_t random)
{
    static const uint32_t low[] = {0x0000, 0x0001, 0x7fff, 0x8000, 0x8001, 0xffff};
    static const uint32_t high[] = {0x0000, 0x0001, 0x007f, 0x0080, 0x3f80, 0x3f81,
                                    0x7f7e, 0x7f7f, 0x7f80, 0x7f81, 0x7fff};
    const uint32_t chosen = random % 4 ? high[random / 4 % (sizeof high / sizeof *high)] : random >> 16 & 0x7fff;
    return of_bits((random >> 15 & 1) << 31 | chosen << 16 | low[random / 64 % (sizeof low / sizeof *low)]);
}

static void to_bf16(struct check_case *c)
{
    const size_t n = (size_t)check_length_of(c);
    struct sl_to_bf16 *t = (void *)c->args.bytes;
    float *x = check_input_bytes(c, "x", n * sizeof *x, sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = n == EVERY    ? of_bits((uint32_t)i << 16)
               : c->measured ? check_draw(c, CHECK_UNIFORM)
                             : hard(check_random(c));
    check_freeze(c, x);
    t->x = x;
    t->y = check_output_bf16(c, "y", n);
}

static const struct check_op ops[] = {
    {SL_OP_to_bf16, LENGTHS, 1, shape, to_bf16, NULL, CHECK_ALL_EQUAL},
};
const struct check_area check_convert = {ops, sizeof ops / sizeof *ops};
