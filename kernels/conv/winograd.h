/* The forms of Winograd's convolution. F(m x m, r x r) makes m x m outputs of an r x r kernel from a square of t x t
 * inputs, t = m + r - 1, by t*t multiplications where the direct method needs m*m*r*r. README.md derives it.
 *
 * A form multiplies polynomials by their values at t points. How many points there are says which they are: 0, 1, -1,
 * one or two more, and infinity, where the value of a polynomial is its highest coefficient. */
#ifndef SL_KERNELS_CONV_WINOGRAD_H
#define SL_KERNELS_CONV_WINOGRAD_H

#include <stdbool.h>
#include <stdint.h>

enum { SL_WINOGRAD_POINTS = 6, SL_WINOGRAD_OUTPUTS = 4, SL_WINOGRAD_KERNEL = 3 }; /* the most that a form has */

struct sl_winograd_form {
    int32_t m, r, t; /* along one axis: outputs, taps, points */
};

enum sl_winograd { SL_WINOGRAD_4_2, SL_WINOGRAD_3_2, SL_WINOGRAD_4_3, SL_WINOGRAD_2_3, SL_WINOGRAD_FORMS };

/* In the order of the enum. */
static const struct sl_winograd_form sl_winograd_forms[SL_WINOGRAD_FORMS] = {
    {4, 2, 5},
    {3, 2, 4},
    {4, 3, 6},
    {2, 3, 4},
};

/* The points, infinity excepted, which comes last. */
static inline double sl_winograd_point(int32_t t, int32_t i)
{
    static const double points[][SL_WINOGRAD_POINTS] = {
        {0.0, 1.0, -1.0},            /* of t = 4 */
        {0.0, 1.0, -1.0, 2.0},       /* 5 */
        {0.0, 1.0, -1.0, 1.5, -1.5}, /* 6 */
    };
    return points[t - 4][i];
}

/* The divisor of Lagrange's interpolation at point i: the product of its distances from the others; 1 at infinity.
 * Dividing by it is left out of the transforms of conv_winograd_transform.h, all of whose coefficients are therefore
 * exact floats, and belongs to the weights. */
static inline double sl_winograd_divisor(int32_t t, int32_t i)
{
    double divisor = 1.0;
    for (int32_t j = 0; i < t - 1 && j < t - 1; j++)
        if (j != i)
            divisor *= sl_winograd_point(t, i) - sl_winograd_point(t, j);
    return divisor;
}

/* What the product at each pair of points is multiplied by: one over the divisors of both. */
static inline void sl_winograd_scale(int32_t t, float *scale)
{
    for (int32_t i = 0; i < t * t; i++)
        scale[i] = (float)(1.0 / (sl_winograd_divisor(t, i / t) * sl_winograd_divisor(t, i % t)));
}

/* Multiplications of one channel pair for oh x ow outputs, tiles that reach past the end included. */
static inline int64_t sl_winograd_cost(enum sl_winograd form, int32_t oh, int32_t ow)
{
    const struct sl_winograd_form *f = &sl_winograd_forms[form];
    return (int64_t)((oh + f->m - 1) / f->m) * ((ow + f->m - 1) / f->m) * f->t * f->t;
}

/* The form of small tiles for a kernel of r x r, r = 2 or 3. */
static inline enum sl_winograd sl_winograd_small(int32_t r)
{
    return r == 2 ? SL_WINOGRAD_3_2 : SL_WINOGRAD_2_3;
}

/* The form with the fewest multiplications for a kernel of r x r, r = 2 or 3; of equals, the one of smaller error. */
static inline enum sl_winograd sl_winograd_choose(int32_t r, int32_t oh, int32_t ow)
{
    const enum sl_winograd large = r == 2 ? SL_WINOGRAD_4_2 : SL_WINOGRAD_4_3;
    const enum sl_winograd small = sl_winograd_small(r);
    return sl_winograd_cost(large, oh, ow) < sl_winograd_cost(small, oh, ow) ? large : small;
}
#endif
