/* Bands: how backward-weights sees its input.
 *
 * A band is a copy of the input rows under a unit, with zeros where the padding is. In a band every output pixel meets
 * every tap, so that all tiles of a unit share one list of pixels (README.md says why that pays here). A table holds
 * where the run of each output pixel begins.
 *
 * Under an output pixel, a kernel row is one run of kw*c floats. Where a pixel takes a multiple of 512 bytes, a cache
 * line is left free after each pixel, and a kernel row is kw runs of c floats: without the gap, the same channel of a
 * hundred pixels would compete for a few sets of the first-level cache.
 *
 * Input without padding whose channels are all taken needs no copy: it is read where it lies. */
#ifndef SL_KERNELS_CONV_BAND_H
#define SL_KERNELS_CONV_BAND_H

#include "kernels/conv/conv.h"
#include "kernels/conv/units.h"

struct sl_band {
    int32_t h, w, xs; /* source: rows, columns, floats of one pixel */
    int32_t c;        /* channels taken, from the first one of the pointer given */
    int32_t kh, kw, stride_h, stride_w;
    int32_t pad_top, pad_left; /* may be negative */
    int32_t oh, ow;            /* output */
    struct sl_units units;
    int32_t pitch; /* floats of a pixel as it is read */
    bool in_place; /* the source needs no copy */
};

/* One unit, ready to be computed. */
struct sl_band_view {
    const float *x; /* output pixel t, kernel row r, column s: x + offset[t] + r*row + s*pitch, c floats */
    const ptrdiff_t *offset;
    ptrdiff_t row;
    int64_t first; /* the unit's first output pixel, counted over all images */
    int32_t pixels;
};

/* The band over the input of a convolution, `c` of its channels. */
struct sl_band sl_band_plan(const struct sl_conv2d *shape, int32_t c, const struct sl_units_goal *goal);

/* The same for a kernel of one tap without padding, all pixels of it within the input, whatever channels are taken: it
 * is read where it lies. */
struct sl_band sl_band_in_place(const struct sl_conv2d *shape, const struct sl_units_goal *goal);

/* Bytes of scratch a unit needs, a multiple of 64. */
size_t sl_band_scratch(const struct sl_band *band);

/* What a unit reads of the source. */
struct sl_unit_source sl_band_source(const struct sl_band *band, int64_t unit);

/* Prepares a unit. `x` points at the first channel taken of the first pixel of the source. */
struct sl_band_view sl_band_open(const struct sl_band *band, const float *x, int64_t unit, void *scratch);
#endif
