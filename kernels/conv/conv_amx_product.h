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

/* Part x_part of x times part w_part of w, after the loads that `loads_x` and `loads_w` ask for. */
static inline __attribute__((always_inline)) void amx_multiply(struct t_state *tiles, const int xs, const int ws,
                                                               const struct amx_operands *o, const bool loads_x,
                                                               const int x_part, const bool loads_w, const int w_part)
{
    (void)tiles;
    if (loads_w)
        t_load(tiles, 6, o->w[0] + w_part * o->w_part, T_ROW_BYTES);
    if (loads_x)
        t_load(tiles, 4, o->x[0] + x_part * o->x_part, o->pitch);
    t_dot(tiles, 0, 4, 6);
    if (ws > 1) {
        if (loads_w)
            t_load(tiles, 7, o->w[1] + w_part * o->w_part, T_ROW_BYTES);
        t_dot(tiles, 1, 4, 7);
    }
    if (xs > 1) {
        if (loads_x)
            t_load(tiles, 5, o->x[1] + x_part * o->x_part, o->pitch);
        t_dot(tiles, 2, 5, 6);
    }
    if (xs > 1 && ws > 1)
        t_dot(tiles, 3, 5, 7);
}

/* high*low, high*high, low*high: so each part is loaded once. */
static inline __attribute__((always_inline)) void amx_step(struct t_state *tiles, const int xs, const int ws,
                                                           const struct amx_operands *o)
{
    const bool split = AMX_PARTS > 1;
    amx_multiply(tiles, xs, ws, o, true, 0, true, split);
    if (split) {
        amx_multiply(tiles, xs, ws, o, false, 0, true, 0);
        amx_multiply(tiles, xs, ws, o, true, 1, false, 0);
    }
}
#endif
