/* Sixteen floats at a time: the names every templated kernel is written in, as AVX-512 F/BW/DQ/VL.
 * With SL_SIMD_EMULATED the same names are plain C (vec_emulated.h), so that the tests run the
 * AVX-512 rows' logic on machines without AVX-512. */
#ifdef SL_SIMD_EMULATED
#include "kernels/simd/vec_emulated.h"
#endif
#ifndef SL_KERNELS_SIMD_VEC_H
#define SL_KERNELS_SIMD_VEC_H

/* One name a line reads as the table it is. */
/* clang-format off */
#include <immintrin.h>
#include <stdint.h>

#define V_NAME(name) name##_avx512 /* of the objects a template defines */
#define VL 16 /* floats in a vector */
#define V_REGISTERS 32
typedef __m512 vf;
typedef __m512i vi;
typedef __mmask16 vmask;

static inline vf v_zero(void) { return _mm512_setzero_ps(); }
static inline vf v_set1(float x) { return _mm512_set1_ps(x); }
static inline vf v_load(const float *p) { return _mm512_loadu_ps(p); }
static inline void v_store(float *p, vf a) { _mm512_storeu_ps(p, a); }
/* Past the caches, to an address that is a multiple of a vector; before others may read it comes v_streamed. */
static inline void v_stream(float *p, vf a) { _mm512_stream_ps(p, a); }
static inline void v_streamed(void) { _mm_sfence(); }
static inline vf v_add(vf a, vf b) { return _mm512_add_ps(a, b); }
static inline vf v_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
static inline vf v_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
static inline vf v_div(vf a, vf b) { return _mm512_div_ps(a, b); }
static inline vf v_sqrt(vf a) { return _mm512_sqrt_ps(a); }
static inline vf v_max(vf a, vf b) { return _mm512_max_ps(a, b); }
static inline vf v_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }   /* a*b + c */
static inline vf v_fnma(vf a, vf b, vf c) { return _mm512_fnmadd_ps(a, b, c); } /* c - a*b */

static inline vmask v_ge(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ); }
static inline vmask v_gt(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ); }
static inline vf v_select(vmask m, vf yes, vf no) { return _mm512_mask_blend_ps(m, no, yes); }

/* The first n lanes, 0 <= n <= VL; other lanes load as zero and are not touched in memory. */
static inline __mmask16 v_head(int n) { return (__mmask16)((1u << n) - 1u); }
static inline vf v_load_head(const float *p, int n) { return _mm512_maskz_loadu_ps(v_head(n), p); }
static inline void v_store_head(float *p, vf a, int n) { _mm512_mask_storeu_ps(p, v_head(n), a); }

/* Sixteen bytes as floats. */
static inline vf v_load_bytes(const uint8_t *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p)));
}

/* Sum and maximum of the lanes, always in the same order. */
static inline float v_sum(vf a) { return _mm512_reduce_add_ps(a); }
static inline float v_max_lane(vf a) { return _mm512_reduce_max_ps(a); }

/* 2^k for integral k in [-126, 127], and the nearest integer. */
static inline vf v_round(vf a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
static inline vf v_exp2i(vf k)
{
    const vi e = _mm512_add_epi32(_mm512_cvtps_epi32(k), _mm512_set1_epi32(127));
    return _mm512_castsi512_ps(_mm512_slli_epi32(e, 23));
}
/* a where the mask is set (v_keep) or clear (v_drop), else zero. */
static inline vf v_keep(vmask m, vf a) { return _mm512_maskz_mov_ps(m, a); }
static inline vf v_drop(vmask m, vf a) { return _mm512_maskz_mov_ps((vmask)~m, a); }
static inline vmask v_eq(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }

/* VL floats, or the first n of them. With a constant n the choice costs nothing. */
static inline vf v_load_some(const float *p, int n) { return n == VL ? v_load(p) : v_load_head(p, n); }
static inline void v_store_some(float *p, vf a, int n)
{
    if (n == VL)
        v_store(p, a);
    else
        v_store_head(p, a, n);
}

/* Unsigned 32-bit integers: first, first + 1, ...; both halves of a product; 24 of the bits as a number in [0, 1). */
static inline vi vi_set1(uint32_t x) { return _mm512_set1_epi32((int)x); }
static inline vi vi_count(uint32_t first)
{
    return _mm512_add_epi32(vi_set1(first), _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
}
static inline vi vi_xor(vi a, vi b) { return _mm512_xor_si512(a, b); }
static inline vi vi_or(vi a, vi b) { return _mm512_or_si512(a, b); }
static inline void vi_mul(vi a, vi b, vi *high, vi *low)
{
    const vi even = _mm512_mul_epu32(a, b);
    const vi odd = _mm512_mul_epu32(_mm512_srli_epi64(a, 32), _mm512_srli_epi64(b, 32));
    *high = _mm512_mask_blend_epi32(0xaaaa, _mm512_srli_epi64(even, 32), odd);
    *low = _mm512_mask_blend_epi32(0xaaaa, even, _mm512_slli_epi64(odd, 32));
}
static inline vf vi_uniform(vi a)
{
    return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_srli_epi32(a, 8)), _mm512_set1_ps(0x1p-24f));
}

/* Without its sign; the sign alone, 0 or -0; a, which is not negative, with that sign; its bits. */
static inline vf v_abs(vf a) { return _mm512_andnot_ps(v_set1(-0.0f), a); }
static inline vf v_sign(vf a) { return _mm512_and_ps(v_set1(-0.0f), a); }
static inline vf v_signed(vf a, vf sign) { return _mm512_or_ps(a, sign); }
static inline vi v_bits(vf a) { return _mm512_castps_si512(a); }

/* Either mask; is any lane set; how many are. */
static inline vmask v_either(vmask a, vmask b) { return _kor_mask16(a, b); }
static inline int v_any(vmask m) { return m != 0; }
static inline int v_count(vmask m) { return __builtin_popcount(m); }

static inline void vi_store(uint32_t *p, vi a) { _mm512_storeu_si512(p, a); }
static inline void vi_store_head(uint32_t *p, vi a, int n) { _mm512_mask_storeu_epi32(p, v_head(n), a); }

/* The lanes whose mask is set, moved to the front; the others hold anything. Merged into the lanes themselves: on Zen
 * the zeroing form waits for whatever the register held before, and the form that stores is microcode. */
static inline vi vi_compress(vi a, vmask m) { return _mm512_mask_compress_epi32(a, m, a); }
#endif
