/* The exponential of a vector. Include after one of the vec_*.h. */
#ifndef SL_KERNELS_SIMD_VEC_EXP_H
#define SL_KERNELS_SIMD_VEC_EXP_H

/* exp(x + tail) for x <= 88 and a tail below an ulp of x, within 2 ulp; 0 below -87, where floats end soon; NaN stays
 * NaN. x = k*ln 2 + r with |r| <= ln(2)/2, ln 2 in two parts (Cody & Waite); exp(r) by its Taylor polynomial of degree
 * 7, whose remainder there is 0.35^8/8! = 5e-9, a twelfth of an ulp. */
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
