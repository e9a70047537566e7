/* Winograd's transforms of squares: of the source of a tile to its t*t values, one at each pair of points (a
 * frequency), of a kernel likewise, and of the products back to outputs. Each is the transform along one axis
 * (conv_winograd_transform.h) for every row, then for every column. A template over the names of simd/vec_*.h. */
#ifndef SL_KERNELS_CONV_WINOGRAD_SQUARE_H
#define SL_KERNELS_CONV_WINOGRAD_SQUARE_H

#include <stddef.h>

#include "kernels/base.h"
#include "kernels/conv/conv_element.h"
#include "kernels/conv/conv_winograd_transform.h"
#include "kernels/conv/conv_winograd_value.h"

/* A square of pixels of an image. It may reach over the border: its rows [top, bottom) and columns [left, right) lie
 * within. */
struct winograd_square {
    const conv_element *image;
    ptrdiff_t at;         /* of its first pixel, from the image's first */
    ptrdiff_t row, pixel; /* elements from one to the next */
    int32_t top, bottom, left, right;
};

/* Where row i, column j begins; only where they lie within. */
WINOGRAD_INLINE const conv_element *winograd_pixel(const struct winograd_square *s, int i, int j)
{
    return s->image + (s->at + i * s->row + j * s->pixel);
}

WINOGRAD_INLINE bool winograd_is_within(const struct winograd_square *s, int i, int j)
{
    return i >= s->top && i < s->bottom && j >= s->left && j < s->right;
}

/* Does all of a square of n x n lie within? */
WINOGRAD_INLINE bool winograd_is_whole(const struct winograd_square *s, int32_t n)
{
    return s->top == 0 && s->left == 0 && s->bottom == n && s->right == n;
}

WINOGRAD_INLINE void winograd_put(float *to, vf value, const ptrdiff_t ahead)
{
    if (ahead)
        __builtin_prefetch(to + ahead, 1);
    winograd_put_values(to, value);
}

/* One vector of channels of t x t pixels, zeros outside the image, to v[frequency*step]. `whole`: all of them lie
 * within. `ahead`: what will be written next lies so many floats on, and is asked for; 0: it is near already. */
WINOGRAD_INLINE void winograd_input_square(const int t, const bool whole, const struct winograd_square *s, int32_t c,
                                           float *v, ptrdiff_t step, const ptrdiff_t ahead)
{
    vf half[WINOGRAD_POINTS][WINOGRAD_POINTS];
    WINOGRAD_UNROLL
    for (int i = 0; i < t; i++) {
        vf line[WINOGRAD_POINTS];
        WINOGRAD_UNROLL
        for (int j = 0; j < t; j++)
            line[j] = whole || winograd_is_within(s, i, j) ? conv_load(winograd_pixel(s, i, j) + c) : v_zero();
        winograd_input(t, line, half[i]);
    }
    WINOGRAD_UNROLL
    for (int j = 0; j < t; j++) {
        vf line[WINOGRAD_POINTS], value[WINOGRAD_POINTS];
        WINOGRAD_UNROLL
        for (int i = 0; i < t; i++)
            line[i] = half[i][j];
        winograd_input(t, line, value);
        WINOGRAD_UNROLL
        for (int i = 0; i < t; i++)
            winograd_put(v + (i * t + j) * step, value[i], ahead);
    }
}

/* The same of n x n pixels as coefficients: of the gradient of the output under a tile. */
WINOGRAD_INLINE void winograd_gradient_square(const int t, const int n, const bool whole,
                                              const struct winograd_square *s, int32_t c, float *v, ptrdiff_t step,
                                              const ptrdiff_t ahead)
{
    vf half[WINOGRAD_OUTPUTS][WINOGRAD_POINTS];
    WINOGRAD_UNROLL
    for (int i = 0; i < n; i++) {
        vf line[WINOGRAD_OUTPUTS];
        WINOGRAD_UNROLL
        for (int j = 0; j < n; j++)
            line[j] = whole || winograd_is_within(s, i, j) ? conv_load(winograd_pixel(s, i, j) + c) : v_zero();
        winograd_evaluate(t, n, line, half[i]);
    }
    WINOGRAD_UNROLL
    for (int j = 0; j < t; j++) {
        vf line[WINOGRAD_OUTPUTS], value[WINOGRAD_POINTS];
        WINOGRAD_UNROLL
        for (int i = 0; i < n; i++)
            line[i] = half[i][j];
        winograd_evaluate(t, n, line, value);
        WINOGRAD_UNROLL
        for (int i = 0; i < t; i++)
            winograd_put(v + (i * t + j) * step, value[i], ahead);
    }
}

/* One vector of channels of n x n coefficients, [n*n] of them `pixel` floats apart, to v[frequency*step]; each value
 * times scale[frequency]. */
WINOGRAD_INLINE void winograd_kernel_square(const int t, const int n, const float *g, ptrdiff_t pixel,
                                            const float *scale, float *v, ptrdiff_t step)
{
    vf half[SL_WINOGRAD_KERNEL][WINOGRAD_POINTS];
    WINOGRAD_UNROLL
    for (int i = 0; i < n; i++) {
        vf line[SL_WINOGRAD_KERNEL];
        WINOGRAD_UNROLL
        for (int j = 0; j < n; j++)
            line[j] = v_load(g + (i * n + j) * pixel);
        winograd_evaluate(t, n, line, half[i]);
    }
    WINOGRAD_UNROLL
    for (int j = 0; j < t; j++) {
        vf line[SL_WINOGRAD_KERNEL], value[WINOGRAD_POINTS];
        WINOGRAD_UNROLL
        for (int i = 0; i < n; i++)
            line[i] = half[i][j];
        winograd_evaluate(t, n, line, value);
        WINOGRAD_UNROLL
        for (int i = 0; i < t; i++)
            winograd_put_values(v + (i * t + j) * step, v_mul(value[i], v_set1(scale[i * t + j])));
    }
}

/* One vector of channels of t x t sums, m[frequency*step], to n x n outputs; each sum times scale[frequency], if there
 * is a scale. */
WINOGRAD_INLINE void winograd_output_square(const int t, const int n, const float *m, ptrdiff_t step,
                                            const float *scale, vf y[WINOGRAD_OUTPUTS][WINOGRAD_OUTPUTS])
{
    vf half[WINOGRAD_POINTS][WINOGRAD_OUTPUTS];
    WINOGRAD_UNROLL
    for (int i = 0; i < t; i++) {
        vf line[WINOGRAD_POINTS];
        WINOGRAD_UNROLL
        for (int j = 0; j < t; j++)
            line[j] = scale ? v_mul(v_load(m + (i * t + j) * step), v_set1(scale[i * t + j]))
                            : v_load(m + (i * t + j) * step);
        winograd_collect(t, n, line, half[i]);
    }
    WINOGRAD_UNROLL
    for (int j = 0; j < n; j++) {
        vf line[WINOGRAD_POINTS], output[WINOGRAD_OUTPUTS];
        WINOGRAD_UNROLL
        for (int i = 0; i < t; i++)
            line[i] = half[i][j];
        winograd_collect(t, n, line, output);
        WINOGRAD_UNROLL
        for (int i = 0; i < n; i++)
            y[i][j] = output[i];
    }
}
#endif
