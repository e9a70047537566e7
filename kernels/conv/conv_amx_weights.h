/* The direct backward-weights on AMX. README.md derives it.
 *
 * dw is cut into cells, and the sum over pixels into parts (cells.h); the neighbouring cells of a slice are computed
 * together, as one area. For an area, unit after unit of a part: x is laid out by pairs of pixels and dy by channels
 * (conv_amx_gather.h); chunk after chunk of positions is added to the sums in scratch, each register of 16 output
 * channels x 16 input channels of a tap, as they lie in dw.
 *
 * Where x has few channels, conv_amx_weights_few.h computes an area instead. */
#ifndef SL_KERNELS_CONV_AMX_WEIGHTS_H
#define SL_KERNELS_CONV_AMX_WEIGHTS_H

#include "kernels/contract.h"
#include "kernels/conv/amx_band.h"
#include "kernels/conv/cells.h"
#include "kernels/conv/conv_ahead.h"
#include "kernels/conv/conv_amx_gather.h"
#include "kernels/conv/conv_amx_gradient_tile.h"
#include "kernels/conv/conv_amx_plan.h"
#include "kernels/conv/conv_amx_weights_few.h"

enum {
    AMX_CHUNK = AMX_PARTS > 1 ? 6 : 14, /* steps of a chunk, at most */
    AMX_CELLS = 64,           /* wanted of all parts: cells are halved until there are so many, or they have one tile */
    AMX_PART = 4096,          /* pixels of a part, at least, for each leaves a gradient to be added */
    AMX_AREA_BYTES = 1 << 20, /* of sums of an area, at most */
    /* Of x and of dy. Fewer channels of floats are laid out for too few products: Winograd's method is faster there. */
    AMX_LEAST_CHANNELS = AMX_PARTS > 1 ? 128 : 1,
    AMX_AHEAD = 48, /* lines of each asked for in a product, at most: more would keep its own loads waiting */
};

struct amx_gradient {
    struct sl_cells cells;
    int32_t taps;
    bool few; /* channels of x: conv_amx_weights_few.h */
};

/* Whole units each. Threads that share pixels lay out each of them once; threads that share channels, x or dy twice. */
static int64_t amx_gradient_parts(const struct sl_conv2d *s)
{
    const struct sl_units all = amx_is_few(s) ? amx_lines_of(s).units : amx_planes_of(s).units;
    const int64_t units = sl_units_count(&all);
    const int64_t parts = sl_cells_parts((int64_t)s->n * s->oh * s->ow, AMX_PART);
    return parts < units ? parts : units;
}

static struct amx_gradient amx_gradient_plan(const struct sl_conv2d *s)
{
    struct amx_gradient g = {.taps = s->kh * s->kw, .few = amx_is_few(s)};
    int32_t k = sl_round_up(s->k, VL), c = s->c;
    const int64_t parts = amx_gradient_parts(s);
    g.cells = sl_cells_of(s->k, s->c, k, c);
    while (sl_cells_count(&g.cells) * parts < AMX_CELLS && (k > VL || c > VL)) {
        if (c > k)
            c = sl_cells_half(c, VL);
        else
            k = sl_cells_half(k, VL);
        g.cells = sl_cells_of(s->k, s->c, k, c);
    }
    sl_cells_limit(&g.cells, (size_t)k * (size_t)g.taps * (size_t)sl_round_up(s->c, VL) * sizeof(float),
                   AMX_AREA_BYTES);
    g.cells.parts = parts;
    return g;
}

/* Tiles of x of an area of c input channels. */
static int64_t amx_x_tiles(const struct amx_gradient *g, int32_t c)
{
    return (int64_t)g->taps * (sl_round_up(c, VL) / VL);
}

/* The scratch of an area, part by part. */
struct amx_room {
    size_t x, dy, sums, pixels, x_tiles; /* bytes */
};

static struct amx_room amx_room_of(const struct sl_conv2d *s, const struct amx_gradient *g, int32_t k, int32_t c)
{
    const struct amx_planes p = amx_planes_of(s);
    const size_t element = AMX_PARTS * sizeof(sl_bf16);
    return (struct amx_room){
        .x = amx_pairs_elements(&p, c) * element,
        .dy = amx_dy_elements(&p, k) * element,
        .sums = (size_t)(sl_round_up(k, VL) / VL) * (size_t)amx_x_tiles(g, c) * T_BYTES,
        .pixels = (size_t)p.steps * T_DEPTH * sizeof(int32_t),
        .x_tiles = (size_t)amx_x_tiles(g, c) * sizeof(sl_bf16 *),
    };
}

static bool amx_weights_need(const void *shape, struct sl_need *need)
{
    const struct sl_conv2d *s = shape;
    const struct amx_gradient g = amx_gradient_plan(s);
    const int32_t most = g.cells.most_rows * g.cells.k;
    const struct amx_lines lines = amx_lines_of(s);
    const struct amx_room room = amx_room_of(s, &g, most, s->c);
    *need = (struct sl_need){
        .units = sl_cells_units(&g.cells),
        .parts = sl_cells_partial(&g.cells),
        .scratch = g.few ? amx_few_scratch(&lines, most) : room.x + room.dy + room.sums + room.pixels + room.x_tiles,
        .state = sizeof g,
        .joins = true,
        .flops = AMX_TERMS * sl_conv2d_flops(s),
    };
    return s->c >= AMX_LEAST_CHANNELS && s->k >= AMX_LEAST_CHANNELS && need->scratch <= AMX_MOST_SCRATCH;
}

static int amx_weights_open(const void *shape, const struct sl_device *device, void *state)
{
    (void)device;
    *(struct amx_gradient *)state = amx_gradient_plan(shape);
    return SL_OK;
}

/* --- An area ------------------------------------------------------------------------------------------------------ */

struct amx_area {
    const struct sl_conv2d *s;
    const struct amx_gradient *g;
    struct amx_planes planes;
    struct t_state *tiles;
    int32_t k, k_tiles;           /* output channels: the first, tiles */
    int32_t c, channels, x_tiles; /* of x: the first, how many, tiles of all taps */
    ptrdiff_t x_part, dy_part;    /* of x and of dy: elements from one part to the next */
    sl_bf16 *x, *dy;
    float *sums; /* [tile of output channels][tile of x][16][16] */
    int32_t *pixels;
    struct sl_unit listed; /* the unit whose pixels these are; none at first */
    const sl_bf16 **x_at;  /* tiles of x: where each lies */
};

/* Tile i of x: tap after tap of 16 channels. */
static const sl_bf16 *amx_x_tile(const struct amx_area *area, int32_t i)
{
    const struct amx_planes *p = &area->planes;
    const int32_t tap = i % area->g->taps, tile = i / area->g->taps;
    return area->x + amx_tap_at(p, area->channels, tap / area->s->kw, tap % area->s->kw) + tile * p->tile;
}

/* Both sources of the unit after, to be prefetched. */
struct amx_ahead {
    struct direct_ahead x, dy;
};

static struct amx_ahead amx_unit_after(const struct amx_area *area, const struct sl_conv2d_bwd_weights *a,
                                       int64_t number, int64_t products)
{
    const struct sl_conv2d *s = area->s;
    if (number >= sl_units_count(&area->planes.units))
        return (struct amx_ahead){{0}, {0}};
    const struct sl_unit unit = sl_units_at(&area->planes.units, number);
    const int64_t begin = (int64_t)unit.p * s->stride_h - s->pad_top;
    const int64_t rows = (int64_t)(unit.rows - 1) * s->stride_h + s->kh;
    const struct sl_unit_source x = sl_unit_source(&unit, begin, begin + rows, s->h, s->w);
    const struct sl_unit_source dy = sl_unit_source(&unit, unit.p, unit.p + unit.rows, s->oh, s->ow);
    const ptrdiff_t element = sizeof(amx_element);
    const int32_t channels = area->channels;
    struct amx_ahead ahead = {
        direct_ahead_of((const amx_element *)a->x + x.first * s->xs + area->c, x.pixels,
                        channels + VL > s->xs ? s->xs * element : channels * element, s->xs * element, products),
        direct_ahead_of((const amx_element *)a->dy + dy.first * s->ys + area->k, dy.pixels,
                        amx_least(area->k_tiles * VL, s->ys - area->k) * element, s->ys * element, products)};
    ahead.x.lines = amx_least(ahead.x.lines, AMX_AHEAD);
    ahead.dy.lines = amx_least(ahead.dy.lines, AMX_AHEAD);
    return ahead;
}

/* Adds steps [begin, end) of a unit to all sums. */
static void amx_add_chunk(const struct amx_area *area, int32_t begin, int32_t end, bool first, struct amx_ahead *ahead)
{
    const ptrdiff_t row = area->x_tiles, pitch = area->planes.pitch;
    for (int32_t k = 0; k < area->k_tiles; k += 2)
        for (int32_t i = 0; i < area->x_tiles; i += 2) {
            struct amx_product p = {.operands = {.pitch = pitch * (ptrdiff_t)sizeof(sl_bf16),
                                                 .a_part = area->dy_part,
                                                 .b_part = area->x_part},
                                    .steps = end - begin,
                                    .first = first,
                                    .ahead = {&ahead->x, &ahead->dy}};
            const int ks = amx_least(area->k_tiles - k, 2), xs = amx_least(area->x_tiles - i, 2);
            for (int b = 0; b < xs; b++)
                p.operands.b[b] = area->x_at[i + b] + (ptrdiff_t)begin * T_ELEMENTS;
            for (int a = 0; a < ks; a++) {
                p.operands.a[a] = area->dy + (k + a) * VL * pitch + begin * T_DEPTH;
                for (int b = 0; b < xs; b++)
                    p.sums[a][b] = area->sums + ((k + a) * row + i + b) * T_SUMS;
            }
            amx_add_any(area->tiles, ks, xs, &p);
        }
}

/* Lists the pixels of a unit. They are the same for all units of a size. */
static void amx_list_unit(struct amx_area *area, const struct sl_unit *unit)
{
    if (unit->images != area->listed.images || unit->rows != area->listed.rows)
        amx_list_pixels(&area->planes, unit, area->pixels);
    area->listed = *unit;
}

/* Adds one unit to all sums, in chunks as even as possible. */
static void amx_add_unit(struct amx_area *area, const struct sl_conv2d_bwd_weights *a, int64_t number, bool first)
{
    const struct sl_conv2d *s = area->s;
    const struct amx_planes *p = &area->planes;
    const struct sl_unit unit = sl_units_at(&p->units, number);
    const int32_t steps = amx_steps_of(amx_unit_positions(p, unit.images, unit.rows));
    const int32_t chunks = (steps + AMX_CHUNK - 1) / AMX_CHUNK, chunk = (steps + chunks - 1) / chunks;
    const amx_element *x = a->x, *dy = a->dy;
    amx_gather_x(p, x + area->c, &unit, area->channels, area->x);
    amx_list_unit(area, &unit);
    amx_gather_dy(p, dy + (unit.n * s->oh + unit.p) * s->ow * s->ys + area->k, area->pixels, steps,
                  amx_least(s->k - area->k, area->k_tiles * VL), area->dy);
    const int64_t products = (int64_t)chunks * ((area->k_tiles + 1) / 2) * ((area->x_tiles + 1) / 2);
    struct amx_ahead ahead = amx_unit_after(area, a, number + 1, products);
    for (int32_t t = 0; t < steps; t += chunk)
        amx_add_chunk(area, t, amx_least(t + chunk, steps), first && t == 0, &ahead);
}

/* Copies the sums of an area to where they belong in dw. */
static void amx_store_sums(const struct amx_area *area, float *dw)
{
    const int64_t c = area->s->c, filter = area->g->taps * c;
    const float *sums = area->sums;
    for (int32_t k = 0; k < area->k_tiles; k++)
        for (int32_t i = 0; i < area->x_tiles; i++, sums += T_SUMS) {
            const int32_t first = area->k + k * VL, channel = i / area->g->taps * VL;
            float *to = dw + first * filter + i % area->g->taps * c + area->c + channel;
            const int32_t lanes = amx_least(area->channels - channel, VL);
            for (int32_t j = 0; j < amx_least(area->s->k - first, VL); j++)
                v_store_head(to + j * filter, v_load(sums + j * VL), lanes);
        }
}

/* One area of dw, over the units of a part. */
static void amx_one_area(const struct sl_conv2d *s, const struct amx_gradient *g, const struct sl_conv2d_bwd_weights *a,
                         int64_t part, const struct sl_area *at, struct t_state *tiles, void *scratch)
{
    const int32_t k = at->k_end - at->k, c = at->c_end - at->c;
    const struct amx_room room = amx_room_of(s, g, k, c);
    char *from = scratch;
    const struct amx_planes planes = amx_planes_of(s);
    struct amx_area area = {
        .s = s,
        .g = g,
        .planes = planes,
        .tiles = tiles,
        .k = at->k,
        .k_tiles = sl_round_up(k, VL) / VL,
        .c = at->c,
        .channels = c,
        .x_tiles = (int32_t)amx_x_tiles(g, c),
        .x_part = (ptrdiff_t)amx_pairs_elements(&planes, c),
        .dy_part = (ptrdiff_t)amx_dy_elements(&planes, k),
        .x = (void *)from,
        .dy = (void *)(from + room.x),
        .sums = (void *)(from + room.x + room.dy),
        .pixels = (void *)(from + room.x + room.dy + room.sums),
        .x_at = (void *)(from + room.x + room.dy + room.sums + room.pixels),
    };
    for (int32_t i = 0; i < area.x_tiles; i++)
        area.x_at[i] = amx_x_tile(&area, i);
    const int64_t units = sl_units_count(&area.planes.units), begin = units * part / g->cells.parts;
    for (int64_t i = begin; i < units * (part + 1) / g->cells.parts; i++)
        amx_add_unit(&area, a, i, i == begin);
    amx_store_sums(&area, a->dw + (size_t)part * sl_conv2d_weights(s));
}

static void amx_weights_slice(const void *shape, const void *args, const struct sl_work *work)
{
    const struct amx_gradient *g = work->state;
    struct sl_area area;
    struct t_state tiles;
    assert(sl_conv2d_is_sound(shape) && sl_work_fits(work, amx_weights_need, shape));
    t_open(&tiles);
    for (int64_t unit = work->begin, next; unit < work->end; unit = next) {
        next = unit + sl_cells_join(&g->cells, unit, work->end, &area);
        const int64_t part = unit / sl_cells_count(&g->cells);
        if (g->few)
            amx_few_area(shape, args, &area, part, g->cells.parts, &tiles, work->scratch);
        else
            amx_one_area(shape, g, args, part, &area, &tiles, work->scratch);
    }
    t_close();
}

const struct sl_kernel AMX_NAME(sl_conv2d_bwd_weights) = {
    .element = AMX_ELEMENT,
    .inexact = AMX_PARTS > 1,
    .need = amx_weights_need,
    .open = amx_weights_open,
    .run = amx_weights_slice,
};
#endif
