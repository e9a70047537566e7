#include "runtime/data/resize.h"

#include <assert.h>
#include <stdlib.h>

/* The taps of every output position along one axis: sum over k < count[o] of weight[o][k] * in[first[o] + k]. */
struct taps {
    int32_t most; /* taps a position may have */
    int32_t *first, *count;
    float *weight; /* [size][most] */
};

static void taps_free(struct taps *taps)
{
    free(taps->first);
    free(taps->count);
    free(taps->weight);
}

static void fill_position(struct taps *taps, int32_t length, double scale, double support, int32_t o)
{
    const double centre = (o + 0.5) * scale;
    int32_t first = (int32_t)(centre - support + 0.5), end = (int32_t)(centre + support + 0.5);
    first = first < 0 ? 0 : first;
    end = end > length ? length : end;
    if (end - first > taps->most)
        end = first + taps->most;
    double sum = 0;
    float *weight = taps->weight + (size_t)o * (size_t)taps->most;
    for (int32_t k = first; k < end; k++) {
        const double distance = (k + 0.5 - centre) / support;
        const double w = distance < 0 ? 1 + distance : 1 - distance;
        weight[k - first] = (float)(w > 0 ? w : 0);
        sum += w > 0 ? w : 0;
    }
    for (int32_t k = 0; k < end - first; k++)
        weight[k] = (float)(weight[k] / sum);
    taps->first[o] = first;
    taps->count[o] = end - first;
}

static int taps_make(struct taps *taps, int32_t length, int32_t size)
{
    const double scale = (double)length / size, support = scale > 1 ? scale : 1;
    taps->most = (int32_t)(2 * support) + 2;
    taps->first = calloc((size_t)size, sizeof *taps->first);
    taps->count = calloc((size_t)size, sizeof *taps->count);
    taps->weight = calloc((size_t)size * (size_t)taps->most, sizeof *taps->weight);
    if (!taps->first || !taps->count || !taps->weight)
        return sl_fail(SL_SYSTEM, "out of memory for resizing an image");
    for (int32_t o = 0; o < size; o++)
        fill_position(taps, length, scale, support, o);
    return SL_OK;
}

/* One row of `size` pixels out of one row of the image. */
static void shrink_row(const struct taps *taps, const uint8_t *row, int32_t size, float *to)
{
    for (int32_t o = 0; o < size; o++) {
        const float *weight = taps->weight + (size_t)o * (size_t)taps->most;
        const uint8_t *at = row + (size_t)taps->first[o] * 3;
        float r = 0, g = 0, b = 0;
        for (int32_t k = 0; k < taps->count[o]; k++, at += 3) {
            r += weight[k] * at[0];
            g += weight[k] * at[1];
            b += weight[k] * at[2];
        }
        to[o * 3] = r;
        to[o * 3 + 1] = g;
        to[o * 3 + 2] = b;
    }
}

/* Rows of the image, each shrunk to `size` pixels: the last so many, row y at y % room. */
struct window {
    const struct taps *across;
    const uint8_t *from;
    size_t row_bytes;
    int32_t size, room, made; /* rows before `made` were shrunk */
    float *rows;              /* [room][size * 3] */
};

static const float *window_row(const struct window *w, int32_t y)
{
    return w->rows + (size_t)(y % w->room) * (size_t)w->size * 3;
}

static void window_reach(struct window *w, int32_t end)
{
    for (; w->made < end; w->made++)
        shrink_row(w->across, w->from + (size_t)w->made * w->row_bytes, w->size,
                   w->rows + (size_t)(w->made % w->room) * (size_t)w->size * 3);
}

/* Column sums of one output row; sum[size * 3] is scratch. */
static void sum_rows(const struct taps *down, const struct window *w, int32_t o, float *sum, uint8_t *to)
{
    const size_t n = (size_t)w->size * 3;
    const float *weight = down->weight + (size_t)o * (size_t)down->most;
    for (size_t i = 0; i < n; i++)
        sum[i] = 0.5f;
    for (int32_t k = 0; k < down->count[o]; k++) {
        const float *row = window_row(w, down->first[o] + k);
        for (size_t i = 0; i < n; i++)
            sum[i] += weight[k] * row[i];
    }
    for (size_t i = 0; i < n; i++)
        to[(size_t)o * n + i] = (uint8_t)(sum[i] >= 255 ? 255 : sum[i]);
}

int sl_resize(const uint8_t *from, int32_t width, int32_t height, int32_t size, uint8_t *to)
{
    int rc = SL_OK;
    struct taps across = {0}, down = {0};
    const size_t row_floats = (size_t)size * 3;
    float *rows = NULL;
    assert(width > 0 && height > 0 && size > 0);
    SL_TRY(taps_make(&across, width, size));
    SL_TRY(taps_make(&down, height, size));
    rows = calloc((size_t)down.most + 1, row_floats * sizeof *rows);
    if (!rows)
        SL_FAIL(SL_SYSTEM, "out of memory for resizing an image of %d x %d", width, height);
    struct window window = {&across, from, (size_t)width * 3, size, down.most, 0, rows};
    for (int32_t o = 0; o < size; o++) {
        window_reach(&window, down.first[o] + down.count[o]);
        sum_rows(&down, &window, o, rows + (size_t)down.most * row_floats, to);
    }
out:
    taps_free(&across);
    taps_free(&down);
    free(rows);
    return rc;
}
