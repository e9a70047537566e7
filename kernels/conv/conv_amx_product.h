/* One step of a tile on AMX: 32 products more for each sum of one or two registers of x times one or two of w. The sums
 * are registers 0 to 3, [x][w]; x is in 4 and 5, w in 6 and 7. */
#ifndef SL_KERNELS_CONV_AMX_PRODUCT_H
#define SL_KERNELS_CONV_AMX_PRODUCT_H

#include "kernels/conv/conv_amx_element.h"

/* Where the registers of a step lie. */
struct amx_operands {
    const sl_bf16 *x[2], *w[2];
    ptrdiff_t pitch;          /* bytes from one row of x to the next */
    ptrdiff_t x_part, w_part; /* elements from one part to the next */
};

/* Which parts a step multiplies, and which of them it loads first. */
struct amx_parts {
    bool loads_x, loads_w;
    int x, w;
};

static inline __attribute__((always_inline)) void amx_load_x(struct t_state *tiles, const int i,
                                                             const struct amx_operands *o, const struct amx_parts p)
{
    (void)tiles;
    if (p.loads_x && i == 0)
        t_load(tiles, 4, o->x[0] + p.x * o->x_part, o->pitch);
    if (p.loads_x && i == 1)
        t_load(tiles, 5, o->x[1] + p.x * o->x_part, o->pitch);
}

static inline __attribute__((always_inline)) void amx_load_w(struct t_state *tiles, const int i, const bool passing,
                                                             const struct amx_operands *o, const struct amx_parts p)
{
    const sl_bf16 *from = o->w[i] + p.w * o->w_part;
    (void)tiles;
    if (p.loads_w && i == 0 && passing)
        t_load_passing(tiles, 6, from, T_ROW_BYTES);
    else if (p.loads_w && i == 0)
        t_load(tiles, 6, from, T_ROW_BYTES);
    else if (p.loads_w && passing)
        t_load_passing(tiles, 7, from, T_ROW_BYTES);
    else if (p.loads_w)
        t_load(tiles, 7, from, T_ROW_BYTES);
}

/* The four products of a part of x and a part of w. Where w is passing, both products of a register of it follow each
 * other: so the load that takes its place has two more products to arrive. */
static inline __attribute__((always_inline)) void amx_multiply(struct t_state *tiles, const int xs, const int ws,
                                                               const bool passing, const struct amx_operands *o,
                                                               const struct amx_parts p)
{
    amx_load_w(tiles, 0, passing, o, p);
    amx_load_x(tiles, 0, o, p);
    t_dot(tiles, 0, 4, 6);
    if (xs > 1 && passing) {
        amx_load_x(tiles, 1, o, p);
        t_dot(tiles, 2, 5, 6);
    }
    if (ws > 1) {
        amx_load_w(tiles, 1, passing, o, p);
        t_dot(tiles, 1, 4, 7);
    }
    if (xs > 1 && !passing) {
        amx_load_x(tiles, 1, o, p);
        t_dot(tiles, 2, 5, 6);
    }
    if (xs > 1 && ws > 1)
        t_dot(tiles, 3, 5, 7);
}

/* high*low, high*high, low*high: so each part is loaded once. `passing`: w comes from the second-level cache and goes
 * past the first. */
static inline __attribute__((always_inline)) void amx_step(struct t_state *tiles, const int xs, const int ws,
                                                           const bool passing, const struct amx_operands *o)
{
    const bool split = AMX_PARTS > 1;
    amx_multiply(tiles, xs, ws, passing, o, (struct amx_parts){true, true, 0, split});
    if (split) {
        amx_multiply(tiles, xs, ws, passing, o, (struct amx_parts){false, true, 0, 0});
        amx_multiply(tiles, xs, ws, passing, o, (struct amx_parts){true, false, 1, 0});
    }
}
#endif
