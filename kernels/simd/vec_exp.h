/* The exponential of a vector. Include after one of the vec_*.h. */
#ifndef SL_KERNELS_SIMD_VEC_EXP_H
#define SL_KERNELS_SIMD_VEC_EXP_H

/* exp(x + tail), within 2 ulp, for x <= 88 and a tail below an ulp of x. Below -87 the result is 0: the smallest normal
 * float is exp(-87.3). NaN stays NaN.
 *
 * x is split into k*ln 2 + r with an integer k and |r| <= ln(2)/2, so that exp(x) = 2^k * exp(r). To keep r exact, ln 2
 * is subtracted in two parts (Cody & Waite). exp(r) is its Taylor polynomial of degree 7; what that leaves out is at
 * most 0.35^8/8! = 6e-9, a tenth of an ulp. */
static inline vf v_exp(vf x, vf tail)
{
    const vmask gone = v_gt(v_set1(-87.0f), x);
    const vf k = v_round(v_mul(x, v_set1(1.44269504f)));
    vf r = v_fnma(k, v_set1(0x1.62e4p-1f), x);
    r = v_add(v_fnma(k, v_set1(0x1.7f7d1cp-20f), r), tail);
    vf p = v_set1(1.0f / 5040.0f);
    p = v_fma(p, r, v_set1(1.0f / 720.0f));
    p = v_fma(p, r, v_set1(1.0f / 120.0f));
    p = v_fma(p, r, v_set1(1.0f / 24.0f));
    p = v_fma(p, r, v_set1(1.0f / 6.0f));
    p = v_fma(p, r, v_set1(0.5f));
    p = v_fma(p, r, v_set1(1.0f));
    p = v_fma(p, r, v_set1(1.0f));
    return v_drop(gone, v_mul(p, v_exp2i(k)));
}
#endif
