/* What forward and backward-data on AMX have in common: the plan that follows from a shape. */
#ifndef SL_KERNELS_CONV_AMX_PLAN_H
#define SL_KERNELS_CONV_AMX_PLAN_H

#include "kernels/conv/conv_amx_tile.h"
#include "kernels/kernels.h"

enum {
    AMX_MOST_SCRATCH = 1 << 28,
    AMX_SUMS = 2 * SL_AMX_PIXELS * AMX_BLOCK, /* of a tile */
};

/* What both passes have become. */
struct amx {
    struct sl_amx_band band;
    int32_t k; /* output channels */
    const amx_element *x;
    const sl_bf16 *weights;
    const float *bias;
    float slope;
    amx_element *y;
    float *moments;
    int32_t pool;   /* 2: y has the maxima of 2 x 2 outputs; 1: the outputs */
    int32_t groups; /* of blocks: what is handed out is a group for the pixels of a unit */
};

/* The band of a unit and the weights should stay in the second-level cache together. Window.h counts in floats. */
static struct sl_units_goal amx_goal(void)
{
    return (struct sl_units_goal){.bytes = 512 << 10, .most = 1024, .least = 512, .units = 64};
}

static int32_t amx_blocks(int32_t k)
{
    return (int32_t)(((int64_t)k + AMX_BLOCK - 1) / AMX_BLOCK);
}

/* Where units do not fill a node of many cores, their blocks are shared out as well: who takes a part of them copies
 * the band all the same. */
static struct amx amx_plan(const struct sl_window *w, int32_t k)
{
    struct amx a = {.band = sl_amx_band_plan(w, AMX_PARTS), .k = k, .slope = 1.0f, .pool = 1, .groups = 1};
    const int64_t units = sl_units_count(&w->units);
    while (2 * a.groups <= amx_blocks(k) && !sl_units_fill(units * a.groups))
        a.groups *= 2;
    return a;
}

static struct amx amx_forward(const struct sl_conv2d *s)
{
    const struct sl_units_goal goal = amx_goal();
    const struct sl_window w = sl_window_forward(s, &goal);
    return amx_plan(&w, s->k);
}

static struct amx amx_backward(const struct sl_conv2d *s)
{
    const struct sl_units_goal goal = amx_goal();
    const struct sl_window w = sl_window_backward(s, &goal);
    return amx_plan(&w, s->c);
}

/* Steps of a kernel row; all steps of a pair of phases; of all pairs. */
static int32_t amx_row_steps(const struct sl_amx_band *b, const struct sl_amx_taps *taps)
{
    return (taps->columns * b->pitch + T_DEPTH - 1) / T_DEPTH;
}

static int64_t amx_steps(const struct sl_amx_band *b, const struct sl_amx_taps *taps)
{
    return (int64_t)taps->rows * amx_row_steps(b, taps);
}

static int64_t amx_all_steps(const struct sl_amx_band *b)
{
    int64_t steps = 0;
    struct sl_amx_taps taps = sl_amx_first_taps(b);
    do
        steps += amx_steps(b, &taps);
    while (sl_amx_next_taps(b, &taps));
    return steps;
}

/* Tiles of channels in the block that begins at channel `first`. */
static int amx_block_tiles(const struct amx *a, int32_t first)
{
    return a->k - first > AMX_BLOCK / 2 ? 2 : 1;
}

static size_t amx_packed(const struct amx *a)
{
    return (size_t)sl_round_up(a->k, AMX_BLOCK / 2) / (AMX_BLOCK / 2) * (size_t)amx_all_steps(&a->band) * AMX_PARTS *
           T_BYTES;
}

/* Blocks that take turns at each two places, where a sum has so many steps. One, where its weights stay in the
 * first-level cache from place to place; else as many as stay in the second: then it is the source that stays in the
 * first. Floats read too much of both. */
static int32_t amx_turns(const struct amx *a, int64_t steps)
{
    enum { NEAR = 24 << 10, FAR = 1 << 20 };
    const int64_t bytes = steps * AMX_PARTS * 2 * T_BYTES;
    if (AMX_PARTS > 1 || bytes <= NEAR || bytes > FAR)
        return 1;
    return amx_least(amx_blocks(a->k), (int32_t)(FAR / bytes));
}

/* Where a pool follows, the outputs of a unit wait for it, of all blocks that take turns. */
static size_t amx_waiting(const struct amx *a)
{
    const size_t pixels = (size_t)sl_units_pixels(&a->band.window.units);
    return a->pool > 1 ? (size_t)amx_turns(a, amx_all_steps(&a->band)) * pixels * AMX_BLOCK * sizeof(amx_element) : 0;
}

/* Does the row take it, and what does it need? `flops`: of the formula. Short sums of floats are left to the rows of
 * vectors: storing them takes longer than multiplying. */
static bool amx_need(const struct amx *a, double flops, struct sl_need *need)
{
    enum { LEAST_TERMS = AMX_PARTS > 1 ? 128 : 1 };
    const struct sl_window *w = &a->band.window;
    const int64_t units = sl_units_count(&w->units);
    *need = (struct sl_need){
        .units = units * a->groups,
        .joins = a->groups > 1,
        .together = a->groups,
        .records = units,
        .scratch = (size_t)amx_blocks(a->k) * (AMX_BLOCK * sizeof(float) + sizeof(struct amx_moments)) +
                   2 * AMX_SUMS * sizeof(float) + sl_amx_places_scratch(&a->band) + sl_amx_band_scratch(&a->band) +
                   amx_waiting(a),
        .state = sizeof *a,
        .pack_units = amx_blocks(a->k),
        .packed = amx_packed(a),
        .flops = AMX_TERMS * flops,
    };
    return (int64_t)w->rows.kernel * w->columns.kernel * w->c >= LEAST_TERMS && need->scratch <= AMX_MOST_SCRATCH;
}
#endif
