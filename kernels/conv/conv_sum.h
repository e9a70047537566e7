/* The sum of a direct convolution over one group of pixels (window.h) and one block of output channels: cut into pieces
 * where its weights exceed DIRECT_PANEL_BYTES, multiplied by tiles (conv_tile.h). Partial sums wait in y. */
#ifndef SL_KERNELS_CONV_SUM_H
#define SL_KERNELS_CONV_SUM_H

#include "kernels/contract.h"
#include "kernels/conv/conv_ahead.h"
#include "kernels/conv/conv_tile.h"

/* All pixels of a group for one piece, in tiles as even as possible. */
static void direct_pixels(const struct direct_piece *piece, int32_t block, const struct sl_pixel *pixel, int32_t count,
                          struct direct_ahead *ahead, float *y)
{
    direct_tile_fn *const *tiles = direct_narrow;
#if V_REGISTERS == 32
    if (block == 4 * VL)
        tiles = direct_wide;
#endif
    assert(count > 0);
    const int32_t longest = DIRECT_SUMS / (block / VL), parts = (count + longest - 1) / longest;
    const int32_t size = count / parts, longer = count % parts;
    for (int32_t i = 0; i < parts; i++) {
        const int32_t pixels = size + (i < longer);
        tiles[pixels - 1](piece, pixel, y);
        direct_prefetch(ahead);
        pixel += pixels;
    }
}

static int32_t direct_smaller(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

/* What one block of output channels has to sum for one group of pixels. */
struct direct_sum {
    const struct sl_window *window;
    int32_t block;
    const float *x;       /* of the unit */
    const float *weights; /* of the first tap */
    const float *bias;    /* of the block */
    float slope;
    int32_t rows, columns, run; /* kernel rows, runs of each and their floats */
    ptrdiff_t weights_row;      /* floats of weights from one kernel row to the next */
    int32_t lanes;
};

/* Rows [r, r + rows) and floats [from, from + run) of run s of each. */
static struct direct_piece direct_piece_of(const struct direct_sum *sum, int32_t r, int32_t rows, int32_t s,
                                           int32_t from, int32_t run)
{
    const struct sl_window *w = sum->window;
    const ptrdiff_t before = (ptrdiff_t)s * sum->run + from, x_row = (ptrdiff_t)w->columns.source * w->xs;
    const bool first = !r && !before, last = r + rows == sum->rows && s + 1 >= sum->columns && from + run == sum->run;
    return (struct direct_piece){.x = sum->x + r * x_row + (ptrdiff_t)s * w->xs + from,
                                 .weights = sum->weights + r * sum->weights_row + before * sum->block,
                                 .rows = rows,
                                 .run = run,
                                 .x_row = x_row,
                                 .skip = sum->weights_row - (ptrdiff_t)run * sum->block,
                                 .bias = first ? sum->bias : NULL,
                                 .slope = last ? sum->slope : 1.0f,
                                 .lanes = sum->lanes};
}

/* The sum of a group, piece by piece: at once as many rows, or as much of a run, as DIRECT_PANEL_BYTES of weights
 * allow. */
static void direct_group(const struct direct_sum *sum, const struct sl_pixel *pixel, int32_t pixels,
                         struct direct_ahead *ahead, float *y)
{
    if (!sum->rows || !sum->columns) {
        const struct direct_piece nothing = {.bias = sum->bias, .slope = sum->slope, .lanes = sum->lanes};
        direct_pixels(&nothing, sum->block, pixel, pixels, ahead, y);
        return;
    }
    const int32_t floats = DIRECT_PANEL_BYTES / (int32_t)sizeof(float) / sum->block;
    const int32_t cuts = (sum->run + floats - 1) / floats, run = (sum->run + cuts - 1) / cuts;
    const int32_t rows = cuts > 1 || sum->columns > 1 ? 1 : floats / run;
    for (int32_t r = 0; r < sum->rows; r += rows)
        for (int32_t s = 0; s < sum->columns; s++)
            for (int32_t from = 0; from < sum->run; from += run) {
                const struct direct_piece piece = direct_piece_of(sum, r, direct_smaller(rows, sum->rows - r), s, from,
                                                                  direct_smaller(run, sum->run - from));
                direct_pixels(&piece, sum->block, pixel, pixels, ahead, y);
            }
}
#endif
