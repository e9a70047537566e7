/* The direct backward-weights on AMX where x has few channels: fewer than a register has rows. README.md derives it.
 *
 * Of a unit of output pixels, x is laid out by lines: padded row after padded row of x, a line for each of its
 * channels, which holds the columns of that row. The lines that tap row r of output row p meets, channel by channel,
 * are neighbours of those of r + 1: so a register of 16 lines x 32 columns holds all rows of a kernel of up to 16/c
 * rows, and another column of the kernel is the same lines some columns further on. dy is laid out by pairs of pixels,
 * row by row of the output; past the end of a row it has zeros.
 *
 * With strides a line has a plane for each phase of the columns: every stride-th column, from each of the first. */
#ifndef SL_KERNELS_CONV_AMX_WEIGHTS_FEW_H
#define SL_KERNELS_CONV_AMX_WEIGHTS_FEW_H

#include "kernels/conv/cells.h"
#include "kernels/conv/conv_amx_gather.h"
#include "kernels/conv/conv_amx_gradient_tile.h"

enum { AMX_FEW_AHEAD = 8192 }; /* how many elements ahead the layouts prefetch what they read */

struct amx_lines {
    const struct sl_conv2d *s;
    struct sl_units units;
    int32_t steps;   /* of 32 columns in a row of the output */
    int32_t across;  /* planes of a line */
    int32_t columns; /* of a plane */
    int32_t pitch;   /* elements from one line to the next, an odd number of cache lines */
    int32_t tiles;   /* of 16 lines under an output row, for each column of the kernel */
};

/* Floats are left to the rows of vectors: cutting them in parts takes longer than multiplying. */
static bool amx_is_few(const struct sl_conv2d *s)
{
    return AMX_PARTS == 1 && s->c < VL && s->kh * s->kw > 1;
}

static struct amx_lines amx_lines_of(const struct sl_conv2d *s)
{
    const struct sl_units_input input = {.row_bytes = (size_t)s->w * (size_t)(s->c + sl_round_up(s->k, VL)) *
                                                      AMX_PARTS * sizeof(sl_bf16),
                                         .stride = s->stride_h,
                                         .kernel = s->kh};
    const struct sl_units_goal goal = {.bytes = 96 << 10, .most = 1024};
    struct amx_lines l = {.s = s,
                          .units = sl_units_plan(s->n, s->oh, s->ow, &input, &goal),
                          .steps = (s->ow + T_DEPTH - 1) / T_DEPTH,
                          .across = s->stride_w < s->kw ? s->stride_w : s->kw,
                          .tiles = (s->kh * s->c + VL - 1) / VL};
    const int32_t met = l.steps * T_DEPTH + (s->kw - 1) / s->stride_w;
    const int32_t held = s->pad_left / s->stride_w + 1 + sl_round_up((s->w - 1) / s->stride_w + 1, T_DEPTH);
    l.columns = sl_round_up(met > held ? met : held, T_DEPTH);
    l.pitch = l.across * l.columns + (l.across * (l.columns / T_DEPTH) % 2 ? 0 : T_DEPTH);
    return l;
}

/* Padded rows of x under `rows` rows of the output. */
static int32_t amx_lines_rows(const struct amx_lines *l, int32_t rows)
{
    return (rows - 1) * l->s->stride_h + l->s->kh;
}

/* Elements of one part: of the lines of a unit, with what a register reads past the last of them; of dy by pairs. */
static size_t amx_lines_elements(const struct amx_lines *l)
{
    const int32_t rows = l->units.images * amx_lines_rows(l, l->units.rows);
    return ((size_t)rows * (size_t)l->s->c + VL) * (size_t)l->pitch;
}

static size_t amx_few_dy_elements(const struct amx_lines *l, int32_t channels)
{
    return (size_t)(sl_round_up(channels, VL) / VL) * (size_t)l->units.images * (size_t)l->units.rows *
           (size_t)l->steps * T_ELEMENTS;
}

/* Registers of sums of so many output channels: [tile of them][column of the kernel][tile of lines]. */
static size_t amx_few_sums(const struct amx_lines *l, int32_t channels)
{
    return (size_t)(sl_round_up(channels, VL) / VL) * (size_t)l->s->kw * (size_t)l->tiles;
}

/* Bytes of scratch for an area of k output channels. */
static size_t amx_few_scratch(const struct amx_lines *l, int32_t k)
{
    return AMX_PARTS * sizeof(sl_bf16) * (amx_lines_elements(l) + amx_few_dy_elements(l, k)) +
           amx_few_sums(l, k) * T_BYTES;
}

/* --- Laying out -------------------------------------------------------------------------------------------------- */

/* Plane b of the lines of one row of x. */
static void amx_lines_plane(const struct amx_lines *l, const amx_element *row, int32_t b, sl_bf16 *to, ptrdiff_t part)
{
    const struct sl_conv2d *s = l->s;
    const int32_t begin = s->pad_left > b ? (s->pad_left - b + s->stride_w - 1) / s->stride_w : 0;
    const amx_element *pixel[T_DEPTH];
    int32_t j = begin * s->stride_w + b - s->pad_left; /* the column of x */
    for (to += begin; j < s->w; to += T_DEPTH) {
        for (int32_t i = 0; i < T_DEPTH; i++, j += s->stride_w) {
            pixel[i] = j < s->w ? row + (ptrdiff_t)j * s->xs : amx_no_pixel;
            __builtin_prefetch(row + (ptrdiff_t)j * s->xs + AMX_FEW_AHEAD);
        }
        amx_turn(pixel, 0, s->c, l->pitch, to, part);
    }
}

/* x of a unit by lines: [part][padded row][channel][plane][column]. */
static void amx_lay_lines(const struct amx_lines *l, const amx_element *x, const struct sl_unit *unit, sl_bf16 *to)
{
    const struct sl_conv2d *s = l->s;
    const ptrdiff_t part = (ptrdiff_t)amx_lines_elements(l), line = (ptrdiff_t)s->c * l->pitch;
    const int64_t begin = (int64_t)unit->p * s->stride_h - s->pad_top, end = begin + amx_lines_rows(l, unit->rows);
    for (int64_t n = unit->n; n < unit->n + unit->images; n++)
        for (int64_t i = begin; i < end; i++, to += line) {
            for (int p = 0; p < AMX_PARTS; p++)
                memset(to + p * part, 0, (size_t)line * sizeof *to);
            for (int32_t b = 0; b < l->across && 0 <= i && i < s->h; b++)
                amx_lines_plane(l, x + (n * s->h + i) * s->w * s->xs, b, to + b * l->columns, part);
        }
}

/* Up to 16 channels of one row of the output by pairs of pixels. */
static void amx_pair_row(const struct amx_lines *l, const amx_element *dy, int32_t channels, sl_bf16 *to,
                         ptrdiff_t part)
{
    const ptrdiff_t ys = l->s->ys;
    const int32_t ow = l->s->ow;
    const amx_lanes none = {0};
    int32_t q = 0;
    for (; q + 1 < ow; q += 2, dy += 2 * ys, to += T_DEPTH) {
        __builtin_prefetch(dy + AMX_FEW_AHEAD);
        __builtin_prefetch(dy + ys + AMX_FEW_AHEAD);
        amx_store_pair(amx_load_head(dy, channels), amx_load_head(dy + ys, channels), to, part);
    }
    for (; q < l->steps * T_DEPTH; q += 2, to += T_DEPTH)
        amx_store_pair(q < ow ? amx_load_head(dy, channels) : none, none, to, part);
}

/* dy of a unit by pairs: [part][tile of 16 channels][row][step][register]. `dy` points at the area's first channel. */
static void amx_pair_rows(const struct amx_lines *l, const amx_element *dy, const struct sl_unit *unit,
                          int32_t channels, sl_bf16 *to)
{
    const struct sl_conv2d *s = l->s;
    const ptrdiff_t part = (ptrdiff_t)amx_few_dy_elements(l, channels), row = (ptrdiff_t)l->steps * T_ELEMENTS;
    const int32_t rows = unit->images * unit->rows;
    dy += (unit->n * s->oh + unit->p) * s->ow * s->ys;
    for (int32_t i = 0; i < rows; i++, to += row, dy += (ptrdiff_t)s->ow * s->ys)
        for (int32_t k = 0; k < channels; k += VL)
            amx_pair_row(l, dy + k, amx_least(channels - k, VL), to + k / VL * rows * row, part);
}

/* --- Adding ------------------------------------------------------------------------------------------------------- */

/* Adds a unit to one or two registers of lines times one or two of dy. */
static inline __attribute__((always_inline)) void amx_few_add(struct t_state *tiles, const int as, const int bs,
                                                              const struct amx_lines *l, const struct sl_unit *unit,
                                                              const struct amx_product *p)
{
    const ptrdiff_t line = (ptrdiff_t)l->s->c * l->pitch, row = l->s->stride_h * line;
    struct amx_operands o = p->operands;
    const ptrdiff_t second = o.a[1] - o.a[0];
    const sl_bf16 *image = o.a[0];
    amx_take_sums(tiles, as, bs, p);
    for (int32_t n = 0; n < unit->images; n++, image += amx_lines_rows(l, unit->rows) * line)
        for (int32_t i = 0; i < unit->rows; i++)
            for (int32_t t = 0; t < l->steps; t++) {
                o.a[0] = image + i * row + t * T_DEPTH;
                o.a[1] = o.a[0] + second;
                amx_step(tiles, as, bs, false, &o);
                o.b[0] += T_ELEMENTS;
                o.b[1] += T_ELEMENTS;
            }
    amx_leave_sums(tiles, as, bs, p);
}

static void amx_few_add_any(struct t_state *tiles, int as, int bs, const struct amx_lines *l,
                            const struct sl_unit *unit, const struct amx_product *p)
{
    if (as > 1 && bs > 1)
        amx_few_add(tiles, 2, 2, l, unit, p);
    else if (as > 1)
        amx_few_add(tiles, 2, 1, l, unit, p);
    else if (bs > 1)
        amx_few_add(tiles, 1, 2, l, unit, p);
    else
        amx_few_add(tiles, 1, 1, l, unit, p);
}

/* An area: some output channels. */
struct amx_few {
    struct amx_lines lines;
    const struct sl_conv2d_bwd_weights *a;
    struct t_state *tiles;
    int32_t k, channels; /* the first, how many */
    sl_bf16 *x, *dy;
    float *sums;
};

/* Where a tile of lines lies for the first row of the output, as they are counted in sums. */
static const sl_bf16 *amx_few_at(const struct amx_few *f, int32_t tile)
{
    const struct amx_lines *l = &f->lines;
    const int32_t column = tile / l->tiles, stride = l->s->stride_w;
    return f->x + (ptrdiff_t)(tile % l->tiles) * VL * l->pitch + column % stride * l->columns + column / stride;
}

/* Adds one unit to all sums. */
static void amx_few_unit(const struct amx_few *f, int64_t number, bool first)
{
    const struct amx_lines *l = &f->lines;
    const struct sl_unit unit = sl_units_at(&l->units, number);
    const int32_t tiles = l->s->kw * l->tiles, k_tiles = sl_round_up(f->channels, VL) / VL;
    const int64_t steps = (int64_t)unit.images * unit.rows * l->steps;
    amx_lay_lines(l, f->a->x, &unit, f->x);
    amx_pair_rows(l, (const amx_element *)f->a->dy + f->k, &unit, f->channels, f->dy);
    for (int32_t i = 0; i < tiles; i += 2)
        for (int32_t k = 0; k < k_tiles; k += 2) {
            struct amx_product p = {.operands = {.pitch = l->pitch * (ptrdiff_t)sizeof(sl_bf16),
                                                 .a_part = (ptrdiff_t)amx_lines_elements(l),
                                                 .b_part = (ptrdiff_t)amx_few_dy_elements(l, f->channels)},
                                    .first = first};
            const int as = amx_least(tiles - i, 2), bs = amx_least(k_tiles - k, 2);
            for (int b = 0; b < bs; b++)
                p.operands.b[b] = f->dy + (k + b) * steps * T_ELEMENTS;
            for (int a = 0; a < as; a++) {
                p.operands.a[a] = amx_few_at(f, i + a);
                for (int b = 0; b < bs; b++)
                    p.sums[a][b] = f->sums + ((k + b) * tiles + i + a) * T_SUMS;
            }
            amx_few_add_any(f->tiles, as, bs, l, &unit, &p);
        }
}

/* Brings the sums, which have a row for each line, to where they belong in dw. */
static void amx_few_store(const struct amx_few *f, float *dw)
{
    const struct sl_conv2d *s = f->lines.s;
    const int32_t tiles = s->kw * f->lines.tiles;
    dw += (ptrdiff_t)f->k * s->kh * s->kw * s->c;
    for (int32_t k = 0; k < f->channels; k++) {
        const float *sums = f->sums + k / VL * tiles * T_SUMS + k % VL;
        for (int32_t r = 0; r < s->kh; r++)
            for (int32_t column = 0; column < s->kw; column++)
                for (int32_t c = 0; c < s->c; c++) /* rows of a column of the kernel follow each other across tiles */
                    *dw++ = sums[(ptrdiff_t)column * f->lines.tiles * T_SUMS + (r * s->c + c) * VL];
    }
}

/* Output channels [k, k_end) of dw, over one of so many parts of the units. */
static void amx_few_area(const struct sl_conv2d *s, const struct sl_conv2d_bwd_weights *a, const struct sl_area *at,
                         int64_t part, int64_t parts, struct t_state *tiles, void *scratch)
{
    struct amx_few f = {
        .lines = amx_lines_of(s), .a = a, .tiles = tiles, .k = at->k, .channels = at->k_end - at->k, .x = scratch};
    f.dy = f.x + AMX_PARTS * amx_lines_elements(&f.lines);
    f.sums = (void *)(f.dy + AMX_PARTS * amx_few_dy_elements(&f.lines, f.channels));
    const int64_t units = sl_units_count(&f.lines.units), begin = units * part / parts;
    memset(f.x, 0, AMX_PARTS * amx_lines_elements(&f.lines) * sizeof *f.x);
    for (int64_t i = begin; i < units * (part + 1) / parts; i++)
        amx_few_unit(&f, i, i == begin);
    amx_few_store(&f, a->dw + (size_t)part * sl_conv2d_weights(s));
}
#endif
