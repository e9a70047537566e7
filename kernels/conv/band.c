/* Bands of padded input (band.h): the plan and the copy. */
#include <string.h>

#include "kernels/conv/band.h"

enum { SL_LINE = 64 };

static size_t whole_lines(size_t bytes)
{
    return (bytes + SL_LINE - 1) / SL_LINE * SL_LINE;
}

struct sl_band sl_band_forward(const struct sl_conv2d *s)
{
    return (struct sl_band){.n = s->n, .h = s->h, .w = s->w, .xs = s->xs, .c = s->c, .up_h = 1, .up_w = 1,
                            .kh = s->kh, .kw = s->kw, .stride_h = s->stride_h, .stride_w = s->stride_w,
                            .pad_top = s->pad_top, .pad_left = s->pad_left, .oh = s->oh, .ow = s->ow};
}

struct sl_band sl_band_backward(const struct sl_conv2d *s)
{
    return (struct sl_band){.n = s->n, .h = s->oh, .w = s->ow, .xs = s->ys, .c = s->k, .up_h = s->stride_h,
                            .up_w = s->stride_w, .kh = s->kh, .kw = s->kw, .stride_h = 1, .stride_w = 1,
                            .pad_top = s->kh - 1 - s->pad_top, .pad_left = s->kw - 1 - s->pad_left, .oh = s->h,
                            .ow = s->w};
}

/* Does every kernel row under every output pixel lie in the source as it is? */
static bool fits_in_place(const struct sl_band *b)
{
    const bool inside = !b->pad_top && !b->pad_left && (int64_t)(b->oh - 1) * b->stride_h + b->kh <= b->h &&
                        (int64_t)(b->ow - 1) * b->stride_w + b->kw <= b->w;
    return inside && b->up_h == 1 && b->up_w == 1 && (b->kw == 1 || b->c == b->xs);
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

static size_t copy_floats(const struct sl_band *b, int32_t rows)
{
    return b->in_place ? 0 : (size_t)input_rows(b, rows) * (size_t)input_columns(b) * (size_t)b->c;
}

static bool small_enough(const struct sl_band *b, const struct sl_band_goal *goal, int64_t pixels, int64_t images)
{
    return copy_floats(b, b->rows) * (size_t)images * sizeof(float) <= goal->bytes && pixels <= goal->most;
}

void sl_band_plan(struct sl_band *b, const struct sl_band_goal *goal)
{
    b->in_place = fits_in_place(b) && !(goal->copy && b->c != b->xs);
    b->images = 1;
    b->rows = b->oh;
    while (b->rows > 1 && !small_enough(b, goal, (int64_t)b->rows * b->ow, 1))
        b->rows--;
    while (b->rows > 1 && (int64_t)b->n * ((b->oh + b->rows - 1) / b->rows) < goal->units &&
           (int64_t)(b->rows - 1) * b->ow >= goal->least)
        b->rows--;
    b->bands = (b->oh + b->rows - 1) / b->rows;
    b->rows = (b->oh + b->bands - 1) / b->bands;
    b->bands = (b->oh + b->rows - 1) / b->rows;
    const int64_t image = (int64_t)b->oh * b->ow;
    while (b->bands == 1 && b->images < b->n && small_enough(b, goal, (b->images + 1) * image, b->images + 1) &&
           (b->n / (b->images + 1) >= goal->units || b->images * image < goal->least))
        b->images++;
}

int64_t sl_band_units(const struct sl_band *b)
{
    return b->bands > 1 ? (int64_t)b->n * b->bands : (b->n + b->images - 1) / b->images;
}

int32_t sl_band_pixels(const struct sl_band *b)
{
    return b->rows * b->ow * b->images;
}

size_t sl_band_scratch(const struct sl_band *b)
{
    return whole_lines((size_t)sl_band_pixels(b) * sizeof(ptrdiff_t)) +
           whole_lines(copy_floats(b, b->rows) * (size_t)b->images * sizeof(float));
}

/* One padded row. `from` is NULL for a row of padding. */
static float *copy_row(const struct sl_band *b, const float *from, float *to)
{
    const int64_t columns = input_columns(b);
    const size_t c = (size_t)b->c;
    int64_t begin = b->pad_left < 0 ? 0 : b->pad_left < columns ? b->pad_left : columns;
    int64_t end = (int64_t)b->pad_left + (int64_t)(b->w - 1) * b->up_w + 1;
    end = !from || end < begin ? begin : end < columns ? end : columns;
    memset(to, 0, (size_t)begin * c * sizeof *to);
    memset(to + (size_t)end * c, 0, (size_t)(columns - end) * c * sizeof *to);
    if (b->up_w == 1 && b->c == b->xs && end > begin) {
        memcpy(to + (size_t)begin * c, from + (begin - b->pad_left) * b->xs, (size_t)(end - begin) * c * sizeof *to);
        return to + (size_t)columns * c;
    }
    for (int64_t j = begin; j < end; j++) {
        const int64_t column = j - b->pad_left;
        if (column % b->up_w)
            memset(to + (size_t)j * c, 0, c * sizeof *to);
        else
            memcpy(to + (size_t)j * c, from + column / b->up_w * b->xs, c * sizeof *to);
    }
    return to + (size_t)columns * c;
}

/* The padded input under output rows [p, p + rows) of one image. */
static float *copy_rows(const struct sl_band *b, const float *image, int64_t p, int32_t rows, float *to)
{
    const int64_t count = input_rows(b, rows);
    for (int64_t r = 0; r < count; r++) {
        const int64_t i = p * b->stride_h + r - b->pad_top;
        const bool padding = i < 0 || i % b->up_h || i / b->up_h >= b->h;
        to = copy_row(b, padding ? NULL : image + i / b->up_h * b->w * b->xs, to);
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

/* Where a unit lies: images [n, n + images), output rows [p, p + rows). */
struct place {
    int64_t n;
    int32_t images, p, rows;
};

static struct place place_of(const struct sl_band *b, int64_t unit)
{
    struct place at = {.n = unit / b->bands * b->images, .p = (int32_t)(unit % b->bands) * b->rows};
    at.images = b->n - at.n < b->images ? (int32_t)(b->n - at.n) : b->images;
    at.rows = b->oh - at.p < b->rows ? b->oh - at.p : b->rows;
    return at;
}

struct sl_band_source sl_band_source(const struct sl_band *b, const float *x, int64_t unit)
{
    const struct place at = place_of(b, unit);
    const int64_t row = (int64_t)b->w * b->xs, begin = (int64_t)at.p * b->stride_h - b->pad_top;
    int64_t first = begin / b->up_h, last = (begin + input_rows(b, at.rows)) / b->up_h + 1;
    first = first < 0 ? 0 : first < b->h ? first : b->h;
    last = last < first ? first : last < b->h ? last : b->h;
    return (struct sl_band_source){x + (at.n * b->h + first) * row, ((at.images - 1) * (int64_t)b->h + last - first) * b->w};
}

struct sl_band_view sl_band_open(const struct sl_band *b, const float *x, int64_t unit, void *scratch)
{
    ptrdiff_t *offset = scratch;
    float *copy = (float *)((char *)scratch + whole_lines((size_t)sl_band_pixels(b) * sizeof *offset));
    const struct place at = place_of(b, unit);
    const size_t image = (size_t)b->h * (size_t)b->w * (size_t)b->xs;
    struct sl_band_view view = {.x = copy, .offset = offset, .first = (at.n * b->oh + at.p) * b->ow};
    if (b->in_place) {
        view.row = (ptrdiff_t)b->w * b->xs;
        view.x = x + (size_t)at.n * image + at.p * b->stride_h * view.row;
        view.pixels = fill_offsets(b, at.rows, at.images, (ptrdiff_t)image, view.row, b->xs, offset);
        return view;
    }
    view.row = (ptrdiff_t)(input_columns(b) * b->c);
    view.pixels = fill_offsets(b, at.rows, at.images, (ptrdiff_t)input_rows(b, at.rows) * view.row, view.row, b->c, offset);
    for (int32_t i = 0; i < at.images; i++)
        copy = copy_rows(b, x + (size_t)(at.n + i) * image, at.p, at.rows, copy);
    return view;
}
