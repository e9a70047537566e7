/* Vectors of floats to and from bf16 in memory (kernels/bf16.h, which says how they are rounded). Include after one of
 * the vec_*.h. */
#ifndef SL_KERNELS_SIMD_VEC_BF16_H
#define SL_KERNELS_SIMD_VEC_BF16_H

#include "kernels/bf16.h"

/* v_load_bf16_head and v_store_bf16_head take the first n lanes, 0 <= n <= VL; other lanes load as zero and are not
 * touched in memory. v_stream_bf16 goes past the caches, to an address that is a multiple of what it writes.
 * v_round_bf16 is what a store and a load would make of a vector. */
#if defined(SL_SIMD_EMULATED)

static inline vf v_load_bf16_head(const sl_bf16 *p, int n)
{
    vf r;
    V_LANES(i < n ? sl_bf16_to_float(p[i]) : 0.0f);
    return r;
}

static inline vf v_load_bf16(const sl_bf16 *p)
{
    return v_load_bf16_head(p, VL);
}

static inline void v_store_bf16_head(sl_bf16 *p, vf a, int n)
{
    for (int i = 0; i < n; i++)
        p[i] = sl_bf16_from_float(a[i]);
}

static inline void v_store_bf16(sl_bf16 *p, vf a)
{
    v_store_bf16_head(p, a, VL);
}

static inline void v_stream_bf16(sl_bf16 *p, vf a)
{
    v_store_bf16(p, a);
}

static inline vf v_round_bf16(vf a)
{
    vf r;
    V_LANES(sl_bf16_to_float(sl_bf16_from_float(a[i])));
    return r;
}

#elif defined(SL_SIMD_COUNTED)

static inline vf v_load_bf16_head(const sl_bf16 *p, int n)
{
    return V_COUNTED(vf, n > 0 ? sl_bf16_to_float(*p) : 0.0f);
}

static inline vf v_load_bf16(const sl_bf16 *p)
{
    return v_load_bf16_head(p, VL);
}

static inline void v_store_bf16_head(sl_bf16 *p, vf a, int n)
{
    if (n > 0)
        *p = V_COUNTED(sl_bf16, sl_bf16_from_float(a));
}

static inline void v_store_bf16(sl_bf16 *p, vf a)
{
    v_store_bf16_head(p, a, VL);
}

static inline void v_stream_bf16(sl_bf16 *p, vf a)
{
    v_store_bf16(p, a);
}

static inline vf v_round_bf16(vf a)
{
    return V_COUNTED(vf, sl_bf16_to_float(sl_bf16_from_float(a)));
}

#elif VL == 16

static inline vf v_load_bf16(const sl_bf16 *p)
{
    const vi wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}

static inline vf v_load_bf16_head(const sl_bf16 *p, int n)
{
    const vi wide = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(v_head(n), p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}

/* The nearest bf16 in the upper half of each lane, anything in the lower. */
static inline vi v_nearest_bf16(vf a)
{
    const vi bits = _mm512_castps_si512(a), odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), vi_set1(1));
    const vi nearest = _mm512_add_epi32(bits, _mm512_add_epi32(odd, vi_set1(0x7fff)));
    const vmask nan = _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q);
    return _mm512_mask_or_epi32(nearest, nan, bits, vi_set1(0x400000));
}

static inline __m256i v_to_bf16(vf a)
{
#ifdef __AVX512BF16__ /* subnormal numbers become zero */
    return (__m256i)_mm512_cvtneps_pbh(a);
#else
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(v_nearest_bf16(a), 16));
#endif
}

static inline void v_store_bf16(sl_bf16 *p, vf a)
{
    _mm256_storeu_si256((__m256i *)p, v_to_bf16(a));
}

static inline void v_store_bf16_head(sl_bf16 *p, vf a, int n)
{
    _mm256_mask_storeu_epi16(p, v_head(n), v_to_bf16(a));
}

static inline void v_stream_bf16(sl_bf16 *p, vf a)
{
    _mm256_stream_si256((__m256i *)p, v_to_bf16(a));
}

static inline vf v_round_bf16(vf a)
{
    return _mm512_castsi512_ps(_mm512_and_si512(v_nearest_bf16(a), vi_set1(0xffff0000u)));
}

#else

static inline vf v_load_bf16(const sl_bf16 *p)
{
    const vi wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}

static inline vf v_load_bf16_head(const sl_bf16 *p, int n)
{
    sl_bf16 lanes[VL] = {0};
    memcpy(lanes, p, (size_t)n * sizeof *p);
    return v_load_bf16(lanes);
}

/* The nearest bf16 in the upper half of each lane, anything in the lower. */
static inline vi v_nearest_bf16(vf a)
{
    const vi bits = _mm256_castps_si256(a), odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), vi_set1(1));
    const vi nearest = _mm256_add_epi32(bits, _mm256_add_epi32(odd, vi_set1(0x7fff)));
    const vi quiet = _mm256_or_si256(bits, vi_set1(0x400000));
    const vf nan = _mm256_cmp_ps(a, a, _CMP_UNORD_Q);
    return _mm256_blendv_epi8(nearest, quiet, _mm256_castps_si256(nan));
}

static inline __m128i v_to_bf16(vf a)
{
    const vi low = _mm256_srli_epi32(v_nearest_bf16(a), 16);
    return _mm_packus_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1));
}

static inline void v_store_bf16(sl_bf16 *p, vf a)
{
    _mm_storeu_si128((__m128i *)p, v_to_bf16(a));
}

static inline void v_store_bf16_head(sl_bf16 *p, vf a, int n)
{
    sl_bf16 lanes[VL];
    v_store_bf16(lanes, a);
    memcpy(p, lanes, (size_t)n * sizeof *p);
}

static inline void v_stream_bf16(sl_bf16 *p, vf a)
{
    _mm_stream_si128((__m128i *)p, v_to_bf16(a));
}

static inline vf v_round_bf16(vf a)
{
    return _mm256_castsi256_ps(_mm256_and_si256(v_nearest_bf16(a), vi_set1(0xffff0000u)));
}
#endif

/* Two products a lane: the lanes of a and b are pairs of bf16. zip makes pairs of the numbers of two arrays. */
#if defined(SL_SIMD_EMULATED)
static inline vf v_zip_bf16(const sl_bf16 *even, const sl_bf16 *odd)
{
    sl_bf16 pairs[2 * VL];
    vf r;
    for (int i = 0; i < VL; i++) {
        pairs[2 * i] = even[i];
        pairs[2 * i + 1] = odd[i];
    }
    memcpy(&r, pairs, sizeof r);
    return r;
}

static inline vf v_dot_bf16(vf a, vf b, vf sum)
{
    sl_bf16 x[2 * VL], y[2 * VL];
    memcpy(x, &a, sizeof x);
    memcpy(y, &b, sizeof y);
    vf r;
    V_LANES(fmaf(sl_bf16_to_float(x[2 * i]), sl_bf16_to_float(y[2 * i]),
                 fmaf(sl_bf16_to_float(x[2 * i + 1]), sl_bf16_to_float(y[2 * i + 1]), sum[i])));
    return r;
}
#elif defined(__AVX512BF16__)
static inline vf v_zip_bf16(const sl_bf16 *even, const sl_bf16 *odd)
{
    const vi low = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)even));
    const vi high = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)odd));
    return _mm512_castsi512_ps(_mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
}

static inline vf v_dot_bf16(vf a, vf b, vf sum)
{
    return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
}
#endif

/* VL lanes, or the first n of them. With a constant n the choice costs nothing. */
static inline vf v_load_bf16_some(const sl_bf16 *p, int n)
{
    return n == VL ? v_load_bf16(p) : v_load_bf16_head(p, n);
}

static inline void v_store_bf16_some(sl_bf16 *p, vf a, int n)
{
    if (n == VL)
        v_store_bf16(p, a);
    else
        v_store_bf16_head(p, a, n);
}
#endif
