/* How backward-weights on AMX lays out what it multiplies: for a unit of output pixels, x by pairs of pixels and dy by
 * channels; of floats, in parts (conv_amx_element.h).
 *
 * Both are in positions. A position is a column of a plane; a plane holds every stride-th row and every stride-th
 * column of padded x, so that tap (r, s) of output pixel (p, q) lies in plane (r % stride, s % stride), r/stride rows
 * and s/stride columns behind position (p, q). Positions that are no output pixel have zeros for dy, and add nothing.
 *
 * A tap is an offset into a plane. Pairs that begin at even positions serve the taps of even offsets; where there are
 * others, x is also laid out in pairs that begin at odd ones. So a register of either is 16 whole cache lines. */
#ifndef SL_KERNELS_CONV_AMX_GATHER_H
#define SL_KERNELS_CONV_AMX_GATHER_H

#include "kernels/conv/conv.h"
#include "kernels/conv/conv_amx_element.h"
#include "kernels/conv/units.h"

/* Channels that are laid out in one go: two neighbouring cache lines of each pixel. */
enum { AMX_GATHERED = 128 / sizeof(amx_element) };

/* What a position has where there is no pixel. */
static const amx_element amx_no_pixel[AMX_GATHERED];

struct amx_planes {
    const struct sl_conv2d *s;
    struct sl_units units;
    int32_t across, down; /* planes: along a row, along a column */
    int32_t columns;      /* positions of a row */
    int32_t positions;    /* of the largest unit, those of its last output pixels' last taps included */
    int32_t steps;        /* of 32 positions that hold all output pixels of the largest unit */
    int32_t parities;     /* of pairs: 1, if only even positions begin one, or 2 */
    int32_t pitch;        /* by channels: elements from one channel to the next, an odd number of cache lines */
    ptrdiff_t tile;       /* pairs: elements from 16 channels to the next 16, a cache line more than they have */
};

/* Rows of a plane under `rows` rows of the output. */
static int32_t amx_plane_rows(const struct sl_conv2d *s, int32_t rows)
{
    return rows + (s->kh - 1) / s->stride_h;
}

/* Positions from the first output pixel of a unit to its last, both included. */
static int32_t amx_unit_positions(const struct amx_planes *p, int32_t images, int32_t rows)
{
    return ((images - 1) * amx_plane_rows(p->s, rows) + rows - 1) * p->columns + p->s->ow;
}

static int32_t amx_steps_of(int32_t positions)
{
    return (positions + T_DEPTH - 1) / T_DEPTH;
}

static struct amx_planes amx_planes_of(const struct sl_conv2d *s)
{
    const int32_t k = s->k < 256 ? s->k : 256;
    const struct sl_units_input input = {
        .row_bytes = (size_t)s->w * (size_t)(s->c + k) * sizeof(amx_element), .stride = s->stride_h, .kernel = s->kh};
    const struct sl_units_goal goal = {.bytes = 384 << 10, .most = 1024};
    struct amx_planes p = {.s = s,
                           .units = sl_units_plan(s->n, s->oh, s->ow, &input, &goal),
                           .across = s->stride_w < s->kw ? s->stride_w : s->kw,
                           .down = s->stride_h < s->kh ? s->stride_h : s->kh,
                           .columns = s->ow + (s->kw - 1) / s->stride_w};
    p.positions = p.units.images * amx_plane_rows(s, p.units.rows) * p.columns;
    p.steps = amx_steps_of(amx_unit_positions(&p, p.units.images, p.units.rows));
    const bool odd = s->kw > s->stride_w || (s->kh > s->stride_h && p.columns % 2);
    const int32_t most = sl_round_up(p.positions + T_DEPTH, T_DEPTH);
    p.parities = odd ? 2 : 1;
    p.tile = VL * (ptrdiff_t)most + T_DEPTH;
    p.pitch = most + (most / T_DEPTH % 2 ? 0 : T_DEPTH);
    return p;
}

/* The offset of tap (r, s) in its plane, and the number of that plane. */
static int32_t amx_tap_offset(const struct amx_planes *p, int32_t r, int32_t s)
{
    return r / p->s->stride_h * p->columns + s / p->s->stride_w;
}

static int32_t amx_tap_plane(const struct amx_planes *p, int32_t r, int32_t s)
{
    return r % p->s->stride_h * p->across + s % p->s->stride_w;
}

/* Elements of so many channels of a plane, in pairs of one parity. */
static ptrdiff_t amx_parity(const struct amx_planes *p, int32_t channels)
{
    return sl_round_up(channels, VL) / VL * p->tile;
}

/* Elements of x in pairs, one part. */
static size_t amx_pairs_elements(const struct amx_planes *p, int32_t channels)
{
    return (size_t)p->across * (size_t)p->down * (size_t)p->parities * (size_t)amx_parity(p, channels);
}

/* Where tap (r, s) of position 0 lies in x by pairs, for the first of `channels` channels. */
static ptrdiff_t amx_tap_at(const struct amx_planes *p, int32_t channels, int32_t r, int32_t s)
{
    const int32_t offset = amx_tap_offset(p, r, s), parity = offset % p->parities;
    return (amx_tap_plane(p, r, s) * p->parities + parity) * amx_parity(p, channels) + (ptrdiff_t)offset / 2 * T_DEPTH;
}

/* --- x ---------------------------------------------------------------------------------------------------------- */

/* A position of a plane of x, as the images of a unit have it. */
struct amx_position {
    int64_t n;
    int32_t row, column; /* of the plane */
};

/* The next 32 positions of plane (a, b) on from `at`: where the pixel of each lies. */
static inline void amx_next_pixels(const struct amx_planes *p, const amx_element *x, const struct sl_unit *unit,
                                   int32_t a, int32_t b, struct amx_position *at, const amx_element *pixel[T_DEPTH])
{
    const struct sl_conv2d *s = p->s;
    const int32_t rows = amx_plane_rows(s, unit->rows);
    for (int k = 0; k < T_DEPTH;) {
        const int64_t i = ((int64_t)unit->p + at->row) * s->stride_h + a - s->pad_top;
        const bool inside = at->n < unit->n + unit->images && 0 <= i && i < s->h;
        const amx_element *row = inside ? x + (at->n * s->h + i) * s->w * s->xs : NULL;
        int64_t j = (int64_t)at->column * s->stride_w + b - s->pad_left;
        for (; k < T_DEPTH && at->column < p->columns; k++, at->column++, j += s->stride_w)
            pixel[k] = inside && 0 <= j && j < s->w ? row + j * s->xs : amx_no_pixel;
        if (at->column == p->columns) {
            at->column = 0;
            if (++at->row == rows) {
                at->row = 0;
                at->n++;
            }
        }
    }
}

static inline void amx_store_pair(amx_lanes a, amx_lanes b, sl_bf16 *to, ptrdiff_t part)
{
    t_words pair[AMX_PARTS];
    amx_pair(a, b, pair);
    for (int p = 0; p < AMX_PARTS; p++)
        t_store_words(to + p * part, pair[p]);
}

/* Up to 16 channels, from `first` on, of 32 positions by pairs: a register, and one of the other parity, `odd` elements
 * behind it, for which pixel[T_DEPTH] counts as well. */
static inline __attribute__((always_inline)) void amx_pair_pixels(const amx_element *const pixel[], int32_t first,
                                                                  const int32_t channels, const int parities,
                                                                  ptrdiff_t odd, sl_bf16 *to, ptrdiff_t part)
{
    amx_lanes a = amx_load_head(pixel[0] + first, channels);
#pragma GCC unroll 4
    for (int i = 0; i < T_DEPTH; i += 2) {
        const amx_lanes b = amx_load_head(pixel[i + 1] + first, channels);
        amx_store_pair(a, b, to + i * VL, part);
        if (parities > 1 || i + 2 < T_DEPTH)
            a = amx_load_head(pixel[i + 2] + first, channels);
        if (parities > 1)
            amx_store_pair(b, a, to + odd + i * VL, part);
    }
}

static inline void amx_pair_any(const amx_element *const pixel[], int32_t first, int32_t channels, int parities,
                                ptrdiff_t odd, sl_bf16 *to, ptrdiff_t part)
{
    if (channels >= VL && parities > 1)
        amx_pair_pixels(pixel, first, VL, 2, odd, to, part);
    else if (channels >= VL)
        amx_pair_pixels(pixel, first, VL, 1, odd, to, part);
    else if (parities > 1)
        amx_pair_pixels(pixel, first, channels, 2, odd, to, part);
    else
        amx_pair_pixels(pixel, first, channels, 1, odd, to, part);
}

/* Up to AMX_GATHERED channels of plane (a, b). */
static void amx_pair_plane(const struct amx_planes *p, const amx_element *x, const struct sl_unit *unit, int32_t a,
                           int32_t b, int32_t channels, ptrdiff_t odd, sl_bf16 *to, ptrdiff_t part)
{
    const int32_t positions = unit->images * amx_plane_rows(p->s, unit->rows) * p->columns;
    struct amx_position at = {.n = unit->n};
    const amx_element *pixel[2 * T_DEPTH];
    amx_next_pixels(p, x, unit, a, b, &at, pixel);
    for (int32_t i = 0; i < positions + T_DEPTH; i += T_DEPTH, to += T_ELEMENTS) {
        amx_next_pixels(p, x, unit, a, b, &at, pixel + T_DEPTH);
        for (int k = T_DEPTH; k < 2 * T_DEPTH; k++) /* asked for again: not all is still near */
            for (size_t line = 0; line < AMX_GATHERED * sizeof *x; line += 64)
                __builtin_prefetch((const char *)pixel[k] + line);
        for (int32_t c = 0; c < channels; c += VL)
            amx_pair_any(pixel, c, channels - c, p->parities, odd, to + c / VL * p->tile, part);
        memmove(pixel, pixel + T_DEPTH, T_DEPTH * sizeof *pixel);
    }
}

/* x of a unit by pairs: [part][plane][parity][tile of 16 channels][pair][16 channels][2]; positions past the last one
 * are zero. `x` points at the first of `channels` channels. */
static void amx_gather_x(const struct amx_planes *p, const amx_element *x, const struct sl_unit *unit, int32_t channels,
                         sl_bf16 *to)
{
    const ptrdiff_t part = (ptrdiff_t)amx_pairs_elements(p, channels), parity = amx_parity(p, channels);
    for (int32_t plane = 0; plane < p->down * p->across; plane++, to += p->parities * parity)
        for (int32_t c = 0; c < channels; c += AMX_GATHERED)
            amx_pair_plane(p, x + c, unit, plane / p->across, plane % p->across, amx_least(channels - c, AMX_GATHERED),
                           parity, to + c / VL * p->tile, part);
}

/* --- Transposed -------------------------------------------------------------------------------------------------- */

/* Sixteen channels, from `first` on, of 32 pixels, transposed: element c of the pixels, `pitch` elements from one c to
 * the next. */
static inline void amx_turn_whole(const amx_element *const pixel[T_DEPTH], int32_t first, ptrdiff_t pitch, sl_bf16 *to,
                                  ptrdiff_t part)
{
    for (int32_t c = 0; c < VL; c += 8, to += 8 * pitch) {
        t_words column[AMX_PARTS][8];
#pragma GCC unroll 8
        for (int i = 0; i < 8; i++) {
            t_words eights[AMX_PARTS];
            amx_load_eights(pixel + i, first + c, eights);
            for (int p = 0; p < AMX_PARTS; p++)
                column[p][i] = eights[p];
        }
        for (int p = 0; p < AMX_PARTS; p++) {
            t_turn_lanes(column[p]);
#pragma GCC unroll 8
            for (int i = 0; i < 8; i++)
                t_store_words(to + p * part + i * pitch, column[p][i]);
        }
    }
}

/* The same of up to `most` channels. */
static inline __attribute__((always_inline)) void amx_turn_most(const amx_element *const pixel[T_DEPTH], int32_t first,
                                                                int32_t channels, const int32_t most, ptrdiff_t pitch,
                                                                sl_bf16 *to, ptrdiff_t part)
{
    t_words word[AMX_PARTS][VL];
    for (int32_t i = 0; i < T_DEPTH; i += 2) {
        t_words pair[AMX_PARTS];
        amx_pair(amx_load_head(pixel[i] + first, channels), amx_load_head(pixel[i + 1] + first, channels), pair);
        for (int p = 0; p < AMX_PARTS; p++)
            word[p][i / 2] = pair[p];
    }
    for (int p = 0; p < AMX_PARTS; p++) {
        t_transpose(word[p]);
#pragma GCC unroll 16
        for (int32_t c = 0; c < most; c++)
            if (c < channels)
                t_store_words(to + p * part + c * pitch, word[p][c]);
    }
}

static void amx_turn(const amx_element *const pixel[T_DEPTH], int32_t first, int32_t channels, ptrdiff_t pitch,
                     sl_bf16 *to, ptrdiff_t part)
{
    enum { FEW = 4 };
    if (channels >= VL)
        amx_turn_whole(pixel, first, pitch, to, part);
    else if (channels <= FEW)
        amx_turn_most(pixel, first, channels, FEW, pitch, to, part);
    else
        amx_turn_most(pixel, first, channels, VL, pitch, to, part);
}

/* The output pixel at each position, counted from the unit's first; -1: none. */
static void amx_list_pixels(const struct amx_planes *p, const struct sl_unit *unit, int32_t *pixel)
{
    const int32_t rows = amx_plane_rows(p->s, unit->rows), ow = p->s->ow;
    memset(pixel, -1, (size_t)p->steps * T_DEPTH * sizeof *pixel);
    for (int32_t n = 0; n < unit->images; n++)
        for (int32_t i = 0; i < unit->rows; i++)
            for (int32_t q = 0; q < ow; q++)
                pixel[(n * rows + i) * p->columns + q] = (n * unit->rows + i) * ow + q;
}

/* Elements of dy by channels, one part. */
static size_t amx_dy_elements(const struct amx_planes *p, int32_t channels)
{
    return (size_t)sl_round_up(channels, VL) * (size_t)p->pitch;
}

/* dy of a unit by channels: [part][channel][position]. `dy` points at the first of `channels` channels of the unit's
 * first pixel. */
static void amx_gather_dy(const struct amx_planes *p, const amx_element *dy, const int32_t *pixel, int32_t steps,
                          int32_t channels, sl_bf16 *to)
{
    const ptrdiff_t ys = p->s->ys, part = (ptrdiff_t)amx_dy_elements(p, channels);
    for (int32_t t = 0; t < steps; t++, pixel += T_DEPTH, to += T_DEPTH)
        for (int32_t k = 0; k < channels; k += AMX_GATHERED) {
            const amx_element *from[T_DEPTH];
            const int32_t gathered = amx_least(channels - k, AMX_GATHERED);
            for (int32_t i = 0; i < T_DEPTH; i++)
                from[i] = pixel[i] < 0 ? amx_no_pixel : dy + pixel[i] * ys + k;
            for (int32_t j = 0; j < gathered; j += VL)
                amx_turn(from, j, gathered - j, p->pitch, to + (ptrdiff_t)(k + j) * p->pitch, part);
        }
}
#endif
