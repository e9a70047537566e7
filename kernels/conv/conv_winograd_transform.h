/* Winograd's transforms along one axis, as a template over the names of simd/vec_*.h: each vector holds one coefficient
 * or one value for VL channels. README.md derives them; winograd.h has the points and the divisors, which are left out
 * here. `t`, the number of points, and `n` are constants at every call: only then the arrays become registers.
 *
 *   winograd_evaluate   n -> t   values of a polynomial of n coefficients at the points
 *   winograd_collect    t -> n   its transpose
 *   winograd_input      t -> t   the transpose of interpolation, without its divisors
 *
 *   forward           y  = collect_m( evaluate_r(g)  * input(d) / divisors )
 *   backward-weights  dg = collect_r( evaluate_m(dy) * input(d) / divisors )
 *
 * along both axes; the products are those of values at the same pair of points. Each axis has its own divisor. */
#ifndef SL_KERNELS_CONV_WINOGRAD_TRANSFORM_H
#define SL_KERNELS_CONV_WINOGRAD_TRANSFORM_H

#include "kernels/conv/winograd.h"

/* Emulated vectors are in memory anyway, and so is all that AddressSanitizer watches; unrolled, that would take minutes
 * to compile. */
#if defined(SL_SIMD_EMULATED) || defined(__SANITIZE_ADDRESS__)
#define WINOGRAD_INLINE static inline
#define WINOGRAD_UNROLL
#elif defined(__clang__)
#define WINOGRAD_INLINE static inline __attribute__((always_inline))
#define WINOGRAD_UNROLL _Pragma("clang loop unroll(full)")
#else
#define WINOGRAD_INLINE static inline __attribute__((always_inline))
#define WINOGRAD_UNROLL _Pragma("GCC unroll 16")
#endif

enum { WINOGRAD_POINTS = SL_WINOGRAD_POINTS, WINOGRAD_OUTPUTS = SL_WINOGRAD_OUTPUTS };

/* a + x*b */
WINOGRAD_INLINE vf winograd_more(vf a, float x, vf b)
{
    return v_fma(v_set1(x), b, a);
}

/* The values at x and at -x: even and odd coefficients apart. 2 <= n <= 4. */
WINOGRAD_INLINE void winograd_evaluate_pair(const int n, float x, const vf *a, vf *at_x, vf *at_minus_x)
{
    const vf even = n > 2 ? winograd_more(a[0], x * x, a[2]) : a[0];
    const vf odd = n > 3 ? winograd_more(a[1], x * x, a[3]) : a[1];
    *at_x = winograd_more(even, x, odd);
    *at_minus_x = winograd_more(even, -x, odd);
}

WINOGRAD_INLINE void winograd_evaluate(const int t, const int n, const vf *a, vf *v)
{
    /* cppcheck-suppress uninitvar ; it takes n for 0 */
    v[0] = a[0];
    winograd_evaluate_pair(n, 1.0f, a, &v[1], &v[2]);
    if (t == 5) {
        v[3] = a[n - 1];
        for (int i = n - 2; i >= 0; i--)
            v[3] = winograd_more(a[i], 2.0f, v[3]);
    }
    if (t == 6)
        winograd_evaluate_pair(n, 1.5f, a, &v[3], &v[4]);
    v[t - 1] = a[n - 1];
}

/* What the values at x and -x add to each coefficient: x^i times their sum where i is even, their difference where it
 * is odd. 2 <= n <= 4. */
WINOGRAD_INLINE void winograd_collect_pair(const int n, float x, vf at_x, vf at_minus_x, vf *a)
{
    const vf even = v_add(at_x, at_minus_x), odd = v_sub(at_x, at_minus_x);
    a[0] = v_add(a[0], even);
    a[1] = winograd_more(a[1], x, odd);
    if (n > 2)
        a[2] = winograd_more(a[2], x * x, even);
    if (n > 3)
        a[3] = winograd_more(a[3], x * x * x, odd);
}

WINOGRAD_INLINE void winograd_collect(const int t, const int n, const vf *v, vf *a)
{
    /* cppcheck-suppress uninitvar ; it takes t for 0 */
    a[0] = v[0];
    WINOGRAD_UNROLL
    for (int i = 1; i < n; i++)
        a[i] = i == n - 1 ? v[t - 1] : v_zero();
    winograd_collect_pair(n, 1.0f, v[1], v[2], a);
    if (t == 5) {
        float power = 1.0f;
        WINOGRAD_UNROLL
        for (int i = 0; i < n; i++, power *= 2.0f)
            a[i] = winograd_more(a[i], power, v[3]);
    }
    if (t == 6)
        winograd_collect_pair(n, 1.5f, v[3], v[4], a);
}

/* Points 0, 1, -1: the rows are x^2 - 1, x(x + 1), x(x - 1) and, for infinity, x(x^2 - 1); d[i] stands for x^i. */
WINOGRAD_INLINE void winograd_input_4(const vf *d, vf *v)
{
    v[0] = v_sub(d[2], d[0]);
    v[1] = v_add(d[2], d[1]);
    v[2] = v_sub(d[2], d[1]);
    v[3] = v_sub(d[3], d[1]);
}

/* Points 0, 1, -1, 2: (x^2 - 1)(x - 2), x(x + 1)(x - 2), x(x - 1)(x - 2), x(x^2 - 1), and x(x^2 - 1)(x - 2). What they
 * share: x^2(x - 2), x(x - 2) and x^2 - 1, the last of them times 1 and times x. */
WINOGRAD_INLINE void winograd_input_5(const vf *d, vf *v)
{
    const vf cubic = winograd_more(d[3], -2.0f, d[2]), square = winograd_more(d[2], -2.0f, d[1]);
    const vf near = v_sub(d[2], d[0]), next = v_sub(d[3], d[1]), last = v_sub(d[4], d[2]);
    v[0] = winograd_more(next, -2.0f, near);
    v[1] = v_add(cubic, square);
    v[2] = v_sub(cubic, square);
    v[3] = next;
    v[4] = winograd_more(last, -2.0f, next);
}

/* Points 0, 1, -1, p, -p with p = 3/2: (x^2 - 1)(x^2 - p^2), x(x +- 1)(x^2 - p^2), x(x +- p)(x^2 - 1), and
 * x(x^2 - 1)(x^2 - p^2). */
WINOGRAD_INLINE void winograd_input_6(const vf *d, vf *v)
{
    const float p = 1.5f, square = p * p;
    const vf even_1 = winograd_more(d[4], -square, d[2]), odd_1 = winograd_more(d[3], -square, d[1]);
    const vf even_p = v_sub(d[4], d[2]), odd_p = v_sub(d[3], d[1]);
    v[0] = winograd_more(even_1, -1.0f, winograd_more(d[2], -square, d[0]));
    v[1] = v_add(even_1, odd_1);
    v[2] = v_sub(even_1, odd_1);
    v[3] = winograd_more(even_p, p, odd_p);
    v[4] = winograd_more(even_p, -p, odd_p);
    v[5] = winograd_more(winograd_more(d[5], -square, d[3]), -1.0f, odd_1);
}

WINOGRAD_INLINE void winograd_input(const int t, const vf *d, vf *v)
{
    if (t == 4)
        winograd_input_4(d, v);
    else if (t == 5)
        winograd_input_5(d, v);
    else
        winograd_input_6(d, v);
}
#endif
