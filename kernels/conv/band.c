/* Bands of padded input (band.h): the plan and the copy. */
#include <assert.h>
#include <string.h>

#include "kernels/conv/band.h"

enum { SL_LINE = 64 };

static size_t whole_lines(size_t bytes)
{
    return (bytes + SL_LINE - 1) / SL_LINE * SL_LINE;
}

/* Rows and columns of padded input under `rows` output rows, and a whole output row. */
static int64_t input_rows(const struct sl_band *b, int32_t rows)
{
    return (int64_t)(rows - 1) * b->stride_h + b->kh;
}

static int64_t input_columns(const struct sl_band *b)
{
    return (int64_t)(b->ow - 1) * b->stride_w + b->kw;
}

static int32_t pitch_of(int32_t c)
{
    enum { TOO_REGULAR = 512 / sizeof(float) };
    return c % TOO_REGULAR ? c : c + SL_LINE / (int32_t)sizeof(float);
}

/* Does every kernel row under every output pixel lie in the source as it is? Channels far apart are better copied. */
static bool fits_in_place(const struct sl_band *b)
{
    return b->pitch == b->xs && !b->pad_top && !b->pad_left && input_rows(b, b->oh) <= b->h && input_columns(b) <= b->w;
}

static struct sl_band band_of(const struct sl_conv2d *s)
{
    return (struct sl_band){.h = s->h,
                            .w = s->w,
                            .xs = s->xs,
                            .kh = s->kh,
                            .kw = s->kw,
                            .stride_h = s->stride_h,
                            .stride_w = s->stride_w,
                            .pad_top = s->pad_top,
                            .pad_left = s->pad_left,
                            .oh = s->oh,
                            .ow = s->ow};
}

struct sl_band sl_band_plan(const struct sl_conv2d *s, int32_t c, const struct sl_units_goal *goal)
{
    struct sl_band b = band_of(s);
    b.c = c;
    b.pitch = pitch_of(c);
    b.in_place = fits_in_place(&b);
    const struct sl_units_input copied = {
        .row_bytes = b.in_place ? 0 : (size_t)input_columns(&b) * (size_t)b.pitch * sizeof(float),
        .stride = s->stride_h,
        .kernel = s->kh};
    b.units = sl_units_plan(s->n, s->oh, s->ow, &copied, goal);
    return b;
}

struct sl_band sl_band_in_place(const struct sl_conv2d *s, const struct sl_units_goal *goal)
{
    static const struct sl_units_input nothing = {.stride = 1, .kernel = 1};
    struct sl_band b = band_of(s);
    b.c = s->c;
    b.pitch = s->xs;
    b.in_place = true;
    assert(fits_in_place(&b));
    b.units = sl_units_plan(s->n, s->oh, s->ow, &nothing, goal);
    return b;
}

static size_t copy_bytes(const struct sl_band *b)
{
    const size_t rows = (size_t)input_rows(b, b->units.rows) * (size_t)b->units.images;
    return b->in_place ? 0 : rows * (size_t)input_columns(b) * (size_t)b->pitch * sizeof(float);
}

size_t sl_band_scratch(const struct sl_band *b)
{
    return whole_lines((size_t)sl_units_pixels(&b->units) * sizeof(ptrdiff_t)) + whole_lines(copy_bytes(b));
}

/* One padded row. `from` is NULL for a row of padding. */
static float *copy_row(const struct sl_band *b, const float *from, float *to)
{
    const int64_t columns = input_columns(b);
    const size_t c = (size_t)b->c, pitch = (size_t)b->pitch;
    int64_t begin = b->pad_left < 0 ? 0 : b->pad_left < columns ? b->pad_left : columns;
    int64_t end = (int64_t)b->pad_left + b->w;
    end = !from || end < begin ? begin : end < columns ? end : columns;
    memset(to, 0, (size_t)begin * pitch * sizeof *to);
    memset(to + (size_t)end * pitch, 0, (size_t)(columns - end) * pitch * sizeof *to);
    if (end > begin)
        from += (begin - b->pad_left) * b->xs;
    const bool whole = pitch == c && b->c == b->xs;
    if (whole && end > begin)
        memcpy(to + (size_t)begin * c, from, (size_t)(end - begin) * c * sizeof *to);
    for (int64_t j = begin; !whole && j < end; j++, from += b->xs)
        memcpy(to + (size_t)j * pitch, from, c * sizeof *to);
    return to + (size_t)columns * pitch;
}

/* The padded input under output rows [p, p + rows) of one image. */
static float *copy_rows(const struct sl_band *b, const float *image, int64_t p, int32_t rows, float *to)
{
    const int64_t count = input_rows(b, rows);
    for (int64_t r = 0; r < count; r++) {
        const int64_t i = p * b->stride_h + r - b->pad_top;
        to = copy_row(b, i < 0 || i >= b->h ? NULL : image + i * b->w * b->xs, to);
    }
    return to;
}

/* Where the run of each output pixel begins: images `image`, rows `row` and pixels `column` floats apart. */
static int32_t fill_offsets(const struct sl_band *b, int32_t rows, int32_t images, ptrdiff_t image, ptrdiff_t row,
                            ptrdiff_t column, ptrdiff_t *offset)
{
    int32_t t = 0;
    for (int32_t n = 0; n < images; n++)
        for (int32_t p = 0; p < rows; p++)
            for (int32_t q = 0; q < b->ow; q++)
                offset[t++] = n * image + p * b->stride_h * row + q * b->stride_w * column;
    return t;
}

struct sl_unit_source sl_band_source(const struct sl_band *b, int64_t unit)
{
    const struct sl_unit at = sl_units_at(&b->units, unit);
    const int64_t begin = (int64_t)at.p * b->stride_h - b->pad_top;
    return sl_unit_source(&at, begin, begin + input_rows(b, at.rows), b->h, b->w);
}

struct sl_band_view sl_band_open(const struct sl_band *b, const float *x, int64_t unit, void *scratch)
{
    ptrdiff_t *offset = scratch;
    float *copy = (float *)((char *)scratch + whole_lines((size_t)sl_units_pixels(&b->units) * sizeof *offset));
    const struct sl_unit at = sl_units_at(&b->units, unit);
    const size_t image = (size_t)b->h * (size_t)b->w * (size_t)b->xs;
    struct sl_band_view view = {.x = copy, .offset = offset, .first = (at.n * b->oh + at.p) * b->ow};
    if (b->in_place) {
        view.row = (ptrdiff_t)b->w * b->xs;
        view.x = x + (size_t)at.n * image + at.p * b->stride_h * view.row;
        view.pixels = fill_offsets(b, at.rows, at.images, (ptrdiff_t)image, view.row, b->xs, offset);
        assert(view.pixels <= sl_units_pixels(&b->units));
        return view;
    }
    view.row = (ptrdiff_t)(input_columns(b) * b->pitch);
    view.pixels =
        fill_offsets(b, at.rows, at.images, (ptrdiff_t)input_rows(b, at.rows) * view.row, view.row, b->pitch, offset);
    for (int32_t i = 0; i < at.images; i++)
        copy = copy_rows(b, x + (size_t)(at.n + i) * image, at.p, at.rows, copy);
    assert(view.pixels <= sl_units_pixels(&b->units) && (char *)copy <= (char *)scratch + sl_band_scratch(b));
    return view;
}
