/* Units of work of the direct convolutions: output pixels that follow each other in memory, rows of one image or a few
 * whole images. */
#ifndef SL_KERNELS_CONV_UNITS_H
#define SL_KERNELS_CONV_UNITS_H

#include "kernels/base.h"

struct sl_units {
    int32_t n, oh, ow;   /* images, output rows and columns */
    int32_t rows, bands; /* output rows of a unit, units of an image */
    int32_t images;      /* images of a unit; 1 unless bands is 1 */
};

/* What a unit should be, where the shape allows. */
struct sl_units_goal {
    size_t bytes;        /* of input under it, at most */
    int32_t most, least; /* output pixels: at most, and not fewer for the sake of more units */
    int32_t units;       /* at least so many */
};

/* The input under `rows` output rows: about (rows - 1)*stride + kernel rows of `row_bytes`. */
struct sl_units_input {
    size_t row_bytes;
    int32_t stride, kernel;
};

/* Where a unit lies: images [n, n + images), output rows [p, p + rows) of each. */
struct sl_unit {
    int64_t n;
    int32_t images, p, rows;
};

/* Source pixels that follow each other, for prefetching. */
struct sl_unit_source {
    const float *x;
    int64_t pixels;
};

/* Cuts n images of oh x ow output pixels. The answer never depends on the thread count. */
struct sl_units sl_units_plan(int32_t n, int32_t oh, int32_t ow, const struct sl_units_input *input,
                              const struct sl_units_goal *goal);

struct sl_unit sl_units_at(const struct sl_units *units, int64_t unit);

/* What a unit reads of a source [n][h][w] of pixels of xs floats: rows [begin, end), as far as there are such rows, of
 * its first image to its last. */
struct sl_unit_source sl_unit_source(const struct sl_unit *unit, const float *x, int64_t begin, int64_t end, int32_t h,
                                     int32_t w, int32_t xs);

static inline int64_t sl_units_count(const struct sl_units *u)
{
    return u->bands > 1 ? (int64_t)u->n * u->bands : ((int64_t)u->n + u->images - 1) / u->images;
}

/* Output pixels of the largest unit: no more than the goal allows, or one row. */
static inline int32_t sl_units_pixels(const struct sl_units *u)
{
    return u->rows * u->ow * u->images;
}
#endif
