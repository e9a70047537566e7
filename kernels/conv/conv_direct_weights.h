/* Direct backward-weights, as a template like conv_direct.h.
 *
 * A unit owns some output channels x some input channels of dw, for the whole kernel, and sums over all images
 * itself, pixel by pixel, so that no slicing changes a bit. Neighbouring units of a slice are computed together. It
 * copies the input bands of its channels (band.h), gathers dy under them as [block of output channels][pixel][block],
 * and adds, chunk of pixels by chunk, to [block][kernel row][kw*c][block] in scratch
 * (conv_gradient_tile.h). In the end the sums are transposed into dw. */
#ifndef SL_KERNELS_CONV_DIRECT_WEIGHTS_H
#define SL_KERNELS_CONV_DIRECT_WEIGHTS_H

#include "kernels/conv/band.h"
#include "kernels/conv/conv_direct.h"
#include "kernels/conv/conv_gradient_tile.h"

enum {
    GRADIENT_CHUNK = 96,          /* pixels between visits of the sums */
    GRADIENT_NEAR = 64,           /* floats of a pixel of dy that is read where it lies */
    GRADIENT_SUMS = 192 << 10,    /* bytes of sums of a unit, at most */
    GRADIENT_MOST_SUMS = 4 << 20, /* bytes of sums of the units that are computed together */
    GRADIENT_UNITS = 64,          /* units wanted, while ... */
    GRADIENT_INTENSITY = 16,      /* ... each has so many operations per byte it reads */
};

/* The plan: dw in groups of k x c channels. */
struct gradient {
    const struct sl_conv2d *s;
    int32_t k, c; /* channels of a group; k is a multiple of GRADIENT_BLOCK */
    int32_t k_groups, c_groups;
    int32_t most_rows; /* rows of groups that one area may join */
};

static size_t gradient_sums(const struct sl_conv2d *s, int32_t k, int32_t c)
{
    return (size_t)k * (size_t)s->kh * (size_t)s->kw * (size_t)c * sizeof(float);
}

/* Operations per byte of x and dy, each read once. */
static double gradient_intensity(const struct sl_conv2d *s, int32_t k, int32_t c)
{
    return 2.0 * k * c * s->kh * s->kw / (sizeof(float) * ((double)k + (double)c * s->stride_h * s->stride_w));
}

static int32_t half(int32_t n, int32_t multiple)
{
    return sl_round_up((n + 1) / 2, multiple);
}

static struct sl_band gradient_band(const struct sl_conv2d *s, int32_t c)
{
    static const struct sl_units_goal goal = {.bytes = 128 << 10, .most = 2048};
    return sl_band_plan(s, c, &goal);
}

static size_t gradient_band_scratch(const struct sl_conv2d *s, int32_t c)
{
    const struct sl_band band = gradient_band(s, c);
    return sl_band_scratch(&band);
}

static struct gradient gradient_plan(const struct sl_conv2d *s)
{
    struct gradient g = {.s = s, .k = sl_round_up(s->k, GRADIENT_BLOCK), .c = s->c, .k_groups = 1, .c_groups = 1};
    for (;;) {
        const bool large = gradient_sums(s, g.k, g.c) > GRADIENT_SUMS;
        int32_t k = half(g.k, GRADIENT_BLOCK), c = half(g.c, SL_LANES);
        if (k >= g.k || (c < g.c && g.c > g.k))
            k = g.k;
        else
            c = g.c;
        const bool smaller = k < g.k || c < g.c;
        if (!smaller ||
            (!large && (g.k_groups * g.c_groups >= GRADIENT_UNITS || gradient_intensity(s, k, c) < GRADIENT_INTENSITY)))
            break;
        g.k = k;
        g.c = c;
        g.k_groups = (s->k + k - 1) / k;
        g.c_groups = (s->c + c - 1) / c;
    }
    /* Sums visited a few times only should not leave the second-level cache meanwhile. */
    const bool few = (int64_t)s->n * s->oh * s->ow <= 8 * GRADIENT_CHUNK;
    const size_t row = gradient_sums(s, g.k, s->c), most = few ? GRADIENT_SUMS : GRADIENT_MOST_SUMS;
    g.most_rows = row < most ? (int32_t)(most / row) : 1;
    g.most_rows = g.most_rows < g.k_groups ? g.most_rows : g.k_groups;
    return g;
}

/* A slice joins the first groups of channels of x, the last ones, some between, or all. */
static size_t gradient_scratch(const void *shape)
{
    const struct gradient g = gradient_plan(shape);
    const int32_t k = g.most_rows * g.k;
    size_t band = gradient_band_scratch(g.s, g.s->c);
    for (int32_t c = g.c; c < g.s->c; c += g.c) {
        const size_t first = gradient_band_scratch(g.s, c), last = gradient_band_scratch(g.s, g.s->c - c);
        band = first > band ? first : band;
        band = last > band ? last : band;
    }
    return band + gradient_sums(g.s, k, g.s->c) + (size_t)k * GRADIENT_CHUNK * sizeof(float);
}

static bool gradient_fits(const void *shape)
{
    return gradient_scratch(shape) <= DIRECT_MOST_SCRATCH;
}

static int64_t gradient_units(const void *shape)
{
    const struct gradient g = gradient_plan(shape);
    return (int64_t)g.k_groups * g.c_groups;
}

/* One area of dw being summed: output channels [k, k_end), a multiple of GRADIENT_BLOCK of them. */
struct gradient_job {
    const struct sl_conv2d *s;
    const float *dy;
    int32_t k, k_end;
    int32_t columns, run; /* of a kernel row: runs and floats of each, in all kw * channels of x */
    int32_t pitch;        /* floats from run to run of x */
    float *gathered;      /* dy of a chunk */
    float *sums;
};

/* dy of some pixels, channels [k, k_end), zeros past the last one: [block of channels][pixels][block]. */
static void gradient_gather(const struct sl_conv2d *s, const float *dy, int32_t k, int32_t k_end, int32_t pixels,
                            float *to)
{
    for (int32_t b = k; b < k_end; b += GRADIENT_BLOCK) {
        const int32_t low = s->k - b < VL ? s->k - b : VL, high = s->k - b - VL < VL ? s->k - b - VL : VL;
        const float *from = dy + b;
        for (int32_t t = 0; t < pixels; t++, from += s->ys, to += GRADIENT_BLOCK) {
            v_store(to, v_load_head(from, low));
            v_store(to + VL, high > 0 ? v_load_head(from + VL, high) : v_zero());
        }
    }
}

/* Adds the pixels of one chunk to the sums of an area. */
static void gradient_chunk(const struct gradient_job *job, const struct sl_band_view *view, int32_t t, int32_t pixels,
                           struct gradient_ahead *ahead)
{
    const struct sl_conv2d *s = job->s;
    const float *dy = job->dy + (view->first + t) * s->ys;
    struct gradient_piece piece = {.offset = view->offset + t, .dy = dy + job->k, .stride = s->ys, .pixels = pixels};
    piece.first = view->first + t == 0;
    ptrdiff_t next = GRADIENT_BLOCK;
    if (s->ys > GRADIENT_NEAR || job->k_end > s->ys) {
        gradient_gather(s, dy, job->k, job->k_end, pixels, job->gathered);
        piece.dy = job->gathered;
        piece.stride = GRADIENT_BLOCK;
        next = (ptrdiff_t)pixels * GRADIENT_BLOCK;
    }
    float *to = job->sums;
    for (int32_t b = job->k; b < job->k_end; b += GRADIENT_BLOCK, piece.dy += next)
        for (int32_t r = 0; r < s->kh; r++)
            for (int32_t i = 0; i < job->columns; i++, to += (ptrdiff_t)job->run * GRADIENT_BLOCK) {
                piece.x = view->x + r * view->row + i * job->pitch;
                gradient_run(&piece, job->run, ahead, to);
            }
}

/* Tiles of a chunk. */
static int64_t gradient_job_tiles(const struct gradient_job *job)
{
    return (int64_t)(job->k_end - job->k) / GRADIENT_BLOCK * job->s->kh * job->columns * gradient_tiles(job->run);
}

/* Adds one band to the sums of an area. */
static void gradient_add(const struct gradient_job *job, const struct sl_band_view *view, struct gradient_ahead *ahead)
{
    const struct sl_conv2d *s = job->s;
    const int32_t chunks = (view->pixels + GRADIENT_CHUNK - 1) / GRADIENT_CHUNK;
    const int32_t chunk = (view->pixels + chunks - 1) / chunks;
    const int64_t tiles = gradient_job_tiles(job);
    const int64_t all = (int64_t)s->n * s->oh * s->ow;
    ahead->x.lines = ahead->x.lines / chunks + 1;
    for (int32_t t = 0; t < view->pixels; t += chunk) {
        const int32_t pixels = view->pixels - t < chunk ? view->pixels - t : chunk;
        const int64_t next = view->first + t + pixels, left = all - next < chunk ? all - next : chunk;
        ahead->dy =
            direct_ahead_of(job->dy + next * s->ys + job->k, left, (job->k_end - job->k) * (ptrdiff_t)sizeof(float),
                            s->ys * (ptrdiff_t)sizeof(float), tiles);
        gradient_chunk(job, view, t, pixels, ahead);
    }
}

/* to[i][j] = from[j][i], a few lines of each. */
static void gradient_transpose(const float *from, int32_t rows, int32_t columns, float *to, ptrdiff_t stride)
{
    for (int32_t i = 0; i < rows; i++, to += stride)
        for (int32_t j = 0; j < columns; j++)
            to[j] = from[j * GRADIENT_BLOCK + i];
}

/* The sums of an area, transposed to where they belong in dw. */
static void gradient_store(const struct sl_conv2d *s, const float *sums, int32_t first_k, int32_t k, int32_t first_c,
                           int32_t c, float *dw)
{
    const int64_t taps = (int64_t)s->kh * s->kw, filter = taps * c;
    for (int32_t b = 0; b < k; b += GRADIENT_BLOCK, sums += filter * GRADIENT_BLOCK) {
        const int32_t here = k - b < GRADIENT_BLOCK ? k - b : GRADIENT_BLOCK;
        float *to = dw + (first_k + b) * taps * s->c + first_c;
        for (int64_t at = 0; at < taps; at++)
            for (int32_t j = 0; j < c; j += SL_LANES)
                gradient_transpose(sums + (at * c + j) * GRADIENT_BLOCK, here, c - j < SL_LANES ? c - j : SL_LANES,
                                   to + at * s->c + j, taps * s->c);
    }
}

/* Channels of dw: [k, k_end) x [c, c_end). */
struct gradient_area {
    int32_t k, k_end, c, c_end;
};

/* One area of dw, over all images. */
static void gradient_area_run(const struct sl_conv2d *s, const struct sl_conv2d_bwd_weights *a,
                              const struct gradient_area *area, void *scratch)
{
    const int32_t c = area->c_end - area->c, k = sl_round_up(area->k_end - area->k, GRADIENT_BLOCK);
    const struct sl_band band = gradient_band(s, c);
    float *sums = (float *)((char *)scratch + sl_band_scratch(&band));
    float *gathered = sums + gradient_sums(s, k, c) / sizeof *sums;
    assert((size_t)((char *)(gathered + (ptrdiff_t)k * GRADIENT_CHUNK) - (char *)scratch) <= gradient_scratch(s));
    const bool joined = band.pitch == c;
    const struct gradient_job job = {.s = s,
                                     .dy = a->dy,
                                     .k = area->k,
                                     .k_end = area->k + k,
                                     .columns = joined ? 1 : s->kw,
                                     .run = joined ? s->kw * c : c,
                                     .pitch = band.pitch,
                                     .gathered = gathered,
                                     .sums = sums};
    const int64_t units = sl_units_count(&band.units), tiles = gradient_job_tiles(&job);
    for (int64_t i = 0; i < units; i++) {
        const struct sl_band_view view = sl_band_open(&band, a->x + area->c, i, scratch);
        struct gradient_ahead ahead = {{0}, {0}};
        if (i + 1 < units) {
            const struct sl_unit_source source = sl_band_source(&band, a->x + area->c, i + 1);
            ahead.x = direct_ahead_of(source.x, source.pixels, c * (ptrdiff_t)sizeof(float),
                                      s->xs * (ptrdiff_t)sizeof(float), tiles);
        }
        gradient_add(&job, &view, &ahead);
    }
    gradient_store(s, sums, area->k, area->k_end - area->k, area->c, c, a->dw);
}

/* The units of a slice that can be computed together: a run within one row of groups, or whole rows. x and dy are then
 * read once for all of them. Returns how many. */
static int64_t gradient_join(const struct gradient *g, int64_t begin, int64_t end, struct gradient_area *area)
{
    const int64_t row = begin / g->c_groups, column = begin % g->c_groups;
    int64_t rows = 1, columns = g->c_groups - column < end - begin ? g->c_groups - column : end - begin;
    if (columns == g->c_groups)
        rows = (end - begin) / columns < g->most_rows ? (end - begin) / columns : g->most_rows;
    area->k = (int32_t)row * g->k;
    area->c = (int32_t)column * g->c;
    area->k_end = area->k + (int32_t)rows * g->k < g->s->k ? area->k + (int32_t)rows * g->k : g->s->k;
    area->c_end = area->c + (int32_t)columns * g->c < g->s->c ? area->c + (int32_t)columns * g->c : g->s->c;
    return rows * columns;
}

static void gradient_run_slice(const void *shape, const void *args, const struct sl_work *work)
{
    const struct gradient g = gradient_plan(shape);
    struct gradient_area area;
    assert(sl_conv2d_is_sound(g.s) && sl_slice_is_within(work, gradient_units(shape)));
    assert(sl_scratch_is_there(work, gradient_scratch(shape)));
    for (int64_t unit = work->begin; unit < work->end;) {
        unit += gradient_join(&g, unit, work->end, &area);
        gradient_area_run(g.s, args, &area, work->scratch);
    }
}

const struct sl_kernel DIRECT(sl_conv2d_bwd_weights_direct) = {
    .fits = gradient_fits,
    .units = gradient_units,
    .joins = true,
    .scratch = gradient_scratch,
    .run = gradient_run_slice,
};
#endif
