/* Winograd's backward-weights, as a template over the names of simd/vec_*.h. README.md derives it.
 *
 * dw is cut into cells (cells.h), as in the direct method, and the neighbouring cells of a slice are joined to an area.
 * For an area, block after block of the image's tiles: x and dy under each tile are transformed, all channels of the
 * area, to [frequency][panel][tile][panel]; then, frequency after frequency, register tiles add the block to the sums
 * in scratch, [frequency][panel of x][output channel][panel of x]. At the end the sums are transformed to taps of dw.
 *
 * How many tiles a block has, and into how many parts the sum over tiles is cut, follows from the shape alone. So each
 * sum adds the same tiles in the same order, whatever else its area has, and no slicing changes a bit. */
#ifndef SL_KERNELS_CONV_WINOGRAD_WEIGHTS_H
#define SL_KERNELS_CONV_WINOGRAD_WEIGHTS_H

#include "kernels/contract.h"
#include "kernels/conv/cells.h"
#include "kernels/conv/conv.h"
#include "kernels/conv/conv_winograd_gradient_form.h"
#include "kernels/conv/conv_winograd_gradient_tile.h"
#include "kernels/kernels.h"

enum {
    WINOGRAD_GRADIENT_CELLS = 64, /* wanted of all parts: cells are halved until there are so many */
    WINOGRAD_GRADIENT_PART = 256, /* tiles of a part, at least, for each part transforms its sums to taps of dw; ... */
    WINOGRAD_GRADIENT_FAR_PART = 512, /* ... where the sums are not near, that takes longer */
    WINOGRAD_GRADIENT_NEAR = 1 << 20, /* bytes of sums that leave room in L2 for a short block */
    WINOGRAD_GRADIENT_AREA = 7 << 20, /* of sums of an area, at most */
    WINOGRAD_GRADIENT_MOST_SCRATCH = 16 << 20,
    WINOGRAD_GRADIENT_GAP = SL_LANES, /* a cache line is left free between frequencies: the same place of all
                                                   of them should not compete for one set of a cache */
};

/* What follows from the shape. */
struct winograd_gradient {
    enum sl_winograd form;
    int32_t m, t;         /* of the form */
    int32_t down, across; /* tiles of an image: of a column, of a row */
    int64_t tiles;        /* of all images */
    int32_t block;        /* tiles of a block */
    struct sl_cells cells;
    float scale[SL_WINOGRAD_POINTS * SL_WINOGRAD_POINTS];
};

/* --- the plan -------------------------------------------------------------------------------------------------- */

/* Of the sums of k x c channels. */
static size_t winograd_gradient_bytes(const struct winograd_gradient *g, int32_t k, int32_t c)
{
    return (size_t)(g->t * g->t) * (size_t)k * (size_t)c * sizeof(float);
}

/* Cells are halved, the longer side first, until there are enough and an area can hold a row of them. */
static struct sl_cells winograd_gradient_cells(const struct winograd_gradient *g, const struct sl_conv2d *s)
{
    const bool near = winograd_gradient_bytes(g, s->k, s->c) <= WINOGRAD_GRADIENT_NEAR;
    const int64_t parts = sl_cells_parts(g->tiles, near ? WINOGRAD_GRADIENT_PART : WINOGRAD_GRADIENT_FAR_PART);
    struct sl_cells cells = sl_cells_of(s->k, s->c, s->k, s->c);
    for (;;) {
        const bool large = winograd_gradient_bytes(g, cells.k, s->c) > WINOGRAD_GRADIENT_AREA;
        const bool few = sl_cells_count(&cells) * parts < WINOGRAD_GRADIENT_CELLS;
        const int32_t k = sl_cells_half(cells.k, SL_LANES), c = sl_cells_half(cells.c, SL_LANES);
        if (k < cells.k && (large || (few && (k >= c || c == cells.c))))
            cells = sl_cells_of(s->k, s->c, k, cells.c);
        else if (c < cells.c && few)
            cells = sl_cells_of(s->k, s->c, cells.k, c);
        else
            break;
    }
    sl_cells_limit(&cells, winograd_gradient_bytes(g, cells.k, s->c), WINOGRAD_GRADIENT_AREA);
    cells.parts = parts;
    return cells;
}

static struct winograd_gradient winograd_gradient_plan(const struct sl_conv2d *s)
{
    struct winograd_gradient g = {.form = winograd_choose(s->kh, s->oh, s->ow)};
    g.m = sl_winograd_forms[g.form].m;
    g.t = sl_winograd_forms[g.form].t;
    g.down = (s->oh + g.m - 1) / g.m;
    g.across = (s->ow + g.m - 1) / g.m;
    g.tiles = (int64_t)s->n * g.down * g.across;
    g.block = winograd_gradient_bytes(&g, s->k, s->c) > WINOGRAD_GRADIENT_NEAR ? 64 : 32;
    g.cells = winograd_gradient_cells(&g, s);
    sl_winograd_scale(g.t, g.scale);
    return g;
}

/* Floats of scratch from one frequency to the next, for an area of k x c channels. */
struct winograd_gradient_layout {
    ptrdiff_t x, dy, sums;
};

static struct winograd_gradient_layout winograd_gradient_layout(const struct winograd_gradient *g, int32_t k, int32_t c)
{
    return (struct winograd_gradient_layout){.x = (ptrdiff_t)g->block / WINOGRAD_PAIR * c + WINOGRAD_GRADIENT_GAP,
                                             .dy = (ptrdiff_t)g->block / WINOGRAD_PAIR * k + WINOGRAD_GRADIENT_GAP,
                                             .sums = (ptrdiff_t)k * c + WINOGRAD_GRADIENT_GAP};
}

static size_t winograd_gradient_scratch(const struct winograd_gradient *g, const struct sl_conv2d *s)
{
    const int32_t rows = g->cells.most_rows * g->cells.k;
    const struct winograd_gradient_layout most = winograd_gradient_layout(g, rows < s->k ? rows : s->k, s->c);
    return (size_t)(g->t * g->t) * (size_t)(most.x + most.dy + most.sums) * sizeof(float);
}

static bool winograd_gradient_need(const void *shape, struct sl_need *need)
{
    const struct sl_conv2d *s = shape;
    if (s->stride_h != 1 || s->stride_w != 1 || s->kh != s->kw || (s->kh != 2 && s->kh != 3) || s->c % SL_LANES != 0 ||
        s->k % SL_LANES != 0)
        return false;
    const struct winograd_gradient g = winograd_gradient_plan(s);
    *need = (struct sl_need){
        .units = sl_cells_units(&g.cells),
        .parts = sl_cells_partial(&g.cells),
        .scratch = winograd_gradient_scratch(&g, s),
        .state = sizeof g,
        .joins = true,
        .flops = 2.0 * (g.t * g.t) * (double)g.tiles * s->k * s->c,
    };
    return need->scratch <= WINOGRAD_GRADIENT_MOST_SCRATCH;
}

static int winograd_gradient_open(const void *shape, const struct sl_device *device, void *state)
{
    (void)device;
    *(struct winograd_gradient *)state = winograd_gradient_plan(shape);
    return SL_OK;
}

/* --- one area -------------------------------------------------------------------------------------------------- */

struct winograd_gradient_job {
    const struct sl_conv2d *s;
    const struct winograd_gradient *g;
    const conv_element *from_x, *from_dy; /* at the first channel of the area */
    int32_t k, c;                         /* channels of the area */
    const struct winograd_gradient_cut *cut;
    struct winograd_panels x, dy, sums;
};

static struct winograd_gradient_job winograd_gradient_job(const struct sl_conv2d *s,
                                                          const struct sl_conv2d_bwd_weights *a,
                                                          const struct winograd_gradient *g, const struct sl_area *area,
                                                          float *scratch)
{
    const int32_t k = area->k_end - area->k, c = area->c_end - area->c;
    const struct winograd_gradient_layout layout = winograd_gradient_layout(g, k, c);
    struct winograd_gradient_job job = {.s = s,
                                        .g = g,
                                        .from_x = (const conv_element *)a->x + area->c,
                                        .from_dy = (const conv_element *)a->dy + area->k};
    job.k = k;
    job.c = c;
    job.cut = winograd_gradient_cut_of(c);
    const int32_t width = job.cut->vectors * VL, frequencies = g->t * g->t;
    const ptrdiff_t steps = g->block / WINOGRAD_PAIR;
    job.x = (struct winograd_panels){scratch, width, layout.x, steps * width};
    scratch += frequencies * layout.x;
    job.dy = (struct winograd_panels){scratch, WINOGRAD_GRADIENT_DY, layout.dy, steps * WINOGRAD_GRADIENT_DY};
    scratch += frequencies * layout.dy;
    job.sums = (struct winograd_panels){scratch, width, layout.sums, (ptrdiff_t)k * width};
    return job;
}

static int32_t winograd_gradient_within(int64_t i, int32_t most)
{
    return i < 0 ? 0 : i < most ? (int32_t)i : most;
}

/* The square of side x side pixels from (row, column) of an h x w image on. */
static struct winograd_square winograd_gradient_square_at(const conv_element *image, int32_t h, int32_t w,
                                                          int32_t pixel, int64_t row, int64_t column, int32_t side)
{
    struct winograd_square s = {.image = image, .row = (ptrdiff_t)w * pixel, .pixel = pixel};
    s.at = (ptrdiff_t)(row * s.row + column * pixel);
    s.top = winograd_gradient_within(-row, side);
    s.left = winograd_gradient_within(-column, side);
    s.bottom = winograd_gradient_within(h - row, side);
    s.right = winograd_gradient_within(w - column, side);
    return s;
}

/* x and dy under a tile; nothing of the image under tile -1. */
static void winograd_gradient_squares(const struct winograd_gradient_job *job, int64_t tile, struct winograd_square *in,
                                      struct winograd_square *out)
{
    const struct sl_conv2d *s = job->s;
    const struct winograd_gradient *g = job->g;
    *in = *out = (struct winograd_square){0};
    if (tile < 0)
        return;
    const int64_t n = tile / g->across / g->down;
    const int32_t p = (int32_t)(tile / g->across % g->down) * g->m, q = (int32_t)(tile % g->across) * g->m;
    *in = winograd_gradient_square_at(job->from_x + n * s->h * s->w * s->xs, s->h, s->w, s->xs, (int64_t)p - s->pad_top,
                                      (int64_t)q - s->pad_left, g->t);
    *out = winograd_gradient_square_at(job->from_dy + n * s->oh * s->ow * s->ys, s->oh, s->ow, s->ys, p, q, g->m);
}

/* Transforms x and dy under tiles [first, first + count). */
static void winograd_gradient_transform(const struct winograd_gradient_job *job, int64_t first, int32_t count)
{
    struct winograd_panels x = job->x, dy = job->dy;
    for (int32_t i = 0; i < count; i += WINOGRAD_PAIR, x.at += x.width, dy.at += dy.width) {
        struct winograd_square in[WINOGRAD_PAIR], out[WINOGRAD_PAIR];
        for (int32_t t = 0; t < WINOGRAD_PAIR; t++)
            winograd_gradient_squares(job, i + t < count ? first + i + t : -1, &in[t], &out[t]);
        winograd_gradient_forms[job->g->form].x(in, job->c, &x);
        winograd_gradient_forms[job->g->form].dy(out, job->k, &dy);
    }
}

/* Adds `count` transformed tiles to the sums, frequency after frequency. */
static void winograd_gradient_multiply(const struct winograd_gradient_job *job, int32_t count, bool first,
                                       struct winograd_gradient_ahead *ahead)
{
    struct winograd_gradient_piece piece = {.first = first};
    piece.steps = (count + WINOGRAD_PAIR - 1) / WINOGRAD_PAIR;
    for (int32_t f = 0; f < job->g->t * job->g->t; f++)
        for (int32_t c = 0; c < job->c; c += job->x.width)
            for (int32_t k = 0; k < job->k; k += WINOGRAD_GRADIENT_DY) {
                piece.x = winograd_panels_at(&job->x, c) + f * job->x.frequency;
                piece.dy = winograd_panels_at(&job->dy, k) + f * job->dy.frequency;
                winograd_gradient_panels(job->cut, &piece, ahead,
                                         winograd_panels_at(&job->sums, c) + f * job->sums.frequency +
                                             (ptrdiff_t)k * job->sums.width);
            }
}

/* Where the pixels of h x w images lie that tiles from `tile` on begin with. */
static int64_t winograd_gradient_pixel(const struct winograd_gradient *g, int64_t tile, int32_t h, int32_t w)
{
    const int64_t n = tile / g->across / g->down;
    return (n * h + winograd_gradient_within(tile / g->across % g->down * g->m, h)) * w +
           winograd_gradient_within(tile % g->across * g->m, w);
}

/* What the block from tile `first` on reads, spread over the register tiles of the block before. */
static struct winograd_gradient_ahead winograd_gradient_next(const struct winograd_gradient_job *job, int64_t first)
{
    const struct sl_conv2d *s = job->s;
    const struct winograd_gradient *g = job->g;
    struct winograd_gradient_ahead ahead = {{{0}, {0}}, 0};
    if (first >= g->tiles)
        return ahead;
    const int64_t end = first + g->block < g->tiles ? first + g->block : g->tiles;
    const int64_t tiles = (int64_t)(g->t * g->t) * (job->c / job->x.width) * (job->k / job->dy.width) * job->cut->count;
    const ptrdiff_t size = sizeof(conv_element);
    const int64_t x = winograd_gradient_pixel(g, first, s->h, s->w);
    const int64_t dy = winograd_gradient_pixel(g, first, s->oh, s->ow);
    ahead.of[0] = direct_ahead_of(job->from_x + x * s->xs, winograd_gradient_pixel(g, end, s->h, s->w) - x,
                                  job->c * size, s->xs * size, tiles / 2);
    ahead.of[1] = direct_ahead_of(job->from_dy + dy * s->ys, winograd_gradient_pixel(g, end, s->oh, s->ow) - dy,
                                  job->k * size, s->ys * size, tiles / 2);
    return ahead;
}

/* Transforms the sums to where they belong in dw. */
static void winograd_gradient_finish(const struct winograd_gradient_job *job, const struct sl_area *area, float *dw)
{
    struct winograd_panels sums = job->sums;
    for (int32_t k = area->k; k < area->k_end; k++, sums.at += sums.width)
        winograd_gradient_forms[job->g->form].dw(&sums, job->c, job->g->scale,
                                                 dw + sl_conv2d_weight_at(job->s, k, 0, 0) + area->c, job->s->c);
}

/* The sums of an area over the tiles of one part. */
static void winograd_gradient_area(const struct sl_conv2d *s, const struct sl_conv2d_bwd_weights *a,
                                   const struct winograd_gradient *g, int64_t part, const struct sl_area *area,
                                   void *scratch)
{
    const struct winograd_gradient_job job = winograd_gradient_job(s, a, g, area, scratch);
    const int64_t begin = g->tiles * part / g->cells.parts, end = g->tiles * (part + 1) / g->cells.parts;
    for (int64_t first = begin; first < end; first += g->block) {
        const int32_t count = end - first < g->block ? (int32_t)(end - first) : g->block;
        struct winograd_gradient_ahead ahead = winograd_gradient_next(&job, first + count);
        winograd_gradient_transform(&job, first, count);
        winograd_gradient_multiply(&job, count, first == begin, &ahead);
    }
    winograd_gradient_finish(&job, area, a->dw + (size_t)part * sl_conv2d_weights(s));
}

static void winograd_gradient_slice(const void *shape, const void *args, const struct sl_work *work)
{
    const struct winograd_gradient *g = work->state;
    struct sl_area area;
    assert(sl_conv2d_is_sound(shape) && sl_work_fits(work, winograd_gradient_need, shape));
    for (int64_t unit = work->begin, next; unit < work->end; unit = next) {
        next = unit + sl_cells_join(&g->cells, unit, work->end, &area);
        winograd_gradient_area(shape, args, g, unit / sl_cells_count(&g->cells), &area, work->scratch);
    }
}

const struct sl_kernel CONV_NAME(sl_conv2d_bwd_weights_winograd) = {
    .element = CONV_ELEMENT,
    .inexact = true,
    .need = winograd_gradient_need,
    .open = winograd_gradient_open,
    .run = winograd_gradient_slice,
};
#endif
