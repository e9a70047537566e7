/* The direct backward-weights of activations in bf16: x and dy of a few images are widened into scratch, as far as an
 * area has their channels; the row of floats computes their gradient there, as of a convolution of its own; and the
 * gradients of all images are added up in dw. A template like conv_direct.h. */
#ifndef SL_KERNELS_CONV_DIRECT_WEIGHTS_BF16_H
#define SL_KERNELS_CONV_DIRECT_WEIGHTS_BF16_H

#include "kernels/conv/conv_direct_bf16.h"
#include "kernels/conv/conv_direct_weights.h"

enum {
    GRADIENT_BF16_NEAR = 1 << 20, /* bytes of the floats of a few images, unless one is more */
    GRADIENT_BF16_CELLS = 16,     /* at most; each widens all of x or all of dy */
};

/* Cells cut the longer side of dw. */
static struct sl_cells gradient_bf16_cells(const struct sl_conv2d *s)
{
    const bool rows = s->k > s->c;
    const int32_t longer = rows ? s->k : s->c;
    const int32_t cell = sl_round_up((longer + GRADIENT_BF16_CELLS - 1) / GRADIENT_BF16_CELLS, GRADIENT_BLOCK);
    struct sl_cells cells = sl_cells_of(s->k, s->c, rows ? cell : s->k, rows ? s->c : cell);
    cells.most_rows = cells.k_cells;
    return cells;
}

/* The convolution of some images with k x c of the channels. */
static struct sl_conv2d gradient_bf16_part(const struct sl_conv2d *s, int32_t images, int32_t k, int32_t c)
{
    struct sl_conv2d part = *s;
    part.n = images;
    part.k = k;
    part.c = c;
    part.xs = c;
    part.ys = sl_round_up(k, SL_LANES);
    part.element = SL_ELEMENT_F32;
    return part;
}

/* Images that are widened together. */
static int32_t gradient_bf16_images(const struct sl_conv2d *s)
{
    const struct sl_conv2d one = gradient_bf16_part(s, 1, s->k, s->c);
    const size_t images = GRADIENT_BF16_NEAR / ((sl_conv2d_inputs(&one) + sl_conv2d_outputs(&one)) * sizeof(float));
    return images < 1 ? 1 : images < (size_t)s->n ? (int32_t)images : s->n;
}

/* What an area has in scratch: the floats of x and dy, their gradient, and what the row of floats asks for. */
struct gradient_bf16 {
    struct sl_conv2d part;
    size_t x, dy, dw, state, all; /* bytes */
};

/* The cells of the row of floats: so few images are one part of its sum. */
static struct sl_cells gradient_bf16_plan(const struct sl_conv2d *part)
{
    struct sl_cells cells = gradient_plan(part);
    cells.parts = 1;
    return cells;
}

static struct gradient_bf16 gradient_bf16_area(const struct sl_conv2d *s, int32_t images, int32_t k, int32_t c)
{
    struct gradient_bf16 g = {.part = gradient_bf16_part(s, images, k, c)};
    const struct sl_cells cells = gradient_bf16_plan(&g.part);
    g.x = direct_lines(sl_conv2d_inputs(&g.part) * sizeof(float));
    g.dy = direct_lines(sl_conv2d_outputs(&g.part) * sizeof(float));
    g.dw = direct_lines(sl_conv2d_weights(&g.part) * sizeof(float));
    g.state = direct_lines(sizeof cells);
    g.all = g.x + g.dy + g.dw + g.state + gradient_scratch(&g.part, &cells);
    return g;
}

/* Areas of i cells, with the last of all or without. */
static size_t gradient_bf16_most(const struct sl_conv2d *s, const struct sl_cells *cells, int32_t images)
{
    size_t most = 0;
    for (int32_t i = 0; i < sl_cells_count(cells); i++)
        for (int last = 0; last < 2; last++) {
            const int32_t k = cells->k_cells == 1 ? s->k : last ? s->k - i * cells->k : (i + 1) * cells->k;
            const int32_t c = cells->c_cells == 1 ? s->c : last ? s->c - i * cells->c : (i + 1) * cells->c;
            const struct gradient_bf16 g =
                gradient_bf16_area(s, images, direct_smaller(k, s->k), direct_smaller(c, s->c));
            most = g.all > most ? g.all : most;
        }
    return most;
}

static bool gradient_bf16_need(const void *shape, struct sl_need *need)
{
    const struct sl_conv2d *s = shape;
    const struct sl_cells cells = gradient_bf16_cells(s);
    const int32_t images = gradient_bf16_images(s), rest = s->n % images;
    const size_t most = gradient_bf16_most(s, &cells, images), last = rest ? gradient_bf16_most(s, &cells, rest) : 0;
    *need = (struct sl_need){
        .units = sl_cells_count(&cells),
        .scratch = most > last ? most : last,
        .state = sizeof cells,
        .joins = true,
    };
    return need->scratch <= DIRECT_MOST_SCRATCH;
}

static int gradient_bf16_open(const void *shape, const struct sl_device *device, void *state)
{
    (void)device;
    *(struct sl_cells *)state = gradient_bf16_cells(shape);
    return SL_OK;
}

/* The gradient of images [n, n + images) of an area; returns where it lies in scratch. */
static const float *gradient_bf16_images_from(const struct sl_conv2d *s, const struct sl_conv2d_bwd_weights *a,
                                              const struct gradient_bf16 *g, const struct sl_area *area, int64_t n,
                                              char *scratch)
{
    const struct sl_conv2d *part = &g->part;
    float *x = (float *)scratch, *dy = (float *)(scratch + g->x), *dw = (float *)(scratch + g->x + g->dy);
    struct sl_cells *cells = (void *)(scratch + g->x + g->dy + g->dw);
    const int64_t inside = (int64_t)s->h * s->w, outside = (int64_t)s->oh * s->ow;
    convert_widen((struct convert){part->n * inside, part->c, s->xs, part->xs},
                  (const sl_bf16 *)a->x + n * inside * s->xs + area->c, x);
    convert_widen((struct convert){part->n * outside, part->k, s->ys, part->ys},
                  (const sl_bf16 *)a->dy + n * outside * s->ys + area->k, dy);
    *cells = gradient_bf16_plan(part);
    gradient_slice(
        part, &(struct sl_conv2d_bwd_weights){.x = x, .dy = dy, .dw = dw},
        &(struct sl_work){.end = sl_cells_count(cells), .state = cells, .scratch = (char *)cells + g->state});
    return dw;
}

/* Puts the gradient of the first images into dw, adds the others. */
static void gradient_bf16_add(const struct sl_conv2d *s, const struct sl_area *area, const float *from, bool first,
                              float *dw)
{
    const int32_t taps = s->kh * s->kw, c = area->c_end - area->c;
    float *to = dw + sl_conv2d_weight_at(s, area->k, 0, 0) + area->c;
    for (int64_t i = 0; i < (int64_t)(area->k_end - area->k) * taps; i++, from += c, to += s->c)
        for (int32_t l = 0; l < c; l += VL) {
            const int lanes = convert_lanes(c - l);
            const vf part = v_load_some(from + l, lanes);
            v_store_some(to + l, first ? part : v_add(v_load_some(to + l, lanes), part), lanes);
        }
}

static void gradient_bf16_slice(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_conv2d *s = shape;
    const struct sl_conv2d_bwd_weights *a = args;
    const int32_t images = gradient_bf16_images(s);
    struct sl_area area;
    assert(sl_conv2d_is_sound(s) && sl_work_fits(work, gradient_bf16_need, s));
    for (int64_t cell = work->begin; cell < work->end;) {
        cell += sl_cells_join(work->state, cell, work->end, &area);
        for (int64_t n = 0; n < s->n; n += images) {
            const struct gradient_bf16 g = gradient_bf16_area(s, direct_smaller(images, (int32_t)(s->n - n)),
                                                              area.k_end - area.k, area.c_end - area.c);
            gradient_bf16_add(s, &area, gradient_bf16_images_from(s, a, &g, &area, n, work->scratch), n == 0, a->dw);
        }
    }
}

const struct sl_kernel DIRECT(sl_conv2d_bwd_weights_direct_bf16) = {
    .element = SL_ELEMENT_BF16,
    .need = gradient_bf16_need,
    .open = gradient_bf16_open,
    .run = gradient_bf16_slice,
};
#endif
