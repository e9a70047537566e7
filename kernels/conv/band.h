/* Bands: how the direct convolutions see their input.
 *
 * A unit of work is some output pixels that follow each other in memory: rows of one image, or a few whole
 * images. The input rows under them are copied into scratch with their zero padding, so that no kernel meets a
 * border, and one kernel row is one contiguous run of kw*c floats under every output pixel. Where the input needs
 * no padding it is read where it lies. A table holds where the run of each output pixel begins, so that register
 * tiles may span rows and images. */
#ifndef SL_KERNELS_CONV_BAND_H
#define SL_KERNELS_CONV_BAND_H

#include "kernels/conv/conv.h"

struct sl_band {
    int32_t n, h, w, xs;       /* source: images, rows, columns, floats of one pixel */
    int32_t c;                 /* channels taken, from the first one of the pointer given */
    int32_t up_h, up_w;        /* source pixels lie this far apart, zeros between them: the stride undone */
    int32_t kh, kw, stride_h, stride_w;
    int32_t pad_top, pad_left; /* may be negative */
    int32_t oh, ow;            /* output */
    /* The plan. */
    int32_t rows, bands;       /* output rows of a unit, units of an image */
    int32_t images;            /* images of a unit; 1 unless bands is 1 */
    bool in_place;             /* the source needs no copy */
};

/* One unit, ready to be computed. */
struct sl_band_view {
    const float *x;            /* run of output pixel t, kernel row r: x + offset[t] + r*row, kw*c floats */
    const ptrdiff_t *offset;
    ptrdiff_t row;
    int64_t first;             /* the unit's first output pixel, counted over all images */
    int32_t pixels;
};

/* What a unit should be, where the shape allows. */
struct sl_band_goal {
    size_t bytes;              /* at most so large a copy */
    int32_t most, least;       /* output pixels: at most, and not fewer for the sake of more units */
    int32_t units;             /* at least so many */
    bool copy;                 /* copy what could be read in place: the channels taken lie far apart in it */
};

/* The band of the forward pass, and the one of backward-data: dy, spread by the stride, under the turned kernel.
 * Their plan is empty. */
struct sl_band sl_band_forward(const struct sl_conv2d *shape);
struct sl_band sl_band_backward(const struct sl_conv2d *shape);

/* Fills in the plan. */
void sl_band_plan(struct sl_band *band, const struct sl_band_goal *goal);

int64_t sl_band_units(const struct sl_band *band);

/* Output pixels of the largest unit. */
int32_t sl_band_pixels(const struct sl_band *band);

/* Bytes of scratch a unit needs, a multiple of 64. */
size_t sl_band_scratch(const struct sl_band *band);

/* The source pixels that a unit reads, for prefetching. */
struct sl_band_source {
    const float *x;
    int64_t pixels;
};
struct sl_band_source sl_band_source(const struct sl_band *band, const float *x, int64_t unit);

/* Prepares a unit. `x` points at the first channel taken of the first pixel of the source. */
struct sl_band_view sl_band_open(const struct sl_band *band, const float *x, int64_t unit, void *scratch);
#endif
