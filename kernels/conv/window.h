/* Windows: how the direct convolutions, forward and backward-data, see their source.
 *
 * Output position i and tap r of the kernel meet at source position (i*stride + r - padding)/step, if that divides and
 * lies inside. Forward has step 1; backward-data reads dy under the turned kernel with stride 1 and the stride of the
 * convolution as its step. The taps with which an output position can meet anything are every step-th: a phase.
 *
 * No border is padded and no stride filled with zeros: the output pixels of a unit are sorted into groups that meet
 * the same taps. A group lists its pixels; its taps are a rectangle of its phase, and packed weights lie in order of
 * phases, so that the taps of a kernel row follow each other in the weights as in the source. */
#ifndef SL_KERNELS_CONV_WINDOW_H
#define SL_KERNELS_CONV_WINDOW_H

#include "kernels/conv/conv.h"
#include "kernels/conv/units.h"

/* Rows or columns. */
struct sl_axis {
    int32_t source, output, kernel; /* lengths */
    int32_t stride, padding, step;  /* stride or step is 1; padding may be negative */
};

struct sl_window {
    struct sl_axis rows, columns;
    int32_t c, xs, ys; /* channels of the source, floats of its pixels and of the output's */
    struct sl_units units;
};

/* Output positions begin, begin + step, ... of an axis that meet the same taps: [first, first + taps) of a phase. The
 * first tap of the first position is at source position `at`, of each next one `stride` further. */
struct sl_reach {
    int32_t begin, length;
    int32_t phase, first, taps;
    int32_t at;
};

struct sl_pixel {
    ptrdiff_t x, y; /* its first tap in the source, and the pixel in the output: floats from the unit's */
};

/* A list of pixels goes on so far past its end, with the last one, for whoever looks ahead. */
enum { SL_PIXELS_AHEAD = 48 };

/* One unit, ready to be computed. */
struct sl_window_view {
    struct sl_unit unit;
    const float *x;                /* first image of the unit */
    const struct sl_pixel *pixels; /* group by group, as sl_window_next gives them */
    int64_t first;                 /* the unit's first output pixel, counted over all images */
    int32_t count;                 /* pixels */
};

/* Pixels of a unit that meet the same taps: rows.taps x columns.taps, none if either is 0. */
struct sl_group {
    struct sl_reach rows, columns;
    int32_t begin, count; /* pixels */
    int32_t images;
};

struct sl_window sl_window_forward(const struct sl_conv2d *shape, const struct sl_units_goal *goal);
struct sl_window sl_window_backward(const struct sl_conv2d *shape, const struct sl_units_goal *goal);

/* Bytes of scratch a unit needs. */
size_t sl_window_scratch(const struct sl_window *window);

/* Prepares a unit; its pixels are listed in scratch. */
struct sl_window_view sl_window_open(const struct sl_window *window, const float *x, int64_t unit, void *scratch);

/* The next group of a unit; the first one after {0}. False when there is none. */
bool sl_window_next(const struct sl_window *window, const struct sl_unit *unit, struct sl_group *group);

/* Taps of a kernel row in a phase of the columns. */
int32_t sl_window_row_taps(const struct sl_window *window, int32_t phase);

/* The number of a group's first tap in the order of the packed weights, and the tap, r*kw + s, of a number. */
int64_t sl_window_tap_number(const struct sl_window *window, const struct sl_group *group);
int64_t sl_window_tap(const struct sl_window *window, int64_t number);

/* What a unit reads, or a row more. */
struct sl_unit_source sl_window_source(const struct sl_window *window, const float *x, int64_t unit);
#endif
