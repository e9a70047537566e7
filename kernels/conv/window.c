#include "kernels/conv/window.h"

#include <assert.h>

static int32_t least(int64_t a, int64_t b)
{
    return (int32_t)(a < b ? a : b);
}

/* --- One axis -------------------------------------------------------------------------------------------------- */

static int32_t phase_taps(const struct sl_axis *a, int32_t phase)
{
    return phase < a->kernel ? (a->kernel - phase + a->spacing - 1) / a->spacing : 0;
}

/* Taps of the phases before `phase`. */
static int32_t taps_before(const struct sl_axis *a, int32_t phase)
{
    int32_t taps = 0;
    for (int32_t i = 0; i < phase; i++)
        taps += phase_taps(a, i);
    return taps;
}

/* The taps that output position i meets. */
static struct sl_reach reach_of(const struct sl_axis *a, int32_t i)
{
    const int64_t origin = (int64_t)i * a->stride - a->padding;
    const int32_t phase = (int32_t)((a->spacing - origin % a->spacing) % a->spacing);
    const int64_t base = (origin + phase) / a->spacing, all = phase_taps(a, phase);
    const int64_t first = base < 0 ? -base : 0, end = all < a->source - base ? all : a->source - base;
    if (end <= first)
        return (struct sl_reach){.begin = i, .length = 1, .phase = phase};
    return (struct sl_reach){i, 1, phase, (int32_t)first, (int32_t)(end - first), (int32_t)(base + first)};
}

/* Extends a reach of one position over the next positions of its phase, up to `end`, that meet the same taps. Those are
 * the positions where all taps of the phase lie inside the source, or where none does, if only because the phase has
 * none. Near a border every position meets taps of its own, and the reach stays as it is. */
static void extend(const struct sl_axis *a, int32_t end, struct sl_reach *reach)
{
    const int32_t most = (end - reach->begin + a->spacing - 1) / a->spacing;
    if (!phase_taps(a, reach->phase))
        reach->length = most;
    if (reach->taps && reach->taps == phase_taps(a, reach->phase))
        reach->length = least(most, (a->source - reach->taps - reach->at) / a->stride + 1);
    while (!reach->taps && reach->length < most && !reach_of(a, reach->begin + reach->length * a->spacing).taps)
        reach->length++;
}

/* Moves on to the next reach over positions [begin, end): those of one phase, then those of the next. Start from {0}.
 */
static bool next_reach(const struct sl_axis *a, int32_t begin, int32_t end, struct sl_reach *reach)
{
    int32_t i = begin;
    if (reach->length) {
        const int32_t first = (reach->begin - begin) % a->spacing;
        i = reach->begin + reach->length * a->spacing;
        if (i >= end)
            i = first + 1 < a->spacing ? begin + first + 1 : end;
    }
    if (i >= end)
        return false;
    *reach = reach_of(a, i);
    extend(a, end, reach);
    return true;
}

/* --- The window ------------------------------------------------------------------------------------------------ */

static void plan(struct sl_window *w, int32_t n, const struct sl_units_goal *goal)
{
    const struct sl_units_input input = {.row_bytes = (size_t)w->columns.source * (size_t)w->xs * sizeof(float) /
                                                      (size_t)w->rows.spacing,
                                         .stride = w->rows.stride,
                                         .kernel = w->rows.kernel};
    w->units = sl_units_plan(n, w->rows.output, w->columns.output, &input, goal);
}

struct sl_window sl_window_forward(const struct sl_conv2d *s, const struct sl_units_goal *goal)
{
    struct sl_window w = {.rows = {s->h, s->oh, s->kh, s->stride_h, s->pad_top, 1},
                          .columns = {s->w, s->ow, s->kw, s->stride_w, s->pad_left, 1},
                          .c = s->c,
                          .xs = s->xs,
                          .ys = s->ys};
    plan(&w, s->n, goal);
    return w;
}

struct sl_window sl_window_backward(const struct sl_conv2d *s, const struct sl_units_goal *goal)
{
    struct sl_window w = {.rows = {s->oh, s->h, s->kh, 1, s->kh - 1 - s->pad_top, s->stride_h},
                          .columns = {s->ow, s->w, s->kw, 1, s->kw - 1 - s->pad_left, s->stride_w},
                          .c = s->k,
                          .xs = s->ys,
                          .ys = s->xs};
    plan(&w, s->n, goal);
    return w;
}

size_t sl_window_scratch(const struct sl_window *w)
{
    return ((size_t)sl_units_pixels(&w->units) + SL_PIXELS_AHEAD) * sizeof(struct sl_pixel);
}

bool sl_window_next(const struct sl_window *w, const struct sl_unit *unit, struct sl_group *group)
{
    if (!group->columns.length && !next_reach(&w->rows, unit->p, unit->p + unit->rows, &group->rows))
        return false;
    if (!next_reach(&w->columns, 0, w->columns.output, &group->columns)) {
        group->columns = (struct sl_reach){0};
        if (!next_reach(&w->rows, unit->p, unit->p + unit->rows, &group->rows))
            return false;
        next_reach(&w->columns, 0, w->columns.output, &group->columns);
    }
    group->begin += group->count;
    group->images = unit->images;
    group->count = group->rows.length * group->columns.length * unit->images;
    return true;
}

/* Lists the pixels of a group, image by image, row by row. */
static void list_pixels(const struct sl_window *w, const struct sl_unit *unit, const struct sl_group *g,
                        struct sl_pixel *pixel)
{
    const struct sl_reach *rows = &g->rows, *columns = &g->columns;
    const ptrdiff_t x_step = (ptrdiff_t)w->columns.stride * w->xs, y_step = (ptrdiff_t)w->columns.spacing * w->ys;
    for (int64_t n = 0; n < unit->images; n++)
        for (int64_t i = 0; i < rows->length; i++) {
            const int64_t row = n * w->rows.source + rows->at + i * w->rows.stride;
            const int64_t p = n * w->rows.output + rows->begin - unit->p + i * w->rows.spacing;
            struct sl_pixel at = {(row * w->columns.source + columns->at) * w->xs,
                                  (p * w->columns.output + columns->begin) * w->ys};
            for (int32_t j = 0; j < columns->length; j++, at.x += x_step, at.y += y_step)
                *pixel++ = at;
        }
}

struct sl_window_view sl_window_open(const struct sl_window *w, const float *x, int64_t unit, void *scratch)
{
    const struct sl_unit at = sl_units_at(&w->units, unit);
    const struct sl_window_view view = {.unit = at,
                                        .x = x + at.n * w->rows.source * w->columns.source * w->xs,
                                        .pixels = scratch,
                                        .first = (at.n * w->rows.output + at.p) * w->columns.output,
                                        .count = at.images * at.rows * w->columns.output};
    struct sl_pixel *pixels = scratch;
    struct sl_group group = {0};
    while (sl_window_next(w, &at, &group))
        list_pixels(w, &at, &group, pixels + group.begin);
    assert(group.begin + group.count == view.count);
    for (int32_t i = 0; i < SL_PIXELS_AHEAD; i++)
        pixels[view.count + i] = pixels[view.count - 1];
    return view;
}

int32_t sl_window_row_taps(const struct sl_window *w, int32_t phase)
{
    return phase_taps(&w->columns, phase);
}

int64_t sl_window_tap_number(const struct sl_window *w, const struct sl_group *g)
{
    const int64_t row_taps = phase_taps(&w->columns, g->columns.phase);
    return (int64_t)taps_before(&w->rows, g->rows.phase) * w->columns.kernel +
           (int64_t)phase_taps(&w->rows, g->rows.phase) * taps_before(&w->columns, g->columns.phase) +
           g->rows.first * row_taps + g->columns.first;
}

int64_t sl_window_tap(const struct sl_window *w, int64_t number)
{
    int32_t r = 0, s = 0;
    while (number >= (int64_t)phase_taps(&w->rows, r) * w->columns.kernel)
        number -= (int64_t)phase_taps(&w->rows, r++) * w->columns.kernel;
    const int64_t rows = phase_taps(&w->rows, r);
    while (number >= rows * phase_taps(&w->columns, s))
        number -= rows * phase_taps(&w->columns, s++);
    const int64_t row_taps = phase_taps(&w->columns, s);
    return (r + number / row_taps * w->rows.spacing) * w->columns.kernel + s + number % row_taps * w->columns.spacing;
}

struct sl_unit_source sl_window_source(const struct sl_window *w, int64_t unit)
{
    const struct sl_unit at = sl_units_at(&w->units, unit);
    const struct sl_axis *a = &w->rows;
    const int64_t begin = ((int64_t)at.p * a->stride - a->padding) / a->spacing;
    const int64_t end = ((int64_t)(at.p + at.rows - 1) * a->stride - a->padding + a->kernel) / a->spacing + 1;
    return sl_unit_source(&at, begin, end, a->source, w->columns.source);
}

int64_t sl_window_source_pixels(const struct sl_window *w)
{
    const struct sl_axis *a = &w->rows;
    const int64_t rows = ((int64_t)(w->units.rows - 1) * a->stride + a->kernel) / a->spacing + 2;
    return (rows < a->source ? rows : a->source) * w->columns.source +
           (int64_t)(w->units.images - 1) * a->source * w->columns.source;
}
