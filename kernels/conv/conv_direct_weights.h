/* The direct backward-weights, as a template like conv_direct.h. README.md derives it.
 *
 * dw is cut into cells, and the neighbouring cells of a slice are computed together, as one area (cells.h). The parts
 * of the sum are some images each or, where there are too few, some rows of one image.
 *
 * For an area, unit after unit: the input under the unit becomes a band (band.h); chunk after chunk of its pixels, dy
 * is gathered as [block of output channels][pixel][block]; tiles (conv_gradient_tile.h) add the chunk to the sums in
 * scratch, [block][kernel row][kw*c][block]. At the end the sums are transposed into dw. */
#ifndef SL_KERNELS_CONV_DIRECT_WEIGHTS_H
#define SL_KERNELS_CONV_DIRECT_WEIGHTS_H

#include "kernels/conv/band.h"
#include "kernels/conv/cells.h"
#include "kernels/conv/conv_direct.h"
#include "kernels/conv/conv_gradient_tile.h"
#include "kernels/conv/conv_pointwise_weights.h"

enum {
    GRADIENT_CHUNK = 96,             /* pixels of a chunk, at most */
    GRADIENT_NEAR = 64,              /* dy is read where it lies if its pixels have at most so many floats */
    GRADIENT_CELL_BYTES = 192 << 10, /* of sums of a cell, at most */
    GRADIENT_AREA_BYTES = 4 << 20,   /* of sums of an area, at most */
    GRADIENT_PART = 2048,            /* pixels of a part, at least: each transposes its sums into a gradient */
    GRADIENT_CELLS = 64,             /* wanted of all parts: cells are halved until there are so many, ... */
    GRADIENT_INTENSITY = 10,         /* ... as long as they keep so many operations per byte that they read */
};

static size_t gradient_sum_bytes(const struct sl_conv2d *s, int32_t k, int32_t c)
{
    return (size_t)k * (size_t)s->kh * (size_t)s->kw * (size_t)c * sizeof(float);
}

/* Operations of a cell per byte of x and dy, each read once. */
static double gradient_intensity(const struct sl_conv2d *s, int32_t k, int32_t c)
{
    return 2.0 * k * c * s->kh * s->kw / (sizeof(float) * ((double)k + (double)c * s->stride_h * s->stride_w));
}

static struct sl_band gradient_band(const struct sl_conv2d *s, int32_t c)
{
    static const struct sl_units_goal goal = {.bytes = 128 << 10, .most = 2048};
    return sl_band_plan(s, c, &goal);
}

/* Output rows of a part, where there are more parts than images. */
static int32_t gradient_part_rows(const struct sl_conv2d *s, int64_t parts)
{
    const int64_t pieces = (parts + s->n - 1) / s->n;
    return pieces < s->oh ? (int32_t)((s->oh + pieces - 1) / pieces) : 1;
}

static int64_t gradient_parts(const struct sl_conv2d *s)
{
    const int64_t parts = sl_cells_parts((int64_t)s->n * s->oh * s->ow, GRADIENT_PART);
    const int32_t rows = gradient_part_rows(s, parts);
    return parts > s->n ? (int64_t)s->n * ((s->oh + rows - 1) / rows) : parts;
}

/* One part of the sum: a convolution of fewer images or rows, and where it begins. */
struct gradient_part {
    struct sl_conv2d shape;
    ptrdiff_t x, dy; /* in floats */
};

static struct gradient_part gradient_some_images(const struct sl_conv2d *s, int64_t begin, int64_t end)
{
    struct gradient_part part = {*s, begin * s->h * s->w * s->xs, begin * s->oh * s->ow * s->ys};
    part.shape.n = (int32_t)(end - begin);
    return part;
}

/* Source rows that lie before all of the part's are left out, so that its first one is the first of an image. */
static struct gradient_part gradient_some_rows(const struct sl_conv2d *s, int64_t n, int32_t p, int32_t rows)
{
    struct gradient_part part = gradient_some_images(s, n, n + 1);
    const int64_t above = (int64_t)p * s->stride_h - s->pad_top;
    const int32_t left_out = above < 0 ? 0 : above < s->h ? (int32_t)above : s->h - 1;
    part.shape.oh = s->oh - p < rows ? s->oh - p : rows;
    part.shape.h -= left_out;
    part.shape.pad_top = (int32_t)(left_out - above);
    part.x += (ptrdiff_t)left_out * s->w * s->xs;
    part.dy += (ptrdiff_t)p * s->ow * s->ys;
    return part;
}

static struct gradient_part gradient_part(const struct sl_conv2d *s, int64_t parts, int64_t part)
{
    if (parts <= s->n)
        return gradient_some_images(s, s->n * part / parts, s->n * (part + 1) / parts);
    const int64_t pieces = parts / s->n;
    const int32_t rows = gradient_part_rows(s, parts);
    return gradient_some_rows(s, part / pieces, (int32_t)(part % pieces) * rows, rows);
}

/* Of one tap: blocks of input channels, by as even shares of the output channels as make GRADIENT_CELLS of them. */
static struct sl_cells gradient_pointwise_plan(const struct sl_conv2d *s, int64_t parts)
{
    const int32_t c = sl_round_up((s->c + GRADIENT_CELLS - 1) / GRADIENT_CELLS, GRADIENT_BLOCK);
    const int64_t blocks = (s->c + c - 1) / c * parts, wanted = (GRADIENT_CELLS + blocks - 1) / blocks;
    const int32_t k = (int32_t)((s->k + wanted - 1) / wanted);
    struct sl_cells cells = sl_cells_of(s->k, s->c, k < GRADIENT_TILE ? GRADIENT_TILE : k, c);
    sl_cells_limit(&cells, gradient_sum_bytes(s, cells.k, s->c), GRADIENT_AREA_BYTES);
    cells.parts = parts;
    return cells;
}

/* The output channels of a cell are a multiple of GRADIENT_BLOCK. */
static struct sl_cells gradient_plan(const struct sl_conv2d *s)
{
    const int64_t parts = gradient_parts(s);
    if (pointwise_takes(s))
        return gradient_pointwise_plan(s, parts);
    struct sl_cells cells = sl_cells_of(s->k, s->c, sl_round_up(s->k, GRADIENT_BLOCK), s->c);
    for (;;) {
        const bool large = gradient_sum_bytes(s, cells.k, cells.c) > GRADIENT_CELL_BYTES;
        int32_t k = sl_cells_half(cells.k, GRADIENT_BLOCK), c = sl_cells_half(cells.c, SL_LANES);
        if (k >= cells.k || (c < cells.c && cells.c > cells.k))
            k = cells.k;
        else
            c = cells.c;
        const bool smaller = k < cells.k || c < cells.c;
        const bool enough = sl_cells_count(&cells) * parts >= GRADIENT_CELLS;
        if (!smaller || (!large && (enough || gradient_intensity(s, k, c) < GRADIENT_INTENSITY)))
            break;
        cells = sl_cells_of(s->k, s->c, k, c);
    }
    /* With few chunks the sums should stay in the second-level cache from one chunk to the next. */
    const bool few = (int64_t)s->n * s->oh * s->ow <= 8 * GRADIENT_CHUNK;
    sl_cells_limit(&cells, gradient_sum_bytes(s, cells.k, s->c), few ? GRADIENT_CELL_BYTES : GRADIENT_AREA_BYTES);
    cells.parts = parts;
    return cells;
}

/* The most that c channels of any part need: of the first, one in the middle, and the last. */
static size_t gradient_band_scratch(const struct sl_conv2d *s, int64_t parts, int32_t c)
{
    const int64_t which[] = {0, parts / 2, parts - 1};
    size_t most = 0;
    for (size_t i = 0; i < sizeof which / sizeof *which; i++) {
        const struct gradient_part part = gradient_part(s, parts, which[i]);
        const struct sl_band band = gradient_band(&part.shape, c);
        most = sl_band_scratch(&band) > most ? sl_band_scratch(&band) : most;
    }
    return most;
}

/* The same for a kernel of one tap, of k x all channels. */
static size_t gradient_pointwise_scratch(const struct sl_conv2d *s, int64_t parts, int32_t k)
{
    const int64_t which[] = {0, parts / 2, parts - 1};
    size_t most = 0;
    for (size_t i = 0; i < sizeof which / sizeof *which; i++) {
        const struct gradient_part part = gradient_part(s, parts, which[i]);
        const size_t bytes = pointwise_scratch(&part.shape, k, s->c);
        most = bytes > most ? bytes : most;
    }
    return most;
}

/* The most that any area needs. The columns of cells that a slice joins may be the first ones, the last ones, some in
 * between, or all. */
static size_t gradient_scratch(const struct sl_conv2d *s, const struct sl_cells *cells)
{
    const int32_t k = cells->most_rows * cells->k;
    if (pointwise_takes(s))
        return gradient_pointwise_scratch(s, cells->parts, k);
    size_t band = gradient_band_scratch(s, cells->parts, s->c);
    for (int32_t c = cells->c; c < s->c; c += cells->c) {
        const size_t first = gradient_band_scratch(s, cells->parts, c);
        const size_t last = gradient_band_scratch(s, cells->parts, s->c - c);
        band = first > band ? first : band;
        band = last > band ? last : band;
    }
    return band + gradient_sum_bytes(s, k, s->c) + (size_t)k * GRADIENT_CHUNK * sizeof(float);
}

static bool gradient_need(const void *shape, struct sl_need *need)
{
    const struct sl_cells cells = gradient_plan(shape);
    *need = (struct sl_need){
        .units = sl_cells_units(&cells),
        .parts = sl_cells_partial(&cells),
        .scratch = gradient_scratch(shape, &cells),
        .state = sizeof cells,
        .joins = true,
    };
    return need->scratch <= DIRECT_MOST_SCRATCH;
}

static int gradient_open(const void *shape, const struct sl_device *device, void *state)
{
    (void)device;
    *(struct sl_cells *)state = gradient_plan(shape);
    return SL_OK;
}

/* The work on one area. */
struct gradient_job {
    const struct sl_conv2d *s;
    const float *dy;
    int32_t k, k_end; /* output channels [k, k_end): a multiple of GRADIENT_BLOCK */
    int32_t runs;     /* of a kernel row */
    int32_t run;      /* floats of a run */
    int32_t pitch;    /* floats from one run of x to the next */
    float *gathered;  /* dy of a chunk */
    float *sums;
};

/* Gathers dy of some pixels, channels [k, k_end), as [block of channels][pixels][block], with zeros past the last
 * channel. */
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

/* Adds one chunk to the sums of an area. */
static void gradient_chunk(const struct gradient_job *job, const struct sl_band_view *view, int32_t t, int32_t pixels,
                           struct gradient_ahead *ahead)
{
    const struct sl_conv2d *s = job->s;
    const float *dy = job->dy + (view->first + t) * s->ys;
    struct gradient_piece piece = {.offset = view->offset + t, .block = dy + job->k, .stride = s->ys, .pixels = pixels};
    piece.first = view->first + t == 0;
    ptrdiff_t next = GRADIENT_BLOCK;
    if (s->ys > GRADIENT_NEAR || job->k_end > s->ys) {
        gradient_gather(s, dy, job->k, job->k_end, pixels, job->gathered);
        piece.block = job->gathered;
        piece.stride = GRADIENT_BLOCK;
        next = (ptrdiff_t)pixels * GRADIENT_BLOCK;
    }
    float *to = job->sums;
    for (int32_t b = job->k; b < job->k_end; b += GRADIENT_BLOCK, piece.block += next)
        for (int32_t r = 0; r < s->kh; r++)
            for (int32_t i = 0; i < job->runs; i++, to += (ptrdiff_t)job->run * GRADIENT_BLOCK) {
                piece.floats = view->x + r * view->row + i * job->pitch;
                gradient_run(&piece, job->run, ahead, to);
            }
}

/* Tiles that a chunk takes. */
static int64_t gradient_job_tiles(const struct gradient_job *job)
{
    return (int64_t)(job->k_end - job->k) / GRADIENT_BLOCK * job->s->kh * job->runs * gradient_tiles(job->run);
}

/* Adds the pixels of one band to the sums of an area, in chunks as even as possible. */
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

/* to[i][j] = from[j][i]. Both are a few cache lines. */
static void gradient_transpose(const float *from, int32_t rows, int32_t columns, float *to, ptrdiff_t stride)
{
    for (int32_t i = 0; i < rows; i++, to += stride)
        for (int32_t j = 0; j < columns; j++)
            to[j] = from[j * GRADIENT_BLOCK + i];
}

/* Transposes the sums of an area to where they belong in dw. */
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

/* One area of dw, over all images of a part. */
static void gradient_one_area(const struct sl_conv2d *s, const struct sl_conv2d_bwd_weights *a,
                              const struct sl_area *area, void *scratch)
{
    const int32_t c = area->c_end - area->c, k = sl_round_up(area->k_end - area->k, GRADIENT_BLOCK);
    const float *x = a->x;
    const struct sl_band band = gradient_band(s, c);
    float *sums = (float *)((char *)scratch + sl_band_scratch(&band));
    float *gathered = sums + gradient_sum_bytes(s, k, c) / sizeof *sums;
    const bool joined = band.pitch == c;
    const struct gradient_job job = {.s = s,
                                     .dy = a->dy,
                                     .k = area->k,
                                     .k_end = area->k + k,
                                     .runs = joined ? 1 : s->kw,
                                     .run = joined ? s->kw * c : c,
                                     .pitch = band.pitch,
                                     .gathered = gathered,
                                     .sums = sums};
    const int64_t units = sl_units_count(&band.units), tiles = gradient_job_tiles(&job);
    for (int64_t i = 0; i < units; i++) {
        const struct sl_band_view view = sl_band_open(&band, x + area->c, i, scratch);
        struct gradient_ahead ahead = {{0}, {0}};
        if (i + 1 < units) {
            const struct sl_unit_source source = sl_band_source(&band, i + 1);
            ahead.x = direct_ahead_of(x + area->c + source.first * s->xs, source.pixels, c * (ptrdiff_t)sizeof(float),
                                      s->xs * (ptrdiff_t)sizeof(float), tiles);
        }
        gradient_add(&job, &view, &ahead);
    }
    gradient_store(s, sums, area->k, area->k_end - area->k, area->c, c, a->dw);
}

static void gradient_slice(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_cells *cells = work->state;
    const struct sl_conv2d_bwd_weights *a = args;
    struct sl_area area;
    assert(sl_conv2d_is_sound(shape) && sl_work_fits(work, gradient_need, shape));
    for (int64_t unit = work->begin, next; unit < work->end; unit = next) {
        const int64_t number = unit / sl_cells_count(cells);
        const struct gradient_part part = gradient_part(shape, cells->parts, number);
        const struct sl_conv2d_bwd_weights some = {(const float *)a->x + part.x, (const float *)a->dy + part.dy,
                                                   a->dw + (size_t)number * sl_conv2d_weights(shape)};
        next = unit + sl_cells_join(cells, unit, work->end, &area);
        (pointwise_takes(shape) ? pointwise_area : gradient_one_area)(&part.shape, &some, &area, work->scratch);
    }
}

const struct sl_kernel DIRECT(sl_conv2d_bwd_weights_direct) = {
    .need = gradient_need,
    .open = gradient_open,
    .run = gradient_slice,
};
#endif
