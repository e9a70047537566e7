/* Bands of bf16 (amx_band.h): the plan, the copy, the places. */
#include "kernels/conv/amx_band.h"

#include <assert.h>
#include <string.h>

enum { LINE = 64 };

static size_t whole_lines(size_t bytes)
{
    return (bytes + LINE - 1) / LINE * LINE;
}

static int64_t divide_down(int64_t a, int64_t b)
{
    return a >= 0 ? a / b : -((b - 1 - a) / b);
}

/* --- One axis -------------------------------------------------------------------------------------------------- */

/* Source positions under `count` neighbouring output positions. */
static int64_t span(const struct sl_axis *a, int32_t count)
{
    return ((int64_t)(count - 1) * a->stride + a->kernel - 1) / a->spacing + 1 + (a->spacing > 1);
}

/* The source position at which the span of the output positions from `i` on begins. */
static int64_t begin_of(const struct sl_axis *a, int32_t i)
{
    return divide_down((int64_t)i * a->stride - a->padding, a->spacing);
}

static int32_t taps_of(const struct sl_axis *a, int32_t phase)
{
    return phase < a->kernel ? (a->kernel - phase + a->spacing - 1) / a->spacing : 0;
}

/* Output positions of one phase within [begin, begin + count): first, first + spacing, ... */
struct run {
    int32_t first, count;
    int64_t source; /* where the first one's first tap lies, from begin_of(begin) on */
};

static struct run run_of(const struct sl_axis *a, int32_t phase, int32_t begin, int32_t count)
{
    const int64_t origin = (int64_t)begin * a->stride - a->padding + phase;
    const int32_t skip =
        a->spacing > 1 ? (int32_t)(divide_down(origin + a->spacing - 1, a->spacing) * a->spacing - origin) : 0;
    const int64_t source = divide_down(origin + (int64_t)skip * a->stride, a->spacing) - begin_of(a, begin);
    return (struct run){skip, count > skip ? (count - skip + a->spacing - 1) / a->spacing : 0, source};
}

/* --- The band -------------------------------------------------------------------------------------------------- */

static size_t band_elements(const struct sl_amx_band *b, int32_t images, int32_t rows)
{
    return (size_t)images * (size_t)sl_amx_band_rows(b, rows) * (size_t)b->columns * (size_t)b->pitch;
}

/* What the tiles at the end may read past the band: the pixels that they throw away, and the end of a step. */
static size_t tail_elements(const struct sl_amx_band *b)
{
    return (size_t)SL_AMX_PIXELS * (size_t)b->window.columns.stride * (size_t)b->pitch + LINE / sizeof(sl_bf16);
}

/* Pixels are copied with their lanes of zeros, unless these are many: then a row is one copy. */
struct sl_amx_band sl_amx_band_plan(const struct sl_window *w, int32_t parts)
{
    const bool whole = w->xs - w->c < SL_LANES;
    const int32_t columns = (int32_t)span(&w->columns, w->columns.output);
    struct sl_amx_band b = {.window = *w,
                            .pitch = whole ? w->xs : w->c,
                            .columns = sl_round_up(columns, w->columns.stride),
                            .parts = parts};
    const size_t elements = band_elements(&b, w->units.images, w->units.rows) + tail_elements(&b);
    b.part = (ptrdiff_t)(whole_lines(elements * sizeof(sl_bf16)) / sizeof(sl_bf16));
    return b;
}

static bool is_plain(const struct sl_axis *a)
{
    return a->kernel == 1 && a->stride == 1 && a->spacing == 1 && a->padding == 0 && a->source == a->output;
}

bool sl_amx_band_is_source(const struct sl_amx_band *b, const struct sl_unit *unit)
{
    const struct sl_window *w = &b->window;
    const struct sl_unit_source source = sl_amx_band_source(b, unit);
    const int64_t left = (int64_t)w->units.n * w->rows.source * w->columns.source - source.first - source.pixels;
    return is_plain(&w->rows) && is_plain(&w->columns) && b->pitch == w->xs &&
           (size_t)left * (size_t)w->xs >= tail_elements(b);
}

struct sl_amx_taps sl_amx_first_taps(const struct sl_amx_band *b)
{
    return (struct sl_amx_taps){.rows = taps_of(&b->window.rows, 0), .columns = taps_of(&b->window.columns, 0)};
}

bool sl_amx_next_taps(const struct sl_amx_band *b, struct sl_amx_taps *t)
{
    if (++t->column_phase == b->window.columns.spacing) {
        t->column_phase = 0;
        t->row_phase++;
    }
    t->rows = taps_of(&b->window.rows, t->row_phase);
    t->columns = taps_of(&b->window.columns, t->column_phase);
    return t->row_phase < b->window.rows.spacing;
}

int32_t sl_amx_band_rows(const struct sl_amx_band *b, int32_t rows)
{
    return (int32_t)span(&b->window.rows, rows);
}

size_t sl_amx_band_scratch(const struct sl_amx_band *b)
{
    return (size_t)b->parts * (size_t)b->part * sizeof(sl_bf16);
}

size_t sl_amx_places_scratch(const struct sl_amx_band *b)
{
    return whole_lines((size_t)sl_units_pixels(&b->window.units) * sizeof(struct sl_amx_place));
}

static void clear(const struct sl_amx_band *b, size_t count, sl_bf16 *to)
{
    for (int32_t p = 0; p < b->parts; p++)
        memset(to + p * b->part, 0, count * sizeof *to);
}

/* One padded row. `from` is NULL for a row of padding. */
static sl_bf16 *copy_row(const struct sl_amx_band *b, const char *from, size_t element, sl_amx_lay *lay, sl_bf16 *to)
{
    const struct sl_axis *a = &b->window.columns;
    const size_t pitch = (size_t)b->pitch, pixel = (size_t)b->window.xs * element;
    const int64_t columns = b->columns, before = -begin_of(a, 0);
    const int64_t begin = before < 0 ? 0 : before < columns ? before : columns;
    int64_t end = before + a->source;
    end = !from || end < begin ? begin : end < columns ? end : columns;
    clear(b, (size_t)begin * pitch, to);
    clear(b, (size_t)(columns - end) * pitch, to + (size_t)end * pitch);
    if (end > begin)
        from += (size_t)(begin - before) * pixel;
    const bool whole = b->pitch == b->window.xs;
    if (whole && end > begin)
        lay(from, (size_t)(end - begin) * pitch, to + (size_t)begin * pitch, b->part);
    for (int64_t j = begin; !whole && j < end; j++, from += pixel)
        lay(from, pitch, to + (size_t)j * pitch, b->part);
    return to + (size_t)columns * pitch;
}

void sl_amx_band_copy(const struct sl_amx_band *b, const void *x, size_t element, const struct sl_unit *unit,
                      sl_amx_lay *lay, sl_bf16 *to)
{
    const struct sl_window *w = &b->window;
    const int64_t h = w->rows.source;
    const size_t row = (size_t)w->columns.source * (size_t)w->xs * element;
    const int64_t begin = begin_of(&w->rows, unit->p), end = begin + sl_amx_band_rows(b, unit->rows);
    for (int64_t n = unit->n; n < unit->n + unit->images; n++)
        for (int64_t i = begin; i < end; i++)
            to = copy_row(b, i < 0 || i >= h ? NULL : (const char *)x + (size_t)(n * h + i) * row, element, lay, to);
    clear(b, tail_elements(b), to);
}

struct sl_unit_source sl_amx_band_source(const struct sl_amx_band *b, const struct sl_unit *unit)
{
    const struct sl_axis *rows = &b->window.rows;
    const int64_t begin = begin_of(rows, unit->p);
    return sl_unit_source(unit, begin, begin + sl_amx_band_rows(b, unit->rows), rows->source, b->window.columns.source);
}

/* --- Places ---------------------------------------------------------------------------------------------------- */

/* The list as it grows. */
struct list {
    struct sl_amx_place *places;
    int32_t count;
    int64_t begin;  /* position of the last place's first pixel */
    ptrdiff_t step; /* elements from a position to the next */
};

/* Adds `count` pixels at positions that follow each other; pixels of the output are `spacing` apart. */
static void list_row(struct list *list, int64_t position, int32_t count, int32_t y, int32_t spacing, ptrdiff_t first)
{
    for (int32_t i = 0; i < count; i++, position++, y += spacing) {
        if (!list->count || position - list->begin >= SL_AMX_PIXELS) {
            struct sl_amx_place *place = &list->places[list->count++];
            place->source = position * list->step + first;
            list->begin = position;
            memset(place->y, -1, sizeof place->y);
        }
        list->places[list->count - 1].y[position - list->begin] = y;
    }
}

int32_t sl_amx_places(const struct sl_amx_band *b, const struct sl_unit *unit, const struct sl_amx_taps *taps,
                      struct sl_amx_place *places)
{
    const struct sl_axis *rows = &b->window.rows, *columns = &b->window.columns;
    const struct run down = run_of(rows, taps->row_phase, unit->p, unit->rows);
    const struct run across = run_of(columns, taps->column_phase, 0, columns->output);
    struct list list = {.places = places, .step = (ptrdiff_t)columns->stride * b->pitch};
    for (int32_t n = 0; n < unit->images; n++)
        for (int32_t i = 0; i < down.count; i++) {
            const int64_t row = (int64_t)n * sl_amx_band_rows(b, unit->rows) + down.source + (int64_t)i * rows->stride;
            const int32_t p = n * unit->rows + down.first + i * rows->spacing;
            list_row(&list, row * (b->columns / columns->stride), across.count, p * columns->output + across.first,
                     columns->spacing, (ptrdiff_t)across.source * b->pitch);
        }
    assert(list.count <= sl_units_pixels(&b->window.units));
    return list.count;
}
