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

/* The source of tiles [first, first + count), transformed. */
static void winograd_input_block(const struct winograd *w, int64_t first, int32_t count, float *v)
{
    const int32_t t = sl_winograd_forms[w->which].t, rows = winograd_rows(w->width);
    struct winograd_square s = {.row = (ptrdiff_t)w->w * w->xs, .pixel = w->xs};
    for (int32_t i = 0; i < count; i++) {
        const struct winograd_place at = winograd_place(w, first + i);
        const int64_t y = (int64_t)at.p - w->pad_top, x = (int64_t)at.q - w->pad_left;
        s.image = w->x + at.n * w->h * s.row;
        s.at = (ptrdiff_t)(y * s.row + x * s.pixel);
        s.top = winograd_within(-y, t);
        s.left = winograd_within(-x, t);
        s.bottom = winograd_within(w->h - y, t);
        s.right = winograd_within(w->w - x, t);
        winograd_transforms[w->which].input(&s, winograd_channels(w),
                                            v + i / rows * winograd_v_group(w) + i % rows * WINOGRAD_CHUNK,
                                            winograd_v_chunk(w), winograd_v_step(w));
    }
}

/* M of one frequency: pieces of the sum x groups of tiles. Each group asks for a part of the piece of weights that
 * comes after this one. */
static void winograd_product(const struct winograd *w, int32_t count, const float *v, const float *u, float *m)
{
    const int32_t rows = winograd_rows(w->width), all = winograd_steps(w);
    for (int32_t c = 0, steps; c < all; c += steps) {
        steps = all - c < WINOGRAD_PIECE ? all - c : WINOGRAD_PIECE;
        struct winograd_piece piece = {
            .v = v + c / WINOGRAD_CHUNK * winograd_v_chunk(w),
            .v_chunk = winograd_v_chunk(w),
            .u = u + (ptrdiff_t)c * w->width,
            .steps = steps,
            .m = m,
            .begins = c == 0,
            .next = (const char *)(u + (ptrdiff_t)(c + steps) * w->width),
        };
        for (int32_t i = 0; i < count; i += rows) {
            winograd_tile_for(count - i < rows ? count - i : rows, w->width)(&piece);
            piece.v += winograd_v_group(w);
            piece.m += winograd_m_group(w);
            piece.next += (ptrdiff_t)steps * 64;
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

/* One panel of the outputs of tiles [first, first + count). */
static void winograd_output_block(const struct winograd *w, int64_t first, int32_t count, int32_t k, const float *m,
                                  float *record)
{
    const int32_t side = sl_winograd_forms[w->which].m, rows = winograd_rows(w->width);
    float bias[WINOGRAD_VECTORS * VL] = {0};
    if (w->bias)
        memcpy(bias, w->bias + k, (size_t)(w->k - k < w->width ? w->k - k : w->width) * sizeof *bias);
    struct winograd_output o = {.row = (ptrdiff_t)w->ow * w->ys,
                                .pixel = w->ys,
                                .lanes = w->ys - k,
                                .streams = w->streams,
                                .bias = bias,
                                .slope = w->slope};
    int32_t pixels = 0;
    for (int32_t i = 0; i < count; i++) {
        const struct winograd_place at = winograd_place(w, first + i);
        o.y = w->y + ((at.n * w->oh + at.p) * w->ow + at.q) * w->ys + k;
        o.rows = winograd_within(w->oh - at.p, side);
        o.columns = winograd_within(w->ow - at.q, side);
        if (record)
            o.moments = winograd_joining(record, w->ys, k, pixels, o.rows * o.columns);
        pixels += o.rows * o.columns;
        winograd_transforms[w->which].output(&o, m + i / rows * winograd_m_group(w) + i % rows * w->width,
                                             winograd_m_step(w), w->width);
    }
}

/* Lanes past the last panel are zero. */
static void winograd_clear(const struct winograd *w, int64_t first, int32_t count)
{
    const int32_t side = sl_winograd_forms[w->which].m, written = winograd_panels(w) * w->width;
    for (int32_t i = 0; i < count && written < w->ys; i++) {
        const struct winograd_place at = winograd_place(w, first + i);
        for (int32_t p = at.p; p < w->oh && p < at.p + side; p++)
            for (int32_t q = at.q; q < w->ow && q < at.q + side; q++)
                memset(w->y + ((at.n * w->oh + p) * w->ow + q) * w->ys + written, 0,
                       (size_t)(w->ys - written) * sizeof *w->y);
    }
}

/* Pixels of the image that a block's tiles have. */
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

static void winograd_block(const struct winograd *w, int64_t first, int32_t count, float *scratch, float *record)
{
    float *v = scratch, *m = scratch + winograd_groups(w) * winograd_v_group(w);
    winograd_input_block(w, first, count, v);
    if (record) {
        memset(record, 0, sl_moments_size(w->ys) * sizeof *record);
        record[2 * w->ys] = (float)winograd_pixels(w, first, count);
    }
    for (int32_t p = 0; p < winograd_panels(w); p++) {
        const float *u = w->weights + p * winograd_u_panel(w);
        for (int32_t f = 0; f < winograd_frequencies(w); f++)
            winograd_product(w, count, v + f * winograd_v_step(w), u + f * winograd_u_step(w),
                             m + f * winograd_m_step(w));
        winograd_output_block(w, first, count, p * w->width, m, record);
    }
    winograd_clear(w, first, count);
}
#endif
