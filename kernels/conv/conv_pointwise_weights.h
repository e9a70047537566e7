/* Backward-weights of a kernel of one tap: dw[k][c] = sum over pixels of dy[pixel][k] * x[pixel][c], a product of
 * matrices. A template like conv_direct_weights.h, which hands it areas.
 *
 * Each pixel of y has one of x, so no band is copied. The operands change roles: the block of a gradient_tile are
 * channels of x, its floats are channels of dy. So its sums lie as those of dw do, and are kept there, not in scratch.
 * Chunk after chunk of pixels, x is gathered as [block of channels][pixel][block]. */
#ifndef SL_KERNELS_CONV_POINTWISE_WEIGHTS_H
#define SL_KERNELS_CONV_POINTWISE_WEIGHTS_H

#include "kernels/conv/band.h"
#include "kernels/conv/cells.h"
#include "kernels/conv/conv_direct.h"
#include "kernels/conv/conv_gradient_tile.h"

enum {
    POINTWISE_CHUNK = 96, /* pixels of a chunk, at most */
    /* dy is copied if its pixels have a multiple of so many floats: 512 bytes, but 4096 with AVX-512, where a step is
     * long enough for its line to come from the second-level cache. */
    POINTWISE_REGULAR = V_REGISTERS == 32 ? 1024 : 128,
    POINTWISE_GAP = SL_LANES, /* floats between the pixels of the copy */
};

/* Every pixel has its tap, and blocks of x have channels enough. */
static bool pointwise_takes(const struct sl_conv2d *s)
{
    const bool inside = (int64_t)(s->oh - 1) * s->stride_h < s->h && (int64_t)(s->ow - 1) * s->stride_w < s->w;
    return s->kh == 1 && s->kw == 1 && !s->pad_top && !s->pad_left && inside && s->c >= GRADIENT_BLOCK;
}

static struct sl_band pointwise_band(const struct sl_conv2d *s)
{
    static const struct sl_units_goal goal = {.most = 2048};
    return sl_band_in_place(s, &goal);
}

static bool pointwise_copies(const struct sl_conv2d *s)
{
    return s->ys % POINTWISE_REGULAR == 0;
}

/* Bytes of scratch for an area of k x c channels: the table of a unit; a chunk of x; the table and a chunk of dy. */
static size_t pointwise_scratch(const struct sl_conv2d *s, int32_t k, int32_t c)
{
    const struct sl_band band = pointwise_band(s);
    const size_t x = (size_t)sl_round_up(c, GRADIENT_BLOCK), dy = pointwise_copies(s) ? (size_t)k + POINTWISE_GAP : 0;
    return sl_band_scratch(&band) + POINTWISE_CHUNK * (sizeof(ptrdiff_t) + (x + dy) * sizeof(float));
}

/* The work on one area. */
struct pointwise_job {
    const struct sl_conv2d *s;
    struct sl_area area;
    const float *x, *dy; /* from the area's first channel on */
    float *dw;
    bool streams; /* dw goes past the caches */
    ptrdiff_t *dy_offset;
    float *gathered, *copied; /* x and dy of a chunk */
};

/* What is prefetched: x and dy of the next chunk. */
struct pointwise_ahead {
    const float *x;
    const ptrdiff_t *offset, *end; /* of its pixels */
    int32_t done, width;           /* floats of a pixel */
    int32_t lines;                 /* after each tile */
    ptrdiff_t dy;                  /* from a pixel of dy to that of the next chunk; or 0 */
};

static void pointwise_prefetch(struct pointwise_ahead *ahead)
{
    for (int32_t i = 0; i < ahead->lines && ahead->offset != ahead->end; i++) {
        __builtin_prefetch(ahead->x + *ahead->offset + ahead->done, 0, 2);
        ahead->done += SL_LANES;
        if (ahead->done >= ahead->width) {
            ahead->done = 0;
            ahead->offset++;
        }
    }
}

/* Gathers c channels of x under some pixels as [block of channels][pixel][block], with zeros past the last channel. */
static void pointwise_gather(const float *x, const ptrdiff_t *offset, int32_t pixels, int32_t c, float *to)
{
    for (int32_t b = 0; b < c; b += GRADIENT_BLOCK) {
        const int32_t low = direct_smaller(c - b, VL), high = direct_smaller(c - b - VL, VL);
        for (int32_t t = 0; t < pixels; t++, to += GRADIENT_BLOCK) {
            const float *from = x + offset[t] + b;
            v_store(to, v_load_some(from, low));
            v_store(to + VL, high > 0 ? v_load_some(from + VL, high) : v_zero());
        }
    }
}

/* Where dy of a chunk lies. Pixels a large power of two apart would compete for a few sets of the first-level cache, so
 * they are copied. */
static const float *pointwise_floats(const struct pointwise_job *job, const float *dy, int32_t pixels)
{
    const bool copies = pointwise_copies(job->s);
    const int32_t k = job->area.k_end - job->area.k;
    const ptrdiff_t pitch = copies ? k + POINTWISE_GAP : job->s->ys;
    for (int32_t t = 0; t < pixels; t++) {
        job->dy_offset[t] = t * pitch;
        if (copies)
            memcpy(job->copied + t * pitch, dy + (ptrdiff_t)t * job->s->ys, (size_t)k * sizeof *dy);
    }
    return copies ? job->copied : dy;
}

/* Adds one chunk to dw: pixels of the unit from number t on. */
static void pointwise_chunk(const struct pointwise_job *job, const struct sl_band_view *view, int32_t t, int32_t pixels,
                            struct pointwise_ahead *ahead)
{
    const struct sl_conv2d *s = job->s;
    const int32_t c = job->area.c_end - job->area.c, k = job->area.k_end - job->area.k;
    const float *dy = job->dy + (view->first + t) * s->ys;
    struct gradient_piece piece = {.floats = pointwise_floats(job, dy, pixels),
                                   .offset = job->dy_offset,
                                   .stride = GRADIENT_BLOCK,
                                   .pixels = pixels,
                                   .first = view->first + t == 0,
                                   .pitch = s->c,
                                   .streams = job->streams};
    pointwise_gather(view->x, view->offset + t, pixels, c, job->gathered);
    const int32_t count = gradient_tiles(k), size = k / count, longer = k % count;
    for (int32_t i = 0, from = 0; i < count; i++) {
        const int32_t floats = size + (i < longer);
        for (int32_t b = 0; b < c; b += GRADIENT_BLOCK) {
            piece.block = job->gathered + (ptrdiff_t)b * pixels;
            piece.lanes = c - b;
            piece.ahead = b ? 0 : ahead->dy;
            pointwise_tiles_of[floats - 1](&piece, from, job->dw + (ptrdiff_t)from * s->c + b);
            pointwise_prefetch(ahead);
        }
        from += floats;
    }
}

/* Adds the pixels of one unit, in chunks as even as possible. */
static void pointwise_add(const struct pointwise_job *job, const struct sl_band_view *view)
{
    const struct sl_conv2d *s = job->s;
    const int32_t c = job->area.c_end - job->area.c, k = job->area.k_end - job->area.k;
    const int32_t chunks = (view->pixels + POINTWISE_CHUNK - 1) / POINTWISE_CHUNK;
    const int32_t chunk = (view->pixels + chunks - 1) / chunks;
    const int32_t tiles = gradient_tiles(k) * ((c + GRADIENT_BLOCK - 1) / GRADIENT_BLOCK);
    for (int32_t t = 0; t < view->pixels; t += chunk) {
        const int32_t pixels = direct_smaller(view->pixels - t, chunk);
        const int32_t next = direct_smaller(view->pixels - t - pixels, chunk);
        struct pointwise_ahead ahead = {.x = view->x,
                                        .offset = view->offset + t + pixels,
                                        .end = view->offset + t + pixels + next,
                                        .width = c,
                                        .dy = next > 0 ? (ptrdiff_t)pixels * s->ys : 0,
                                        .lines = next * ((c + SL_LANES - 1) / SL_LANES) / tiles + 1};
        pointwise_chunk(job, view, t, pixels, &ahead);
    }
}

/* Sums may go past the caches if they are complete after one chunk. */
static bool pointwise_streams(const struct sl_conv2d *s, const float *dw)
{
    return (int64_t)s->n * s->oh * s->ow <= POINTWISE_CHUNK && s->c % SL_LANES == 0 &&
           sl_passes_caches(dw, sl_conv2d_weights(s) * sizeof(float));
}

/* One area of dw, over all images. */
static void pointwise_area(const struct sl_conv2d *s, const struct sl_conv2d_bwd_weights *a, const struct sl_area *area,
                           void *scratch)
{
    const struct sl_band band = pointwise_band(s);
    const size_t table = sl_band_scratch(&band);
    const int32_t c = sl_round_up(area->c_end - area->c, GRADIENT_BLOCK);
    struct pointwise_job job = {.s = s,
                                .area = *area,
                                .dy = (const float *)a->dy + area->k,
                                .dw = a->dw + (ptrdiff_t)area->k * s->c + area->c,
                                .streams = pointwise_streams(s, a->dw),
                                .gathered = (float *)((char *)scratch + table)};
    job.copied = job.gathered + (ptrdiff_t)c * POINTWISE_CHUNK;
    job.dy_offset =
        (ptrdiff_t *)(void *)(job.copied + (pointwise_copies(s)
                                                ? (ptrdiff_t)(area->k_end - area->k + POINTWISE_GAP) * POINTWISE_CHUNK
                                                : 0));
    const int64_t units = sl_units_count(&band.units);
    for (int64_t i = 0; i < units; i++) {
        const struct sl_band_view view = sl_band_open(&band, (const float *)a->x + area->c, i, scratch);
        pointwise_add(&job, &view);
    }
    v_streamed();
}
#endif
