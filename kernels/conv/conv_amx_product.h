/* One step of a tile on AMX: 32 products more for each sum of one or two registers of a times one or two of b. The sums
 * are registers 0 to 3, [a][b]; a is in 4 and 5, b, which is by pairs, in 6 and 7. */
#ifndef SL_KERNELS_CONV_AMX_PRODUCT_H
#define SL_KERNELS_CONV_AMX_PRODUCT_H

#include "kernels/conv/conv_amx_element.h"

/* Where the registers of a step lie. */
struct amx_operands {
    const sl_bf16 *a[2], *b[2];
    ptrdiff_t pitch;          /* bytes from one row of a to the next */
    ptrdiff_t a_part, b_part; /* elements from one part to the next */
};

/* Which parts a step multiplies, and which of them it loads first. */
struct amx_choice {
    bool loads_a, loads_b;
    int a, b;
};

static inline __attribute__((always_inline)) void amx_load_a(struct t_state *tiles, const int i,
                                                             const struct amx_operands *o, const struct amx_choice p)
{
    (void)tiles;
    if (p.loads_a && i == 0)
        t_load(tiles, 4, o->a[0] + p.a * o->a_part, o->pitch);
    if (p.loads_a && i == 1)
        t_load(tiles, 5, o->a[1] + p.a * o->a_part, o->pitch);
}

static inline __attribute__((always_inline)) void amx_load_b(struct t_state *tiles, const int i, const bool passing,
                                                             const struct amx_operands *o, const struct amx_choice p)
{
    const sl_bf16 *from = o->b[i] + p.b * o->b_part;
    (void)tiles;
    if (p.loads_b && i == 0 && passing)
        t_load_passing(tiles, 6, from, T_ROW_BYTES);
    else if (p.loads_b && i == 0)
        t_load(tiles, 6, from, T_ROW_BYTES);
    else if (p.loads_b && passing)
        t_load_passing(tiles, 7, from, T_ROW_BYTES);
    else if (p.loads_b)
        t_load(tiles, 7, from, T_ROW_BYTES);
}

/* The four products of a part of a and a part of b. Where b is passing, both products of a register of it follow each
 * other: so the load that takes its place has two more products to arrive. */
static inline __attribute__((always_inline)) void amx_multiply(struct t_state *tiles, const int as, const int bs,
                                                               const bool passing, const struct amx_operands *o,
                                                               const struct amx_choice p)
{
    amx_load_b(tiles, 0, passing, o, p);
    amx_load_a(tiles, 0, o, p);
    t_dot(tiles, 0, 4, 6);
    if (as > 1 && passing) {
        amx_load_a(tiles, 1, o, p);
        t_dot(tiles, 2, 5, 6);
    }
    if (bs > 1) {
        amx_load_b(tiles, 1, passing, o, p);
        t_dot(tiles, 1, 4, 7);
    }
    if (as > 1 && !passing) {
        amx_load_a(tiles, 1, o, p);
        t_dot(tiles, 2, 5, 6);
    }
    if (as > 1 && bs > 1)
        t_dot(tiles, 3, 5, 7);
}

/* high*low, high*high, low*high: so each part is loaded once. `passing`: b comes from the second-level cache and goes
 * past the first. */
static inline __attribute__((always_inline)) void amx_step(struct t_state *tiles, const int as, const int bs,
                                                           const bool passing, const struct amx_operands *o)
{
    const bool split = AMX_PARTS > 1;
    amx_multiply(tiles, as, bs, passing, o, (struct amx_choice){true, true, 0, split});
    if (split) {
        amx_multiply(tiles, as, bs, passing, o, (struct amx_choice){false, true, 0, 0});
        amx_multiply(tiles, as, bs, passing, o, (struct amx_choice){true, false, 1, 0});
    }
}
#endif
