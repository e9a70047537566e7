/* The plan of Winograd's convolution: what forward and backward-data have become, which shapes are taken, and where
 * everything lies. A template over the names of simd/vec_*.h; README.md draws a block. */
#ifndef SL_KERNELS_CONV_WINOGRAD_PLAN_H
#define SL_KERNELS_CONV_WINOGRAD_PLAN_H

#include "kernels/conv/conv.h"
#include "kernels/conv/conv_element.h"
#include "kernels/conv/conv_winograd_tile.h"
#include "kernels/conv/units.h"
#include "kernels/kernels.h"

enum {
    WINOGRAD_MOST_SCRATCH = 1 << 28,
    /* Bytes of V at most. Where that is more than the second-level cache has left, the weights that fewer tiles would
     * read again cost more: AVX2 reads V once for each 16 output channels, AVX-512 once for each 64. */
    WINOGRAD_NEAR = V_REGISTERS == 32 ? 1280 << 10 : 320 << 10,
    WINOGRAD_MOST_GROUPS = 4, /* of a block; more tiles gain nothing */
    WINOGRAD_GAP = SL_LANES,  /* floats of a cache line */
};

/* What both passes have become. */
struct winograd {
    enum sl_winograd which;
    int32_t h, w, c, xs;   /* source: rows, columns, channels, elements of a pixel */
    int32_t oh, ow, k, ys; /* output */
    int32_t pad_top, pad_left;
    bool turned;
    int32_t pool;         /* 2: y has the maxima of 2 x 2 outputs; 1: the outputs */
    int32_t down, across; /* tiles of an image: of a column, of a row */
    int64_t tiles;        /* of all images */
    int32_t width, block; /* output channels of a panel; tiles of a block */
    int32_t stretch;      /* tiles of a unit, which computes one panel of them */
    const conv_element *x;
    const float *weights, *bias;
    float slope;
    conv_element *y;
    float *moments;
    bool streams; /* y goes past the caches */
};

/* --- sizes ----------------------------------------------------------------------------------------------------- */

static int32_t winograd_frequencies(const struct winograd *w)
{
    return sl_winograd_forms[w->which].t * sl_winograd_forms[w->which].t;
}

/* Channels of the source, with the zeros in the padding lanes of the last vector. */
static int32_t winograd_channels(const struct winograd *w)
{
    return sl_round_up(w->c, SL_LANES);
}

/* Steps of a sum. */
static int32_t winograd_steps(const struct winograd *w)
{
    return winograd_channels(w) / WINOGRAD_PAIR;
}

/* V is [group][chunk of steps][frequency][row][WINOGRAD_CHUNK]. */
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
    return (winograd_steps(w) + WINOGRAD_CHUNK - 1) / WINOGRAD_CHUNK * winograd_v_chunk(w);
}

/* M is [group][frequency][row][panel], with a line free after each frequency: the frequencies of an output should not
 * compete for a few sets of the first-level cache. */
static ptrdiff_t winograd_m_step(const struct winograd *w)
{
    return (ptrdiff_t)winograd_rows(w->width) * w->width + WINOGRAD_GAP;
}

static ptrdiff_t winograd_m_group(const struct winograd *w)
{
    return winograd_frequencies(w) * winograd_m_step(w);
}

static ptrdiff_t winograd_u_step(const struct winograd *w)
{
    return (ptrdiff_t)winograd_steps(w) * w->width + WINOGRAD_GAP;
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

/* Stretches of so many tiles of a block; the last one may be shorter. */
static int32_t winograd_stretches(const struct winograd *w, int32_t tiles)
{
    return (tiles + w->stretch - 1) / w->stretch;
}

/* Units of a full block, panel after panel. */
static int32_t winograd_block_units(const struct winograd *w)
{
    return winograd_stretches(w, w->block) * winograd_panels(w);
}

/* Stretches of all blocks. Each leaves one record of moments. */
static int64_t winograd_records(const struct winograd *w)
{
    return w->tiles / w->block * winograd_stretches(w, w->block) +
           winograd_stretches(w, (int32_t)(w->tiles % w->block));
}

static int64_t winograd_units(const struct winograd *w)
{
    return winograd_records(w) * winograd_panels(w);
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
    w->which = winograd_choose(r, w->oh, w->ow);
    if (w->pool == 2 && w->which == SL_WINOGRAD_3_2)
        w->which = SL_WINOGRAD_4_2; /* which has whole windows */
    const int32_t m = sl_winograd_forms[w->which].m;
    w->down = (w->oh + m - 1) / m;
    w->across = (w->ow + m - 1) / m;
    w->tiles = (int64_t)n * w->down * w->across;
    w->width = winograd_width(w->k);
    w->slope = 1.0f;
    w->block = winograd_most_groups(w) * winograd_rows(w->width);
    w->stretch = w->block;
    while (w->stretch > 1 && !sl_units_fill(winograd_units(w)))
        w->stretch = (w->stretch + 1) / 2;
}

static struct winograd winograd_forward(const struct sl_conv2d *s, int32_t pool)
{
    struct winograd w = {
        .h = s->h, .w = s->w, .c = s->c, .xs = s->xs, .oh = s->oh, .ow = s->ow, .k = s->k, .ys = s->ys};
    w.pad_top = s->pad_top;
    w.pad_left = s->pad_left;
    w.pool = pool;
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
    w.pool = 1;
    winograd_plan(&w, s->kh, s->n);
    return w;
}

/* With fewer channels than SL_LANES the transforms would cost more than they save. Whole vectors are read and written:
 * pixels must have room for them. */
static bool winograd_takes(const struct sl_conv2d *s)
{
    return s->stride_h == 1 && s->stride_w == 1 && s->kh == s->kw && (s->kh == 2 || s->kh == 3) && s->c >= SL_LANES &&
           s->k >= SL_LANES && s->xs >= sl_round_up(s->c, SL_LANES) && s->ys >= sl_round_up(s->k, SL_LANES);
}

/* Packing hands out vectors of output channels x SL_LANES channels of the source. */
static int64_t winograd_pack_units(const struct winograd *w)
{
    return (int64_t)winograd_panels(w) * (w->width * WINOGRAD_PAIR / VL) * (winograd_channels(w) / SL_LANES);
}

static bool winograd_need(const struct winograd *w, struct sl_need *need)
{
    *need = (struct sl_need){
        .units = winograd_units(w),
        .scratch = winograd_scratch(w),
        .state = sizeof *w,
        .joins = true,
        .together = winograd_block_units(w),
        .records = winograd_records(w),
        .pack_units = winograd_pack_units(w),
        .packed = (size_t)winograd_panels(w) * (size_t)winograd_u_panel(w) * sizeof(float),
        .flops = 2.0 * winograd_frequencies(w) * (double)w->tiles * w->c * w->k,
    };
    return need->scratch <= WINOGRAD_MOST_SCRATCH;
}
#endif
