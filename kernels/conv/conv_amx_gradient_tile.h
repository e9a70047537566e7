/* The tile of backward-weights on AMX: one or two registers of 16 output channels of dy times one or two of 16 channels
 * of x. */
#ifndef SL_KERNELS_CONV_AMX_GRADIENT_TILE_H
#define SL_KERNELS_CONV_AMX_GRADIENT_TILE_H

#include "kernels/conv/conv_ahead.h"
#include "kernels/conv/conv_amx_product.h"

/* Adds to one or two registers of a times one or two of b: four sums at most. a is dy, and b is x; the other way round
 * where x has few channels. */
struct amx_product {
    struct amx_operands operands;  /* of the first step */
    float *sums[2][2];             /* of a, of b */
    int32_t steps;                 /* of a chunk */
    bool first;                    /* the sums begin from zero */
    struct direct_ahead *ahead[2]; /* x and dy of the next unit */
};

/* Asks, after a step, for its share of the sums of the next two tiles of x, which follow in memory. */
static inline void amx_ask_sums(const struct amx_product *p, int32_t step)
{
    enum { LINE = 64, LINES = 2 * T_BYTES / LINE };
    for (int32_t i = LINES * step / p->steps; i < LINES * (step + 1) / p->steps; i++)
        for (int k = 0; k < 2; k++)
            __builtin_prefetch((const char *)(p->sums[k][0] + 2 * T_SUMS) + i * LINE, 1);
}

/* The sums of a product into registers 0 to 3, ... */
static inline __attribute__((always_inline)) void amx_take_sums(struct t_state *tiles, const int as, const int bs,
                                                                const struct amx_product *p)
{
    (void)tiles;
    if (p->first) {
        t_zero(tiles, 0);
        t_zero(tiles, 1);
        t_zero(tiles, 2);
        t_zero(tiles, 3);
        return;
    }
    t_load(tiles, 0, p->sums[0][0], T_ROW_BYTES);
    if (bs > 1)
        t_load(tiles, 1, p->sums[0][1], T_ROW_BYTES);
    if (as > 1)
        t_load(tiles, 2, p->sums[1][0], T_ROW_BYTES);
    if (as > 1 && bs > 1)
        t_load(tiles, 3, p->sums[1][1], T_ROW_BYTES);
}

/* ... and back. */
static inline __attribute__((always_inline)) void amx_leave_sums(struct t_state *tiles, const int as, const int bs,
                                                                 const struct amx_product *p)
{
    (void)tiles;
    t_store(tiles, 0, p->sums[0][0], T_ROW_BYTES);
    if (bs > 1)
        t_store(tiles, 1, p->sums[0][1], T_ROW_BYTES);
    if (as > 1)
        t_store(tiles, 2, p->sums[1][0], T_ROW_BYTES);
    if (as > 1 && bs > 1)
        t_store(tiles, 3, p->sums[1][1], T_ROW_BYTES);
}

static inline __attribute__((always_inline)) void amx_add(struct t_state *tiles, const int ks, const int xs,
                                                          const struct amx_product *p)
{
    amx_take_sums(tiles, ks, xs, p);
    struct amx_operands o = p->operands;
    int32_t asks[2];
    for (int j = 0; j < 2; j++)
        asks[j] = (p->ahead[j]->lines + p->steps - 1) / p->steps;
    for (int32_t i = 0; i < p->steps; i++) {
        amx_step(tiles, ks, xs, AMX_PARTS == 1, &o);
        if (xs > 1 && ks > 1)
            amx_ask_sums(p, i);
        for (int j = 0; j < 2; j++)
            direct_prefetch_lines(p->ahead[j], asks[j]);
        for (int j = 0; j < 2; j++) {
            o.a[j] += T_DEPTH;
            o.b[j] += T_ELEMENTS;
        }
    }
    amx_leave_sums(tiles, ks, xs, p);
}

static void amx_add_any(struct t_state *tiles, int ks, int xs, const struct amx_product *p)
{
    if (ks > 1 && xs > 1)
        amx_add(tiles, 2, 2, p);
    else if (ks > 1)
        amx_add(tiles, 2, 1, p);
    else if (xs > 1)
        amx_add(tiles, 1, 2, p);
    else
        amx_add(tiles, 1, 1, p);
}
#endif
