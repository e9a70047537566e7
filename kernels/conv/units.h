/* Units: how the direct convolutions cut their output pixels. The pixels of a unit follow each other in memory: some
 * rows of one image, or a few whole images. README.md defines this word and the others. */
#ifndef SL_KERNELS_CONV_UNITS_H
#define SL_KERNELS_CONV_UNITS_H

#include "kernels/base.h"

struct sl_units {
    int32_t n, oh, ow; /* images, output rows and columns */
    int32_t rows;      /* output rows of a unit */
    int32_t per_image; /* units of an image */
    int32_t images;    /* images of a unit; 1 unless per_image is 1 */
};

/* What a unit should be, where the shape allows. */
struct sl_units_goal {
    size_t bytes;  /* of input under a unit, at most */
    int32_t most;  /* output pixels of a unit, at most */
    int32_t least; /* output pixels that a unit keeps when units are made smaller to have more of them */
    int32_t units; /* wanted: units are made smaller until there are so many, or `least` forbids it */
};

/* The input under a unit: (rows - 1)*stride + kernel rows of `row_bytes` each, for `rows` output rows. */
struct sl_units_input {
    size_t row_bytes;
    int32_t stride, kernel;
};

/* Where a unit lies: images [n, n + images), output rows [p, p + rows) of each. */
struct sl_unit {
    int64_t n;
    int32_t images, p, rows;
};

/* Pixels of the source that follow each other: what is prefetched for a unit. */
struct sl_unit_source {
    int64_t first; /* counted over all images */
    int64_t pixels;
};

/* Cuts n images of oh x ow output pixels. The answer never depends on the thread count. */
struct sl_units sl_units_plan(int32_t n, int32_t oh, int32_t ow, const struct sl_units_input *input,
                              const struct sl_units_goal *goal);

/* Makes the number of rows of a unit even, so that it has whole windows of 2 x 2. */
void sl_units_pair_rows(struct sl_units *units);

/* Do so many units of equal work fill a node of many cores? Cut evenly for 64 threads, the longest slice is at most a
 * sixteenth longer than the mean. */
static inline bool sl_units_fill(int64_t units)
{
    enum { CORES = 64 };
    const int64_t longest = (units + CORES - 1) / CORES;
    return 16 * longest * CORES <= 17 * units;
}

struct sl_unit sl_units_at(const struct sl_units *units, int64_t unit);

/* What a unit reads of a source [n][h][w]: from row `begin` of its first image to row `end` of its last. Rows that the
 * image does not have are left out. */
struct sl_unit_source sl_unit_source(const struct sl_unit *unit, int64_t begin, int64_t end, int32_t h, int32_t w);

static inline int64_t sl_units_count(const struct sl_units *u)
{
    return u->per_image > 1 ? (int64_t)u->n * u->per_image : ((int64_t)u->n + u->images - 1) / u->images;
}

/* Output pixels of the largest unit: no more than the goal allows, or one row. */
static inline int32_t sl_units_pixels(const struct sl_units *u)
{
    return u->rows * u->ow * u->images;
}
#endif
