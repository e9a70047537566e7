/* The window: how the kernel lies over the source, forward and backward-data. README.md derives it.
 *
 * Along one axis, output position i and tap r meet at source position (i*stride + r - padding)/spacing. They do not
 * meet where the division leaves a remainder, or where the position lies outside the source. Forward has spacing 1.
 * Backward-data reads dy under the turned kernel: its stride is 1, and its spacing is the stride of the convolution.
 *
 * For one output position only every spacing-th tap leaves no remainder. These taps are a phase.
 *
 * No border is padded and no gap is filled with zeros. Instead the output pixels of a unit are sorted into groups whose
 * pixels meet the same taps. The taps of a group are some neighbouring rows and columns of one phase. Packed weights
 * are ordered by phases, so that these taps are neighbours in the weights as they are in the source. */
#ifndef SL_KERNELS_CONV_WINDOW_H
#define SL_KERNELS_CONV_WINDOW_H

#include "kernels/conv/conv.h"
#include "kernels/conv/units.h"

/* One axis: the rows, or the columns. */
struct sl_axis {
    int32_t source, output, kernel; /* lengths */
    int32_t stride;
    int32_t padding; /* may be negative */
    int32_t spacing; /* output positions from one source position to the next; it or the stride is 1 */
};

struct sl_window {
    struct sl_axis rows, columns;
    int32_t c;      /* channels of the source */
    int32_t xs, ys; /* floats of a pixel: of the source, of the output */
    struct sl_units units;
};

/* A reach: output positions of one axis that meet the same taps. */
struct sl_reach {
    int32_t begin, length; /* positions begin, begin + spacing, ...: so many */
    int32_t phase;
    int32_t first, taps; /* taps [first, first + taps), counted within the phase */
    /* Where the first tap of the first position meets the source. That of the next position is a stride further. */
    int32_t at;
};

/* An output pixel of a unit. Both are counted in floats: from the first float of the unit's first source image, and
 * from the unit's first output pixel. */
struct sl_pixel {
    ptrdiff_t x; /* where its first tap meets the source */
    ptrdiff_t y; /* where it lies in the output */
};

/* Tiles prefetch the output of pixels further down the list. So the last pixel is repeated that often past the end. */
enum { SL_PIXELS_AHEAD = 48 };

/* One unit, ready to be computed. */
struct sl_window_view {
    struct sl_unit unit;
    const float *x;                /* first image of the unit */
    const struct sl_pixel *pixels; /* group by group, as sl_window_next gives them */
    int64_t first;                 /* the unit's first output pixel, counted over all images */
    int32_t count;                 /* pixels */
};

/* A group: the pixels of a unit that meet the same rows.taps x columns.taps taps. If either is 0, they meet none. */
struct sl_group {
    struct sl_reach rows, columns;
    int32_t begin, count; /* in the list of pixels */
    int32_t images;
};

struct sl_window sl_window_forward(const struct sl_conv2d *shape, const struct sl_units_goal *goal);
struct sl_window sl_window_backward(const struct sl_conv2d *shape, const struct sl_units_goal *goal);

/* Bytes of scratch for the list of pixels of one unit. */
size_t sl_window_scratch(const struct sl_window *window);

/* Prepares a unit; its pixels are listed in scratch. */
struct sl_window_view sl_window_open(const struct sl_window *window, const float *x, int64_t unit, void *scratch);

/* Moves on to the next group of a unit. Start from {0}. False when there is none left. */
bool sl_window_next(const struct sl_window *window, const struct sl_unit *unit, struct sl_group *group);

/* Taps of one kernel row that belong to this phase of the columns. */
int32_t sl_window_row_taps(const struct sl_window *window, int32_t phase);

/* Packed weights number their taps phase by phase. The number of a group's first tap, and the tap r*kw + s that has a
 * number. */
int64_t sl_window_tap_number(const struct sl_window *window, const struct sl_group *group);
int64_t sl_window_tap(const struct sl_window *window, int64_t number);

/* What a unit reads of the source, possibly with one row too many. */
struct sl_unit_source sl_window_source(const struct sl_window *window, int64_t unit);

/* At least as many pixels as any unit reads. */
int64_t sl_window_source_pixels(const struct sl_window *window);
#endif
