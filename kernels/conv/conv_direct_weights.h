/* Direct backward-weights and the bias's gradient, as a template like conv_direct.h.
 *
 * A unit owns some output channels x some input channels of dw, for the whole kernel, and sums over all images
 * itself, always in the same order. It copies the input bands of its channels (band.h), gathers dy under them as
 * [block of output channels][pixel][block], and adds, chunk of pixels by chunk, to [block][kernel row][kw*c][block]
 * in scratch. A register tile is some floats of a kernel row's run x one block: per pixel it loads the block of dy,
 * broadcasts each float of x and multiplies. AVX2: 6 x 16, 12 accumulators; AVX-512: 14 x 32, 28.
 * In the end the sums are transposed into dw. */
#ifndef SL_KERNELS_CONV_DIRECT_WEIGHTS_H
#define SL_KERNELS_CONV_DIRECT_WEIGHTS_H

#include "kernels/conv/conv_direct.h"

enum {
    GRADIENT_TILE = V_REGISTERS == 32 ? 14 : 6, /* floats of the longest tile */
    GRADIENT_BLOCK = 2 * VL,                    /* output channels */
    GRADIENT_CHUNK = 192,                       /* pixels between visits of the sums */
    GRADIENT_SUMS = 192 << 10,                  /* bytes of sums that stay in the second-level cache */
    GRADIENT_UNITS = 64,                        /* units wanted, while ... */
    GRADIENT_INTENSITY = 40,                    /* ... each has so many operations per byte it reads */
};

/* Pixels [0, pixels) of one block of dy against a run of x. */
struct gradient_piece {
    const float *x;          /* run of pixel t: x + offset[t] */
    const ptrdiff_t *offset;
    const float *dy;         /* [pixels][GRADIENT_BLOCK] */
    int32_t pixels;
};

DIRECT_INLINE void gradient_tile(const int floats, const struct gradient_piece *piece, int32_t from, float *sums)
{
    vf sum[GRADIENT_TILE][2];
    DIRECT_UNROLL
    for (int i = 0; i < floats; i++) {
        sum[i][0] = v_load(sums + i * GRADIENT_BLOCK);
        sum[i][1] = v_load(sums + i * GRADIENT_BLOCK + VL);
    }
    const float *x = piece->x + from, *dy = piece->dy;
    const ptrdiff_t *offset = piece->offset;
    for (const float *end = dy + (ptrdiff_t)piece->pixels * GRADIENT_BLOCK; dy != end; dy += GRADIENT_BLOCK, offset++) {
        const float *at = x + *offset;
        const vf low = v_load(dy), high = v_load(dy + VL);
        DIRECT_UNROLL
        for (int i = 0; i < floats; i++) {
            const vf a = v_set1(at[i]);
            sum[i][0] = v_fma(a, low, sum[i][0]);
            sum[i][1] = v_fma(a, high, sum[i][1]);
        }
    }
    DIRECT_UNROLL
    for (int i = 0; i < floats; i++) {
        v_store(sums + i * GRADIENT_BLOCK, sum[i][0]);
        v_store(sums + i * GRADIENT_BLOCK + VL, sum[i][1]);
    }
}

#define GRADIENT_TILE_OF(floats)                                                                                     \
    static __attribute__((noinline)) void gradient_tile_##floats(const struct gradient_piece *piece, int32_t from,   \
                                                                 float *sums)                                        \
    {                                                                                                                \
        gradient_tile(floats, piece, from, sums);                                                                    \
    }
typedef void gradient_tile_fn(const struct gradient_piece *piece, int32_t from, float *sums);

GRADIENT_TILE_OF(1)
GRADIENT_TILE_OF(2)
GRADIENT_TILE_OF(3)
GRADIENT_TILE_OF(4)
GRADIENT_TILE_OF(5)
GRADIENT_TILE_OF(6)
#if V_REGISTERS == 32
GRADIENT_TILE_OF(7)
GRADIENT_TILE_OF(8)
GRADIENT_TILE_OF(9)
GRADIENT_TILE_OF(10)
GRADIENT_TILE_OF(11)
GRADIENT_TILE_OF(12)
GRADIENT_TILE_OF(13)
GRADIENT_TILE_OF(14)
#endif

/* A whole run of x, in tiles as even as possible. */
static void gradient_run(const struct gradient_piece *piece, int32_t run, float *sums)
{
    static gradient_tile_fn *const tiles[] = {
        gradient_tile_1, gradient_tile_2, gradient_tile_3, gradient_tile_4, gradient_tile_5, gradient_tile_6,
#if V_REGISTERS == 32
        gradient_tile_7, gradient_tile_8, gradient_tile_9, gradient_tile_10, gradient_tile_11, gradient_tile_12,
        gradient_tile_13, gradient_tile_14,
#endif
    };
    const int32_t count = (run + GRADIENT_TILE - 1) / GRADIENT_TILE, size = run / count, longer = run % count;
    for (int32_t i = 0, from = 0; i < count; i++) {
        const int32_t floats = size + (i < longer);
        tiles[floats - 1](piece, from, sums + (ptrdiff_t)from * GRADIENT_BLOCK);
        from += floats;
    }
}

/* The plan: dw in groups of k x c channels. */
struct gradient {
    const struct sl_conv2d *s;
    int32_t k, c;               /* channels of a group; k is a multiple of GRADIENT_BLOCK */
    int32_t k_groups, c_groups;
    struct sl_band band;        /* of a whole group */
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
    static const struct sl_band_goal goal = {.bytes = 128 << 10, .most = 2048, .copy = true};
    struct sl_band band = sl_band_forward(s);
    band.c = c;
    sl_band_plan(&band, &goal);
    return band;
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
        if (!smaller || (!large && (g.k_groups * g.c_groups >= GRADIENT_UNITS ||
                                    gradient_intensity(s, k, c) < GRADIENT_INTENSITY)))
            break;
        g.k = k;
        g.c = c;
        g.k_groups = (s->k + k - 1) / k;
        g.c_groups = (s->c + c - 1) / c;
    }
    g.band = gradient_band(s, g.c);
    return g;
}

static bool gradient_fits(const void *shape)
{
    const struct gradient g = gradient_plan(shape);
    return sl_band_scratch(&g.band) + gradient_sums(g.s, g.k, g.c) <= DIRECT_MOST_SCRATCH;
}

static int64_t gradient_units(const void *shape)
{
    const struct gradient g = gradient_plan(shape);
    return (int64_t)g.k_groups * g.c_groups;
}

static size_t gradient_scratch(const void *shape)
{
    const struct gradient g = gradient_plan(shape);
    return sl_band_scratch(&g.band) + gradient_sums(g.s, g.k, g.c) + (size_t)g.k * GRADIENT_CHUNK * sizeof(float);
}

/* dy of some pixels, channels [first, first + k), zeros past the last one: [k / block][pixels][block]. */
static void gradient_gather(const struct sl_conv2d *s, const float *dy, int32_t first, int32_t k, int32_t pixels, float *to)
{
    for (int32_t b = first; b < first + k; b += GRADIENT_BLOCK) {
        const int32_t low = s->k - b < VL ? s->k - b : VL, high = s->k - b - VL < VL ? s->k - b - VL : VL;
        const float *from = dy + b;
        for (int32_t t = 0; t < pixels; t++, from += s->ys, to += GRADIENT_BLOCK) {
            v_store(to, v_load_head(from, low));
            v_store(to + VL, high > 0 ? v_load_head(from + VL, high) : v_zero());
        }
    }
}

/* Adds one band to the sums of a group. */
static void gradient_add(const struct sl_conv2d *s, const struct sl_band_view *view, int32_t run, const float *dy,
                         int32_t first, int32_t k, float *gathered, float *sums)
{
    const int32_t chunks = (view->pixels + GRADIENT_CHUNK - 1) / GRADIENT_CHUNK;
    const int32_t chunk = (view->pixels + chunks - 1) / chunks;
    for (int32_t t = 0; t < view->pixels; t += chunk) {
        struct gradient_piece piece = {.offset = view->offset + t, .dy = gathered};
        piece.pixels = view->pixels - t < chunk ? view->pixels - t : chunk;
        gradient_gather(s, dy + (ptrdiff_t)t * s->ys, first, k, piece.pixels, gathered);
        float *to = sums;
        for (int32_t b = 0; b < k; b += GRADIENT_BLOCK) {
            for (int32_t r = 0; r < s->kh; r++, to += (ptrdiff_t)run * GRADIENT_BLOCK) {
                piece.x = view->x + r * view->row;
                gradient_run(&piece, run, to);
            }
            piece.dy += (ptrdiff_t)piece.pixels * GRADIENT_BLOCK;
        }
    }
}

/* The sums of a group, transposed to where they belong in dw. */
static void gradient_store(const struct sl_conv2d *s, const float *sums, int32_t first_k, int32_t k, int32_t first_c,
                           int32_t c, float *dw)
{
    const int32_t window = s->kh * s->kw;
    for (int32_t i = 0; i < k; i++) {
        const float *from = sums + (ptrdiff_t)(i / GRADIENT_BLOCK) * window * c * GRADIENT_BLOCK + i % GRADIENT_BLOCK;
        float *to = dw + (ptrdiff_t)(first_k + i) * window * s->c + first_c;
        for (int32_t at = 0; at < window; at++, to += s->c)
            for (int32_t j = 0; j < c; j++)
                to[j] = from[((ptrdiff_t)at * c + j) * GRADIENT_BLOCK];
    }
}

static void gradient_run_units(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_conv2d *s = shape;
    const struct sl_conv2d_bwd_weights *a = args;
    const struct gradient g = gradient_plan(s);
    float *sums = (float *)((char *)work->scratch + sl_band_scratch(&g.band));
    float *gathered = sums + gradient_sums(s, g.k, g.c) / sizeof *sums;
    for (int64_t unit = work->begin; unit < work->end; unit++) {
        const int32_t first_k = (int32_t)(unit / g.c_groups) * g.k, first_c = (int32_t)(unit % g.c_groups) * g.c;
        const int32_t k = s->k - first_k < g.k ? s->k - first_k : g.k, c = s->c - first_c < g.c ? s->c - first_c : g.c;
        struct sl_band band = g.band;
        band.c = c;
        const int32_t padded = sl_round_up(k, GRADIENT_BLOCK);
        memset(sums, 0, gradient_sums(s, padded, c));
        for (int64_t i = 0; i < sl_band_units(&band); i++) {
            const struct sl_band_view view = sl_band_open(&band, a->x + first_c, i, work->scratch);
            gradient_add(s, &view, s->kw * c, a->dy + view.first * s->ys, first_k, padded, gathered, sums);
        }
        gradient_store(s, sums, first_k, k, first_c, c, a->dw);
    }
}

const struct sl_kernel DIRECT(sl_conv2d_bwd_weights_direct) = {
    .fits = gradient_fits,
    .units = gradient_units,
    .scratch = gradient_scratch,
    .run = gradient_run_units,
};

/* --- bias_bwd -------------------------------------------------------------------------------------------------- */

enum {
    BIAS_VECTORS = 64 / VL,
    BIAS_CHANNELS = 64, /* of a unit */
    BIAS_PIXELS = 256,  /* summed on their own, so that rounding grows with the root of the pixels twice */
};

static int64_t bias_units(const void *shape)
{
    const struct sl_conv2d *s = shape;
    return (s->k + BIAS_CHANNELS - 1) / BIAS_CHANNELS;
}

/* Adds some pixels of up to 64 channels to `sum`. */
static void bias_add(const struct sl_conv2d *s, const float *dy, int32_t channels, int64_t pixels, vf sum[BIAS_VECTORS])
{
    for (int v = 0; v < BIAS_VECTORS && v * VL < channels; v++) {
        const int lanes = channels - v * VL < VL ? channels - v * VL : VL;
        vf part = v_zero();
        for (int64_t t = 0; t < pixels; t++)
            part = v_add(part, v_load_head(dy + t * s->ys + v * VL, lanes));
        sum[v] = v_add(sum[v], part);
    }
}

static void bias_run(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_conv2d *s = shape;
    const struct sl_bias_bwd *a = args;
    const int64_t pixels = (int64_t)s->n * s->oh * s->ow;
    for (int64_t unit = work->begin; unit < work->end; unit++) {
        const int32_t first = (int32_t)unit * BIAS_CHANNELS;
        const int32_t channels = s->k - first < BIAS_CHANNELS ? s->k - first : BIAS_CHANNELS;
        vf sum[BIAS_VECTORS];
        for (int v = 0; v < BIAS_VECTORS; v++)
            sum[v] = v_zero();
        for (int64_t t = 0; t < pixels; t += BIAS_PIXELS)
            bias_add(s, a->dy + t * s->ys + first, channels, pixels - t < BIAS_PIXELS ? pixels - t : BIAS_PIXELS, sum);
        for (int v = 0; v < BIAS_VECTORS && v * VL < channels; v++)
            v_store_head(a->db + first + v * VL, sum[v], channels - v * VL < VL ? channels - v * VL : VL);
    }
}

const struct sl_kernel DIRECT(sl_bias_bwd_sum) = {.units = bias_units, .run = bias_run};
#endif
