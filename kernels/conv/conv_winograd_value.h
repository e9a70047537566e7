/* Transformed values: what V, U and their products are made of. They are floats; or, where the file that includes this
 * defines WINOGRAD_DOT, pairs of bf16, each pair in the place of a float, and a step of a tile adds the products of
 * both of a pair: of two channels, or in backward-weights of two tiles. A template over the names of simd/vec_*.h. */
#ifndef SL_KERNELS_CONV_WINOGRAD_VALUE_H
#define SL_KERNELS_CONV_WINOGRAD_VALUE_H

#include "kernels/conv/conv_element.h"
#include "kernels/conv/winograd.h"

#ifdef WINOGRAD_DOT
enum { WINOGRAD_PAIR = 2 };
#else
enum { WINOGRAD_PAIR = 1 };
#endif

/* VL values, which take VL/WINOGRAD_PAIR places. */
static inline void winograd_put_values(float *to, vf values)
{
#ifdef WINOGRAD_DOT
    v_store_bf16((sl_bf16 *)to, values);
#else
    v_store(to, values);
#endif
}

/* Adds the products of values. */
static inline vf winograd_multiply(vf a, vf b, vf sum)
{
#ifdef WINOGRAD_DOT
    return v_dot_bf16(a, b, sum);
#else
    return v_fma(a, b, sum);
#endif
}

/* The large forms have lost too many digits of bf16 (README.md). */
static inline enum sl_winograd winograd_choose(int32_t r, int32_t oh, int32_t ow)
{
#ifdef WINOGRAD_DOT
    (void)oh;
    (void)ow;
    return sl_winograd_small(r);
#else
    return sl_winograd_choose(r, oh, ow);
#endif
}
#endif
