/* The direct convolution on AMX, forward and backward-data: activations of bf16 or of floats, weights packed as their
 * parts (conv_amx_element.h), sums in float.
 *
 * Both passes are one computation (README.md): the source under a unit is copied into a band (amx_band.h); tiles of 32
 * pixels x 32 output channels are summed over kernel rows and over steps of 32 elements of a kernel row's run.
 *
 * Packed weights are [block of 32 output channels][pair of phases][kernel row][step][part][tile of 16 channels]
 * [register]. A register holds pairs of elements of the run: [16 pairs][16 channels][2]; past the end of a run, and
 * past the last channel, weights are zero. */
#ifndef SL_KERNELS_CONV_AMX_H
#define SL_KERNELS_CONV_AMX_H

#include "kernels/contract.h"
#include "kernels/conv/conv.h"
#include "kernels/conv/conv_ahead.h"
#include "kernels/conv/conv_amx_pack.h"
#include "kernels/kernels.h"

/* --- The work on one slice -------------------------------------------------------------------------------------- */

struct amx_job {
    const struct amx *a;
    struct t_state *tiles;
    const float *bias;           /* with zeros up to a whole block */
    float *sums[2];              /* of a tile: those being added, those that wait */
    int32_t at[2][AMX_ROWS];     /* where they lie in y */
    int turn;                    /* which is which */
    struct amx_output waiting;   /* the output of the tile before */
    int32_t begin, end;          /* of the output channels: whole blocks, but for the last */
    struct amx_moments *moments; /* of each block, while a unit is computed */
    sl_bf16 *band;
    const sl_bf16 *source; /* of the unit: the band, or x in its place */
    amx_element *outputs;  /* [block that takes turns][pixel of the unit][AMX_BLOCK], where a pool follows */
    struct sl_amx_place *places;
    struct sl_unit listed;     /* the unit whose places these are, */
    int32_t count;             /* and how many; 0: none yet */
    struct direct_ahead ahead; /* the source of the next unit */
};

/* One or two places x one block of output channels, which begins at channel `first`, and at y in the unit's first
 * pixel. The output of the tile before is stored meanwhile, its own waits. */
static void amx_one_block(struct amx_job *job, const struct amx_piece *piece, int places,
                          const struct sl_amx_place *place, int32_t first, amx_element *y)
{
    const struct amx *a = job->a;
    const int channels = amx_block_tiles(a, first);
    int32_t *at = job->at[job->turn];
    float *sums = job->sums[job->turn];
    for (int i = 0; i < places; i++)
        memcpy(at + i * SL_AMX_PIXELS, place[i].y, sizeof place->y);
    const struct amx_output present = {.sums = sums,
                                       .bias = job->bias + first,
                                       .slope = a->slope,
                                       .at = at,
                                       .rows = places * SL_AMX_PIXELS,
                                       .lanes = amx_least(a->band.window.ys - first, channels * AMX_BLOCK / 2),
                                       .y = y,
                                       .moments = a->moments ? job->moments + first / AMX_BLOCK : NULL};
    amx_tile_any(job->tiles, places, channels, piece, place, &job->waiting, &present, sums, &job->ahead);
    job->waiting = present;
    job->turn = !job->turn;
}

static void amx_store_waiting(struct amx_job *job)
{
    amx_start_moments(&job->waiting);
    for (int32_t i = 0; i < job->waiting.rows; i++)
        amx_store_row(&job->waiting, i);
    job->waiting.rows = 0;
}

/* Where the outputs of a block of those that take turns wait for their pool. */
static amx_element *amx_outputs(const struct amx_job *job, int32_t block)
{
    return job->outputs + (ptrdiff_t)block * sl_units_pixels(&job->a->band.window.units) * AMX_BLOCK;
}

/* The maxima of the windows of a unit, of the block that begins at channel `first`; y is the unit's first window. */
static void amx_pool_block(const struct amx_job *job, const struct sl_unit *unit, const amx_element *outputs,
                           int32_t first, amx_element *y)
{
    const struct sl_window *w = &job->a->band.window;
    const int32_t ow = w->columns.output, lanes = amx_least(w->ys - first, AMX_BLOCK);
    for (int32_t p = 0; p < unit->images * unit->rows; p += 2)
        for (int32_t q = 0; q < ow; q += 2) {
            const amx_element *from = outputs + ((ptrdiff_t)p * ow + q) * AMX_BLOCK;
            vf low, high;
            amx_load(from, &low, &high);
            for (int i = 1; i < 4; i++) {
                vf a, b;
                amx_load(from + (i / 2 * ow + i % 2) * AMX_BLOCK, &a, &b);
                low = v_max(a, low);
                high = v_max(b, high);
            }
            amx_store(y + ((ptrdiff_t)p / 2 * (ow / 2) + q / 2) * w->ys + first, low, high, lanes);
        }
}

/* Lists the places of a pair of phases, with elements of y in place of pixels; how many there are. Where there is but
 * one pair, they are the same for all units of a size. */
static int32_t amx_list(struct amx_job *job, const struct sl_unit *unit, const struct sl_amx_taps *taps)
{
    const struct sl_amx_band *b = &job->a->band;
    const bool one = b->window.rows.spacing == 1 && b->window.columns.spacing == 1;
    if (one && job->count && unit->images == job->listed.images && unit->rows == job->listed.rows)
        return job->count;
    job->count = sl_amx_places(b, unit, taps, job->places);
    job->listed = *unit;
    for (int32_t i = 0; i < job->count; i++)
        for (int j = 0; j < SL_AMX_PIXELS; j++)
            job->places[i].y[j] *= job->a->pool > 1 ? AMX_BLOCK : b->window.ys;
    return job->count;
}

/* All pixels of a pair of phases; `before`: steps of the pairs before it. */
static void amx_one_pair(struct amx_job *job, const struct sl_unit *unit, const struct sl_amx_taps *taps,
                         int64_t before, amx_element *y)
{
    const struct amx *a = job->a;
    const struct sl_amx_band *b = &a->band;
    const int32_t count = amx_list(job, unit, taps);
    const int64_t all = amx_all_steps(b);
    struct amx_piece piece = {.band = job->source,
                              .rows = taps->rows,
                              .steps = amx_row_steps(b, taps),
                              .row = (ptrdiff_t)b->columns * b->pitch,
                              .part = b->part,
                              .pixel = (ptrdiff_t)b->window.columns.stride * b->pitch * (ptrdiff_t)sizeof *job->band};
    const int32_t steps = piece.rows * piece.steps, turns = amx_turns(a, steps);
    piece.passing = turns > 1;
    piece.stores = steps ? (AMX_ROWS + steps - 1) / steps : 0;
    piece.asks = steps ? (job->ahead.lines + steps - 1) / steps : 0;
    for (int32_t first = job->begin, next; first < job->end; first = next) {
        next = amx_least(job->end, first + turns * AMX_BLOCK);
        for (int32_t at = 0; at < count; at += 2)
            for (int32_t block = first; block < next; block += AMX_BLOCK) {
                const int64_t tiles = block / (AMX_BLOCK / 2), here = amx_block_tiles(a, block);
                piece.weights = a->weights + (tiles * all + here * before) * AMX_PARTS * T_ELEMENTS;
                amx_one_block(job, &piece, amx_least(count - at, 2), job->places + at, block,
                              a->pool > 1 ? amx_outputs(job, (block - first) / AMX_BLOCK) : y + block);
            }
        if (a->pool > 1)
            amx_store_waiting(job);
        for (int32_t block = first; a->pool > 1 && block < next; block += AMX_BLOCK)
            amx_pool_block(job, unit, amx_outputs(job, (block - first) / AMX_BLOCK), block, y);
    }
    amx_store_waiting(job);
}

/* The lanes that no block writes. */
static void amx_clear_lanes(const struct amx *a, int64_t pixels, amx_element *y)
{
    const int32_t ys = a->band.window.ys, written = sl_round_up(a->k, AMX_BLOCK / 2);
    for (int64_t t = 0; t < pixels && written < ys; t++)
        memset(y + t * ys + written, 0, (size_t)(ys - written) * sizeof *y);
}

/* The source of unit `next`, to be prefetched; nothing past the end of the slice. */
static struct direct_ahead amx_next(const struct amx *a, int64_t next, int64_t end)
{
    const struct sl_window *w = &a->band.window;
    const int64_t blocks =
        (sl_units_pixels(&w->units) + 2 * SL_AMX_PIXELS - 1) / (2 * SL_AMX_PIXELS) * amx_blocks(a->k);
    if (next >= end)
        return direct_ahead_of(NULL, 0, 0, 0, blocks);
    const struct sl_unit unit = sl_units_at(&w->units, next);
    const struct sl_unit_source source = sl_amx_band_source(&a->band, &unit);
    const ptrdiff_t bytes = (ptrdiff_t)w->xs * (ptrdiff_t)sizeof *a->x;
    return direct_ahead_of(a->x + source.first * w->xs, source.pixels, bytes, bytes, blocks);
}

/* The scratch of a slice. */
static struct amx_job amx_begin(const struct amx *a, struct t_state *tiles, void *scratch)
{
    const size_t biases = (size_t)sl_round_up(a->k, AMX_BLOCK);
    float *bias = scratch;
    float *sums = bias + biases;
    struct amx_moments *moments = (void *)(sums + 2 * AMX_SUMS);
    char *places = (char *)(moments + amx_blocks(a->k));
    memset(bias, 0, biases * sizeof *bias);
    if (a->bias)
        memcpy(bias, a->bias, (size_t)a->k * sizeof *bias);
    return (struct amx_job){.a = a,
                            .tiles = tiles,
                            .bias = bias,
                            .waiting = {.bias = bias},
                            .sums = {sums, sums + AMX_SUMS},
                            .moments = moments,
                            .places = (void *)places,
                            .band = (void *)(places + sl_amx_places_scratch(&a->band)),
                            .outputs =
                                (void *)(places + sl_amx_places_scratch(&a->band) + sl_amx_band_scratch(&a->band))};
}

/* The band of a unit. Where it would be a mere copy of bf16, x takes its place. */
static void amx_bring_source(struct amx_job *job, const struct sl_unit *unit)
{
    const struct amx *a = job->a;
    job->source = job->band;
    if (AMX_PARTS == 1 && sl_amx_band_is_source(&a->band, unit))
        job->source = (const void *)(a->x + sl_amx_band_source(&a->band, unit).first * a->band.pitch);
    else
        sl_amx_band_copy(&a->band, a->x, sizeof *a->x, unit, amx_lay, job->band);
}

/* Groups [begin, end) of a unit. */
static void amx_unit(struct amx_job *job, int64_t number, int32_t begin, int32_t end)
{
    const struct amx *a = job->a;
    const struct sl_window *w = &a->band.window;
    const struct sl_unit unit = sl_units_at(&w->units, number);
    const int64_t first = (unit.n * w->rows.output + unit.p) * w->columns.output, windows = a->pool * a->pool;
    const int64_t pixels = (int64_t)unit.images * unit.rows * w->columns.output, blocks = amx_blocks(a->k);
    const bool last = end == a->groups;
    amx_element *y = a->y + first / windows * w->ys;
    struct sl_amx_taps taps = sl_amx_first_taps(&a->band);
    int64_t before = 0;
    job->begin = (int32_t)(blocks * begin / a->groups) * AMX_BLOCK;
    job->end = last ? a->k : (int32_t)(blocks * end / a->groups) * AMX_BLOCK;
    amx_bring_source(job, &unit);
    do {
        amx_one_pair(job, &unit, &taps, before, y);
        before += amx_steps(&a->band, &taps);
    } while (sl_amx_next_taps(&a->band, &taps));
    if (last)
        amx_clear_lanes(a, pixels / windows, y);
    if (a->moments)
        amx_moments_record(job->moments, (int32_t)pixels, a->k, job->begin, last ? w->ys : job->end, w->ys,
                           a->moments + (size_t)number * sl_moments_size(w->ys));
}

static void amx_slice(const struct amx *a, const struct sl_work *work)
{
    struct t_state tiles;
    struct amx_job job = amx_begin(a, &tiles, work->scratch);
    t_open(&tiles);
    for (int64_t i = work->begin, next; i < work->end; i = next) {
        const int64_t number = i / a->groups, left = (number + 1) * a->groups;
        next = left < work->end ? left : work->end;
        job.ahead = amx_next(a, number + 1, (work->end + a->groups - 1) / a->groups);
        amx_unit(&job, number, (int32_t)(i % a->groups), (int32_t)(next - number * a->groups));
    }
    t_close();
}

/* --- conv2d_fwd ------------------------------------------------------------------------------------------------ */

static bool amx_forward_need(const void *shape, struct sl_need *need)
{
    const struct amx a = amx_forward(shape);
    return amx_need(&a, sl_conv2d_flops(shape), need);
}

static int amx_forward_open(const void *shape, const struct sl_device *device, void *state)
{
    (void)device;
    *(struct amx *)state = amx_forward(shape);
    return SL_OK;
}

static void amx_forward_pack(const void *shape, const float *weights, void *packed, const struct sl_work *work)
{
    const struct sl_conv2d *s = shape;
    const struct amx_filter filter = {
        .weights = weights, .channel = (ptrdiff_t)s->kh * s->kw * s->c, .source = 1, .tap = s->c};
    amx_pack(work->state, &filter, packed, work);
}

static void amx_forward_run(const struct sl_conv2d_fwd *f, const struct sl_work *work)
{
    struct amx a = *(const struct amx *)work->state;
    a.x = f->x;
    a.weights = (const void *)f->weights;
    a.bias = f->bias;
    a.slope = f->slope;
    a.y = f->y;
    a.moments = f->moments;
    amx_slice(&a, work);
}

static void amx_forward_slice(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_conv2d_fwd *f = args;
    (void)shape; /* the state holds what follows from it */
    assert(sl_conv2d_is_sound(shape) && sl_work_fits(work, amx_forward_need, shape));
    assert(sl_are_apart(AMX_ELEMENT, f->x, sl_conv2d_inputs(shape), f->y, sl_conv2d_outputs(shape)));
    amx_forward_run(f, work);
}

/* --- conv2d_bwd_data ------------------------------------------------------------------------------------------- */

static bool amx_backward_need(const void *shape, struct sl_need *need)
{
    const struct amx a = amx_backward(shape);
    return amx_need(&a, sl_conv2d_flops(shape), need);
}

static int amx_backward_open(const void *shape, const struct sl_device *device, void *state)
{
    (void)device;
    *(struct amx *)state = amx_backward(shape);
    return SL_OK;
}

static void amx_backward_pack(const void *shape, const float *weights, void *packed, const struct sl_work *work)
{
    const struct sl_conv2d *s = shape;
    const struct amx_filter filter = {
        .weights = weights, .channel = 1, .source = (ptrdiff_t)s->kh * s->kw * s->c, .tap = s->c, .turned = true};
    amx_pack(work->state, &filter, packed, work);
}

static void amx_backward_slice(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_conv2d_bwd_data *b = args;
    struct amx a = *(const struct amx *)work->state;
    (void)shape; /* the state holds what follows from it */
    assert(sl_conv2d_is_sound(shape) && sl_work_fits(work, amx_backward_need, shape));
    assert(sl_are_apart(AMX_ELEMENT, b->dy, sl_conv2d_outputs(shape), b->dx, sl_conv2d_inputs(shape)));
    a.x = b->dy;
    a.weights = (const void *)b->weights;
    a.y = b->dx;
    amx_slice(&a, work);
}

const struct sl_kernel AMX_NAME(sl_conv2d_fwd) = {
    .element = AMX_ELEMENT,
    .inexact = AMX_PARTS > 1,
    .need = amx_forward_need,
    .open = amx_forward_open,
    .pack = amx_forward_pack,
    .run = amx_forward_slice,
};

const struct sl_kernel AMX_NAME(sl_conv2d_bwd_data) = {
    .element = AMX_ELEMENT,
    .inexact = AMX_PARTS > 1,
    .need = amx_backward_need,
    .open = amx_backward_open,
    .pack = amx_backward_pack,
    .run = amx_backward_slice,
};
#endif
