/* A block of Winograd's convolution: source to V, V and U to M, M to y. A template over the names of simd/vec_*.h;
 * README.md draws it. */
#ifndef SL_KERNELS_CONV_WINOGRAD_BLOCK_H
#define SL_KERNELS_CONV_WINOGRAD_BLOCK_H

#include <string.h>

#include "kernels/conv/conv_winograd_form.h"
#include "kernels/conv/conv_winograd_plan.h"
#include "kernels/norm/norm.h"

/* Where a tile lies: its first output pixel. */
struct winograd_place {
    int64_t n;
    int32_t p, q;
};

static struct winograd_place winograd_place(const struct winograd *w, int64_t tile)
{
    const int32_t m = sl_winograd_forms[w->which].m, image = w->down * w->across, in_image = (int32_t)(tile % image);
    return (struct winograd_place){tile / image, in_image / w->across * m, in_image % w->across * m};
}

static int32_t winograd_within(int64_t i, int32_t most)
{
    return i < 0 ? 0 : i < most ? (int32_t)i : most;
}

/* Where tile i of a block lies in V and M. */
static ptrdiff_t winograd_v_at(const struct winograd *w, int32_t i)
{
    const int32_t rows = winograd_rows(w->width);
    return i / rows * winograd_v_group(w) + i % rows * WINOGRAD_CHUNK;
}

static ptrdiff_t winograd_m_at(const struct winograd *w, int32_t i)
{
    const int32_t rows = winograd_rows(w->width);
    return i / rows * winograd_m_group(w) + i % rows * w->width;
}

/* The source of tiles [begin, end) of the block that begins with tile `first`, transformed. */
static void winograd_input_block(const struct winograd *w, int64_t first, int32_t begin, int32_t end, float *v)
{
    const int32_t t = sl_winograd_forms[w->which].t;
    struct winograd_square s = {.row = (ptrdiff_t)w->w * w->xs, .pixel = w->xs};
    for (int32_t i = begin; i < end; i++) {
        const struct winograd_place at = winograd_place(w, first + i);
        const int64_t y = (int64_t)at.p - w->pad_top, x = (int64_t)at.q - w->pad_left;
        s.image = w->x + at.n * w->h * s.row;
        s.at = (ptrdiff_t)(y * s.row + x * s.pixel);
        s.top = winograd_within(-y, t);
        s.left = winograd_within(-x, t);
        s.bottom = winograd_within(w->h - y, t);
        s.right = winograd_within(w->w - x, t);
        winograd_transforms[w->which].input(&s, winograd_channels(w), v + winograd_v_at(w, i), winograd_v_chunk(w),
                                            winograd_v_step(w));
    }
}

/* M of one frequency: pieces of the sum x groups of tiles, from row `row` of a group on, where v and m point; next_v
 * is v at the frequency that comes after. Each group asks for its part of V that the next piece reads, and for a part
 * of the next piece of weights: between two panels more weights pass than leave V in the second-level cache. */
static void winograd_product(const struct winograd *w, int32_t row, int32_t count, const float *v, const float *next_v,
                             const float *u, float *m)
{
    const int32_t rows = winograd_rows(w->width), all = winograd_steps(w);
    const ptrdiff_t v_group = winograd_v_group(w), m_group = winograd_m_group(w);
    for (int32_t c = 0, steps; c < all; c += steps) {
        steps = all - c < WINOGRAD_PIECE ? all - c : WINOGRAD_PIECE;
        struct winograd_piece piece = {
            .v = v + c / WINOGRAD_CHUNK * winograd_v_chunk(w),
            .v_chunk = winograd_v_chunk(w),
            .u = u + (ptrdiff_t)c * w->width,
            .steps = steps,
            .m = m,
            .begins = c == 0,
            .next_u = (const char *)(u + (ptrdiff_t)(c + steps) * w->width),
            .next_v = c + steps < all ? v + (c + steps) / WINOGRAD_CHUNK * winograd_v_chunk(w) : next_v,
        };
        for (int32_t left = count, from = row, here; left > 0; left -= here, from = 0) {
            here = left < rows - from ? left : rows - from;
            winograd_tile_for(here, w->width)(&piece);
            piece.v += v_group - from * WINOGRAD_CHUNK;
            piece.m += m_group - from * w->width;
            piece.next_v += v_group - from * WINOGRAD_CHUNK;
            piece.next_u += (ptrdiff_t)steps * 64;
        }
    }
}

/* How the moments of `pixels` more are joined to those of `before`. */
static struct winograd_moments winograd_joining(float *record, int32_t ys, int32_t first, int32_t before,
                                                int32_t pixels)
{
    const float p = (float)pixels, q = (float)before;
    return (struct winograd_moments){record + first, record + ys + first, 1.0f / p, p / (p + q), p * q / (p + q)};
}

/* One panel, from output channel k on, of the outputs of tiles [begin, end) of a block: a stretch. */
static void winograd_output_block(const struct winograd *w, int64_t first, int32_t begin, int32_t end, int32_t k,
                                  const float *m, float *record)
{
    const int32_t pool = w->pool, oh = w->oh / pool, ow = w->ow / pool;
    const int32_t side = sl_winograd_forms[w->which].m / pool;
    const struct winograd_transforms *transforms = &winograd_transforms[w->which];
    float bias[WINOGRAD_VECTORS * VL] = {0};
    if (w->bias)
        memcpy(bias, w->bias + k, (size_t)(w->k - k < w->width ? w->k - k : w->width) * sizeof *bias);
    struct winograd_output o = {.row = (ptrdiff_t)ow * w->ys,
                                .pixel = w->ys,
                                .lanes = w->ys - k,
                                .streams = w->streams,
                                .bias = bias,
                                .slope = w->slope};
    int32_t pixels = 0;
    for (int32_t i = begin; i < end; i++) {
        const struct winograd_place at = winograd_place(w, first + i);
        const int32_t p = at.p / pool, q = at.q / pool;
        o.y = w->y + ((at.n * oh + p) * ow + q) * w->ys + k;
        o.rows = winograd_within(oh - p, side);
        o.columns = winograd_within(ow - q, side);
        if (record)
            o.moments = winograd_joining(record, w->ys, k, pixels, o.rows * o.columns);
        pixels += o.rows * o.columns;
        (pool == 2 ? transforms->pooled : transforms->output)(&o, m + winograd_m_at(w, i), winograd_m_step(w),
                                                              w->width);
    }
}

/* Lanes past the last panel are zero. */
static void winograd_clear(const struct winograd *w, int64_t first, int32_t count)
{
    const int32_t pool = w->pool, oh = w->oh / pool, ow = w->ow / pool;
    const int32_t side = sl_winograd_forms[w->which].m / pool, written = winograd_panels(w) * w->width;
    for (int32_t i = 0; i < count && written < w->ys; i++) {
        const struct winograd_place at = winograd_place(w, first + i);
        for (int32_t p = at.p / pool; p < oh && p < at.p / pool + side; p++)
            for (int32_t q = at.q / pool; q < ow && q < at.q / pool + side; q++)
                memset(w->y + ((at.n * oh + p) * ow + q) * w->ys + written, 0,
                       (size_t)(w->ys - written) * sizeof *w->y);
    }
}

/* Pixels of the image that tiles [first, first + count) have. */
static int32_t winograd_pixels(const struct winograd *w, int64_t first, int32_t count)
{
    const int32_t side = sl_winograd_forms[w->which].m;
    int32_t pixels = 0;
    for (int32_t i = 0; i < count; i++) {
        const struct winograd_place at = winograd_place(w, first + i);
        pixels += winograd_within(w->oh - at.p, side) * winograd_within(w->ow - at.q, side);
    }
    return pixels;
}

/* Clears the channels of a panel in the record of a stretch; with the last panel, the lanes past it as well. The first
 * panel says how many pixels there are. */
static void winograd_open_record(const struct winograd *w, int32_t panel, int32_t pixels, float *record)
{
    const int32_t k = panel * w->width, end = panel == winograd_panels(w) - 1 ? w->ys : k + w->width;
    memset(record + k, 0, (size_t)(end - k) * sizeof *record);
    memset(record + w->ys + k, 0, (size_t)(end - k) * sizeof *record);
    if (panel > 0)
        return;
    memset(record + 2 * w->ys, 0, SL_LANES * sizeof *record);
    record[2 * w->ys] = (float)pixels;
}

/* One panel of tiles [begin, end), whole stretches of the block that begins with tile `first`. */
static void winograd_panel(const struct winograd *w, int64_t first, int32_t panel, int32_t begin, int32_t end,
                           const float *v, float *m)
{
    const float *u = w->weights + panel * winograd_u_panel(w), *from = v + winograd_v_at(w, begin);
    float *to = m + winograd_m_at(w, begin);
    for (int32_t f = 0, all = winograd_frequencies(w); f < all; f++)
        winograd_product(w, begin % winograd_rows(w->width), end - begin, from + f * winograd_v_step(w),
                         from + (f + 1) % all * winograd_v_step(w), u + f * winograd_u_step(w),
                         to + f * winograd_m_step(w));
    for (int32_t at = begin, next; at < end; at = next) {
        const int64_t number = first / w->block * winograd_stretches(w, w->block) + at / w->stretch;
        float *record = w->moments ? w->moments + (size_t)number * sl_moments_size(w->ys) : NULL;
        next = end - at < w->stretch ? end : at + w->stretch;
        if (record)
            winograd_open_record(w, panel, winograd_pixels(w, first + at, next - at), record);
        winograd_output_block(w, first, at, next, panel * w->width, m, record);
    }
    if (panel == winograd_panels(w) - 1)
        winograd_clear(w, first + begin, end - begin);
}

/* Units [begin, end) of the block of `count` tiles that begins with tile `first`: some stretches of a panel, whole
 * panels, some stretches of another. */
static void winograd_block(const struct winograd *w, int64_t first, int32_t count, int32_t begin, int32_t end,
                           float *scratch)
{
    const int32_t stretches = winograd_stretches(w, count), last = end - 1;
    const bool one = begin / stretches == last / stretches;
    float *v = scratch, *m = scratch + winograd_groups(w) * winograd_v_group(w);
    winograd_input_block(w, first, one ? begin % stretches * w->stretch : 0,
                         one ? winograd_within((int64_t)(last % stretches + 1) * w->stretch, count) : count, v);
    for (int32_t panel = begin / stretches; panel <= last / stretches; panel++) {
        const int32_t from = winograd_within(begin - panel * stretches, stretches);
        const int32_t to = winograd_within(end - panel * stretches, stretches);
        winograd_panel(w, first, panel, from * w->stretch, winograd_within((int64_t)to * w->stretch, count), v, m);
    }
}
#endif
