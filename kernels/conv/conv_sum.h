/* The sums of one group of pixels (window.h) x one block of output channels, forward and backward-data. They are cut
 * into pieces whose weights take at most DIRECT_PIECE_BYTES; tiles (conv_tile.h) add one piece after the other. Between
 * two pieces the sums wait in y. */
#ifndef SL_KERNELS_CONV_SUM_H
#define SL_KERNELS_CONV_SUM_H

#include "kernels/contract.h"
#include "kernels/conv/conv_ahead.h"
#include "kernels/conv/conv_tile.h"

/* Adds one piece to the sums of all pixels of a group. Its tiles are as even as possible. */
static void direct_pixels(struct direct_piece *piece, const struct direct_tiles *tiles, const struct sl_pixel *pixel,
                          int32_t count, struct direct_coming *coming, float *y)
{
    assert(count > 0);
    const int32_t parts = (count + tiles->longest - 1) / tiles->longest;
    const int32_t size = count / parts, longer = count % parts;
    for (int32_t i = 0; i < parts; i++) {
        const int32_t pixels = size + (i < longer);
        if (piece->moments)
            direct_moments_next(piece->moments, pixels);
        piece->pace = direct_come(coming, (ptrdiff_t)piece->rows * piece->run, &piece->ahead);
        tiles->of[pixels - 1](piece, pixel, y);
        pixel += pixels;
    }
}

static int32_t direct_smaller(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

/* The whole sum of one group and one block: `rows` kernel rows of `runs` runs of `run` floats. */
struct direct_sum {
    const struct sl_window *window;
    const struct direct_tiles *tiles; /* of the block */
    const float *x;                   /* of the unit */
    const float *weights;             /* of the first tap */
    const float *bias;                /* of the block */
    float slope;
    int32_t rows, runs, run;
    ptrdiff_t weights_row;          /* floats of weights from one kernel row to the next */
    int32_t lanes;                  /* as in struct direct_piece */
    bool streams;                   /* y goes past the caches, if it is written once */
    struct direct_moments *moments; /* of this block; or NULL */
};

/* The piece of kernel rows [r, r + rows), of each the floats [from, from + run) of run s. */
static struct direct_piece direct_piece_of(const struct direct_sum *sum, int32_t r, int32_t rows, int32_t s,
                                           int32_t from, int32_t run)
{
    const struct sl_window *w = sum->window;
    const ptrdiff_t before = (ptrdiff_t)s * sum->run + from, x_row = (ptrdiff_t)w->columns.source * w->xs;
    const bool first = !r && !before, last = r + rows == sum->rows && s + 1 >= sum->runs && from + run == sum->run;
    return (struct direct_piece){.x = sum->x + r * x_row + (ptrdiff_t)s * w->xs + from,
                                 .weights = sum->weights + r * sum->weights_row + before * sum->tiles->width,
                                 .rows = rows,
                                 .run = run,
                                 .x_row = x_row,
                                 .skip = sum->weights_row - (ptrdiff_t)run * sum->tiles->width,
                                 .bias = first ? sum->bias : NULL,
                                 .slope = last ? sum->slope : 1.0f,
                                 .lanes = sum->lanes,
                                 .streams = sum->streams && first && last,
                                 .moments = last ? sum->moments : NULL};
}

/* The sum of a group, piece by piece. A piece is as many kernel rows as DIRECT_PIECE_BYTES of weights allow, or as much
 * of one run. */
static void direct_group(const struct direct_sum *sum, const struct sl_pixel *pixel, int32_t pixels,
                         struct direct_coming *coming, float *y)
{
    if (!sum->rows || !sum->runs) {
        struct direct_piece nothing = {.bias = sum->bias,
                                       .slope = sum->slope,
                                       .lanes = sum->lanes,
                                       .streams = sum->streams,
                                       .moments = sum->moments};
        direct_pixels(&nothing, sum->tiles, pixel, pixels, coming, y);
        return;
    }
    const int32_t floats = DIRECT_PIECE_BYTES / (int32_t)sizeof(float) / sum->tiles->width;
    const int32_t cuts = (sum->run + floats - 1) / floats, run = (sum->run + cuts - 1) / cuts;
    const int32_t rows = cuts > 1 || sum->runs > 1 ? 1 : floats / run;
    for (int32_t r = 0; r < sum->rows; r += rows)
        for (int32_t s = 0; s < sum->runs; s++)
            for (int32_t from = 0; from < sum->run; from += run) {
                struct direct_piece piece = direct_piece_of(sum, r, direct_smaller(rows, sum->rows - r), s, from,
                                                            direct_smaller(run, sum->run - from));
                direct_pixels(&piece, sum->tiles, pixel, pixels, coming, y);
            }
}
#endif
