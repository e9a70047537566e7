/* Bands: how direct backward-weights sees its input.
 *
 * The input rows under a unit's output pixels are copied into scratch with their zero padding, so that no kernel meets
 * a border. Under every output pixel a kernel row is one contiguous run of kw*c floats, or kw runs of c where pixels
 * are a multiple of 512 bytes: those are kept a line further apart, or the same channel of a hundred pixels would share
 * a few sets of the first-level cache. Input that needs neither is read where it lies. A table holds where the run of
 * each output pixel begins. */
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

/* Bytes of scratch a unit needs, a multiple of 64. */
size_t sl_band_scratch(const struct sl_band *band);

/* What a unit reads. */
struct sl_unit_source sl_band_source(const struct sl_band *band, const float *x, int64_t unit);

/* Prepares a unit. `x` points at the first channel taken of the first pixel of the source. */
struct sl_band_view sl_band_open(const struct sl_band *band, const float *x, int64_t unit, void *scratch);
#endif
