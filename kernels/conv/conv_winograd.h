/* Winograd's convolution, forward and backward-data, as a template over the names of simd/vec_*.h. README.md derives it
 * and draws a block.
 *
 * Both passes are one computation: backward-data is the forward pass of dy under the turned kernel, with input and
 * output channels exchanged. It takes stride 1 and kernels of 2 x 2 and 3 x 3, with any padding.
 *
 * Packed weights are U: [panel of output channels][frequency][channel of the source][panel], with zeros past the last
 * channels, and a cache line left free after each frequency. */
#ifndef SL_KERNELS_CONV_WINOGRAD_BODY_H
#define SL_KERNELS_CONV_WINOGRAD_BODY_H

#include <string.h>

#include "kernels/contract.h"
#include "kernels/conv/conv.h"
#include "kernels/conv/conv_winograd_form.h"
#include "kernels/kernels.h"
#include "kernels/norm/norm.h"

enum {
    WINOGRAD_MOST_SCRATCH = 1 << 28,
    WINOGRAD_NEAR = V_REGISTERS == 32 ? 1280 << 10 : 320 << 10, /* bytes of V that should stay in L2 */
    WINOGRAD_MOST_GROUPS = 4,                                   /* of a block; more tiles gain nothing */
    WINOGRAD_UNITS = 16,    /* wanted: blocks are made smaller until there are so many */
    WINOGRAD_FAR = 8 << 20, /* bytes of an output that is sent past the caches */
    WINOGRAD_GAP = 64 / sizeof(float),
};

/* What both passes have become. */
struct winograd {
    enum sl_winograd which;
    int32_t h, w, c, xs;   /* source: rows, columns, channels, floats of a pixel */
    int32_t oh, ow, k, ys; /* output */
    int32_t pad_top, pad_left;
    bool turned;
    int32_t down, across; /* tiles of an image: of a column, of a row */
    int64_t tiles;        /* of all images */
    int32_t width, block; /* output channels of a panel; tiles of a block, which is what a unit computes */
    const float *x, *weights, *bias;
    float slope;
    float *y, *moments;
    bool streams; /* y goes past the caches */
};

/* --- sizes ----------------------------------------------------------------------------------------------------- */

static int32_t winograd_frequencies(const struct winograd *w)
{
    return sl_winograd_forms[w->which].t * sl_winograd_forms[w->which].t;
}

/* Channels of the source with the zeros after the last: whole vectors. */
static int32_t winograd_channels(const struct winograd *w)
{
    return sl_round_up(w->c, SL_LANES);
}

/* V is [group][chunk of channels][frequency][row][WINOGRAD_CHUNK]. */
static ptrdiff_t winograd_v_step(const struct winograd *w)
{
    return (ptrdiff_t)winograd_rows(w->width) * WINOGRAD_CHUNK;
}

static ptrdiff_t winograd_v_chunk(const struct winograd *w)
{
    return winograd_frequencies(w) * winograd_v_step(w);
}

static ptrdiff_t winograd_v_group(const struct winograd *w)
{
    return (winograd_channels(w) + WINOGRAD_CHUNK - 1) / WINOGRAD_CHUNK * winograd_v_chunk(w);
}

/* M is [group][frequency][row][panel], with a line free after each frequency: the frequencies of an output should not
 * compete for a few sets of the first-level cache. */
static ptrdiff_t winograd_m_step(const struct winograd *w)
{
    return (ptrdiff_t)winograd_rows(w->width) * w->width + (ptrdiff_t)WINOGRAD_GAP;
}

static ptrdiff_t winograd_m_group(const struct winograd *w)
{
    return winograd_frequencies(w) * winograd_m_step(w);
}

static ptrdiff_t winograd_u_step(const struct winograd *w)
{
    return (ptrdiff_t)winograd_channels(w) * w->width + (ptrdiff_t)WINOGRAD_GAP;
}

static ptrdiff_t winograd_u_panel(const struct winograd *w)
{
    return winograd_frequencies(w) * winograd_u_step(w);
}

static int32_t winograd_panels(const struct winograd *w)
{
    return (w->k + w->width - 1) / w->width;
}

static int32_t winograd_groups(const struct winograd *w)
{
    return (w->block + winograd_rows(w->width) - 1) / winograd_rows(w->width);
}

static size_t winograd_scratch(const struct winograd *w)
{
    return (size_t)winograd_groups(w) * (size_t)(winograd_v_group(w) + winograd_m_group(w)) * sizeof(float);
}

static int64_t winograd_units(const struct winograd *w)
{
    return (w->tiles + w->block - 1) / w->block;
}

/* --- the plan -------------------------------------------------------------------------------------------------- */

/* A block has whole groups: as many as leave V in the second-level cache. */
static int32_t winograd_most_groups(const struct winograd *w)
{
    const ptrdiff_t fit = WINOGRAD_NEAR / (winograd_v_group(w) * (ptrdiff_t)sizeof(float));
    return fit < 2 ? 2 : fit < WINOGRAD_MOST_GROUPS ? (int32_t)fit : WINOGRAD_MOST_GROUPS;
}

static void winograd_plan(struct winograd *w, int32_t r, int32_t n)
{
    w->which = sl_winograd_choose(r, w->oh, w->ow);
    const int32_t m = sl_winograd_forms[w->which].m;
    w->down = (w->oh + m - 1) / m;
    w->across = (w->ow + m - 1) / m;
    w->tiles = (int64_t)n * w->down * w->across;
    w->width = winograd_width(w->k);
    w->slope = 1.0f;
    int32_t groups = winograd_most_groups(w);
    const int32_t rows = winograd_rows(w->width);
    while (groups > 1 && w->tiles < (int64_t)WINOGRAD_UNITS * groups * rows)
        groups--;
    w->block = groups * rows;
}

static struct winograd winograd_forward(const struct sl_conv2d *s)
{
    struct winograd w = {
        .h = s->h, .w = s->w, .c = s->c, .xs = s->xs, .oh = s->oh, .ow = s->ow, .k = s->k, .ys = s->ys};
    w.pad_top = s->pad_top;
    w.pad_left = s->pad_left;
    winograd_plan(&w, s->kh, s->n);
    return w;
}

static struct winograd winograd_backward(const struct sl_conv2d *s)
{
    struct winograd w = {
        .h = s->oh, .w = s->ow, .c = s->k, .xs = s->ys, .oh = s->h, .ow = s->w, .k = s->c, .ys = s->xs};
    w.pad_top = s->kh - 1 - s->pad_top;
    w.pad_left = s->kw - 1 - s->pad_left;
    w.turned = true;
    winograd_plan(&w, s->kh, s->n);
    return w;
}

/* Fewer channels than a chunk would be multiplied by zeros for the most part. Whole chunks are read: the zeros after
 * the last channel are there. */
static bool winograd_takes(const struct sl_conv2d *s)
{
    return s->stride_h == 1 && s->stride_w == 1 && s->kh == s->kw && (s->kh == 2 || s->kh == 3) && s->c >= SL_LANES &&
           s->k >= SL_LANES && s->xs >= sl_round_up(s->c, SL_LANES) && s->ys >= sl_round_up(s->k, SL_LANES);
}

/* Scratch of the largest block decides whether the shape is taken, so that the number of images does not. */
static bool winograd_need(const struct winograd *w, struct sl_need *need)
{
    struct winograd most = *w;
    most.block = winograd_most_groups(w) * winograd_rows(w->width);
    *need = (struct sl_need){
        .units = winograd_units(w),
        .scratch = winograd_scratch(w),
        .state = sizeof *w,
        .pack_units = winograd_panels(w),
        .packed = (size_t)winograd_panels(w) * (size_t)winograd_u_panel(w) * sizeof(float),
    };
    return winograd_scratch(&most) <= WINOGRAD_MOST_SCRATCH;
}

/* --- weights --------------------------------------------------------------------------------------------------- */

/* Taps of VL output channels x SL_LANES source channels, as [tap][channel of the source][output]. */
static void winograd_gather(const struct winograd *w, const float *weights, int32_t first, int32_t c,
                            float taps[][SL_LANES][VL])
{
    const int32_t r = sl_winograd_forms[w->which].r, all = r * r;
    const ptrdiff_t filter = (ptrdiff_t)all * (w->turned ? w->k : w->c);
    const ptrdiff_t k_step = w->turned ? 1 : filter, c_step = w->turned ? filter : 1;
    for (int32_t tap = 0; tap < all; tap++) {
        const float *from = weights + (ptrdiff_t)(w->turned ? all - 1 - tap : tap) * (filter / all);
        for (int32_t i = 0; i < SL_LANES; i++)
            for (int32_t k = 0; k < VL; k++)
                taps[tap][i][k] =
                    c + i < w->c && first + k < w->k ? from[(first + k) * k_step + (c + i) * c_step] : 0.0f;
    }
}

static void winograd_pack_panel(const struct winograd *w, const float *weights, int32_t first, const float *scale,
                                float *u)
{
    float taps[SL_WINOGRAD_KERNEL * SL_WINOGRAD_KERNEL][SL_LANES][VL];
    for (int32_t k = 0; k < w->width; k += VL)
        for (int32_t c = 0; c < w->c; c += SL_LANES) {
            winograd_gather(w, weights, first + k, c, taps);
            for (int32_t i = 0; i < SL_LANES; i++)
                winograd_transforms[w->which].kernel(taps[0][i], SL_LANES * VL, scale,
                                                     u + (ptrdiff_t)(c + i) * w->width + k, winograd_u_step(w));
        }
    for (int32_t f = 0; f < winograd_frequencies(w); f++)
        memset(u + (f + 1) * winograd_u_step(w) - WINOGRAD_GAP, 0, WINOGRAD_GAP * sizeof *u);
}

static void winograd_pack(const struct winograd *w, const float *weights, float *packed, const struct sl_work *work)
{
    const int32_t t = sl_winograd_forms[w->which].t;
    float scale[SL_WINOGRAD_POINTS * SL_WINOGRAD_POINTS];
    for (int32_t i = 0; i < t * t; i++)
        scale[i] = (float)(1.0 / (sl_winograd_divisor(t, i / t) * sl_winograd_divisor(t, i % t)));
    assert(sl_slice_is_within(work, winograd_panels(w)));
    for (int64_t p = work->begin; p < work->end; p++)
        winograd_pack_panel(w, weights, (int32_t)p * w->width, scale, packed + p * winograd_u_panel(w));
}

/* --- one block ------------------------------------------------------------------------------------------------- */

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
    const int32_t rows = winograd_rows(w->width), channels = winograd_channels(w);
    for (int32_t c = 0, steps; c < channels; c += steps) {
        steps = channels - c < WINOGRAD_PIECE ? channels - c : WINOGRAD_PIECE;
        struct winograd_piece piece = {
            .v = v + c / WINOGRAD_CHUNK * winograd_v_chunk(w),
            .v_chunk = winograd_v_chunk(w),
            .u = u + (ptrdiff_t)c * w->width,
            .channels = steps,
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

/* An output that the caches cannot hold until it is read is not brought into them to be overwritten. That takes vectors
 * of a whole cache line: halves of many lines leave the processor one by one. */
static bool winograd_streams(const struct winograd *w)
{
    const size_t pixels = (size_t)(w->tiles / (w->down * w->across)) * (size_t)w->oh * (size_t)w->ow;
    return w->ys % SL_LANES == 0 && (uintptr_t)w->y % (SL_LANES * sizeof(float)) == 0 &&
           pixels * (size_t)w->ys * sizeof(float) >= WINOGRAD_FAR;
}

static void winograd_slice(struct winograd *w, const struct sl_work *work)
{
    w->streams = winograd_streams(w);
    for (int64_t unit = work->begin; unit < work->end; unit++) {
        const int64_t first = unit * w->block, left = w->tiles - first;
        float *record = w->moments ? w->moments + (size_t)unit * sl_moments_size(w->ys) : NULL;
        winograd_block(w, first, left < w->block ? (int32_t)left : w->block, work->scratch, record);
    }
    v_streamed();
}

/* --- conv2d_fwd ------------------------------------------------------------------------------------------------ */

static bool winograd_forward_need(const void *shape, struct sl_need *need)
{
    const struct sl_conv2d *s = shape;
    if (!winograd_takes(s))
        return false;
    const struct winograd w = winograd_forward(s);
    return winograd_need(&w, need);
}

static int winograd_forward_open(const void *shape, const struct sl_device *device, void *state)
{
    (void)device;
    *(struct winograd *)state = winograd_forward(shape);
    return SL_OK;
}

static void winograd_pack_slice(const void *shape, const float *weights, void *packed, const struct sl_work *work)
{
    (void)shape; /* the state holds what follows from it */
    winograd_pack(work->state, weights, packed, work);
}

static void winograd_forward_slice(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_conv2d_fwd *a = args;
    struct winograd w = *(const struct winograd *)work->state;
    (void)shape;
    assert(sl_conv2d_is_sound(shape) && sl_work_fits(work, winograd_forward_need, shape));
    assert(sl_are_apart(a->x, sl_conv2d_inputs(shape), a->y, sl_conv2d_outputs(shape)));
    w.x = a->x;
    w.weights = a->weights;
    w.bias = a->bias;
    w.slope = a->slope;
    w.y = a->y;
    w.moments = a->moments;
    winograd_slice(&w, work);
}

/* --- conv2d_bwd_data ------------------------------------------------------------------------------------------- */

static bool winograd_backward_need(const void *shape, struct sl_need *need)
{
    const struct sl_conv2d *s = shape;
    if (!winograd_takes(s))
        return false;
    const struct winograd w = winograd_backward(s);
    return winograd_need(&w, need);
}

static int winograd_backward_open(const void *shape, const struct sl_device *device, void *state)
{
    (void)device;
    *(struct winograd *)state = winograd_backward(shape);
    return SL_OK;
}

static void winograd_backward_slice(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_conv2d_bwd_data *a = args;
    struct winograd w = *(const struct winograd *)work->state;
    (void)shape;
    assert(sl_conv2d_is_sound(shape) && sl_work_fits(work, winograd_backward_need, shape));
    assert(sl_are_apart(a->dy, sl_conv2d_outputs(shape), a->dx, sl_conv2d_inputs(shape)));
    w.x = a->dy;
    w.weights = a->weights;
    w.y = a->dx;
    winograd_slice(&w, work);
}

const struct sl_kernel V_NAME(sl_conv2d_fwd_winograd) = {
    .need = winograd_forward_need,
    .open = winograd_forward_open,
    .pack = winograd_pack_slice,
    .run = winograd_forward_slice,
};

const struct sl_kernel V_NAME(sl_conv2d_bwd_data_winograd) = {
    .need = winograd_backward_need,
    .open = winograd_backward_open,
    .pack = winograd_pack_slice,
    .run = winograd_backward_slice,
};
#endif
