/* Eight floats at a time: the names every templated kernel is written in, as AVX2 + FMA. */
#ifndef SL_KERNELS_SIMD_VEC_H
#define SL_KERNELS_SIMD_VEC_H

/* One name a line reads as the table it is. */
/* clang-format off */
#include <immintrin.h>
#include <stdint.h>

#define V_NAME(name) name##_avx2 /* of the objects a template defines */
#define VL 8 /* floats in a vector */
#define V_REGISTERS 16
typedef __m256 vf;
typedef __m256i vi;
typedef __m256 vmask; /* all ones or all zeros in each lane */

static inline vf v_zero(void) { return _mm256_setzero_ps(); }
static inline vf v_set1(float x) { return _mm256_set1_ps(x); }
static inline vf v_load(const float *p) { return _mm256_loadu_ps(p); }
static inline void v_store(float *p, vf a) { _mm256_storeu_ps(p, a); }
/* Past the caches, to an address that is a multiple of a vector; before others may read it comes v_streamed. */
static inline void v_stream(float *p, vf a) { _mm256_stream_ps(p, a); }
static inline void v_streamed(void) { _mm_sfence(); }
static inline vf v_add(vf a, vf b) { return _mm256_add_ps(a, b); }
static inline vf v_sub(vf a, vf b) { return _mm256_sub_ps(a, b); }
static inline vf v_mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
static inline vf v_div(vf a, vf b) { return _mm256_div_ps(a, b); }
static inline vf v_sqrt(vf a) { return _mm256_sqrt_ps(a); }
static inline vf v_max(vf a, vf b) { return _mm256_max_ps(a, b); }
static inline vf v_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }   /* a*b + c */
static inline vf v_fnma(vf a, vf b, vf c) { return _mm256_fnmadd_ps(a, b, c); } /* c - a*b */

static inline vmask v_ge(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_GE_OQ); }
static inline vmask v_gt(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_GT_OQ); }
static inline vf v_select(vmask m, vf yes, vf no) { return _mm256_blendv_ps(no, yes, m); }

/* The first n lanes, 0 <= n <= VL; other lanes load as zero and are not touched in memory. */
static inline vi v_head(int n)
{
    static const int32_t lanes[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0};
    return _mm256_loadu_si256((const vi *)(lanes + 8 - n));
}
static inline vf v_load_head(const float *p, int n) { return _mm256_maskload_ps(p, v_head(n)); }
static inline void v_store_head(float *p, vf a, int n) { _mm256_maskstore_ps(p, v_head(n), a); }

/* Eight bytes as floats. */
static inline vf v_load_bytes(const uint8_t *p)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p)));
}

/* Sum and maximum of the lanes, always in the same order. */
static inline float v_sum(vf a)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
static inline float v_max_lane(vf a)
{
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}

/* 2^k for integral k in [-126, 127], and the nearest integer. */
static inline vf v_round(vf a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
static inline vf v_exp2i(vf k)
{
    const vi e = _mm256_add_epi32(_mm256_cvtps_epi32(k), _mm256_set1_epi32(127));
    return _mm256_castsi256_ps(_mm256_slli_epi32(e, 23));
}
/* a where the mask is set (v_keep) or clear (v_drop), else zero. */
static inline vf v_keep(vmask m, vf a) { return _mm256_and_ps(m, a); }
static inline vf v_drop(vmask m, vf a) { return _mm256_andnot_ps(m, a); }
static inline vmask v_eq(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_EQ_OQ); }

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
static inline vi vi_set1(uint32_t x) { return _mm256_set1_epi32((int)x); }
static inline vi vi_count(uint32_t first) { return _mm256_add_epi32(vi_set1(first), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)); }
static inline vi vi_xor(vi a, vi b) { return _mm256_xor_si256(a, b); }
static inline vi vi_or(vi a, vi b) { return _mm256_or_si256(a, b); }
static inline void vi_mul(vi a, vi b, vi *high, vi *low)
{
    const vi even = _mm256_mul_epu32(a, b);
    const vi odd = _mm256_mul_epu32(_mm256_srli_epi64(a, 32), _mm256_srli_epi64(b, 32));
    *high = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xaa);
    *low = _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xaa);
}
static inline vf vi_uniform(vi a)
{
    return _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_srli_epi32(a, 8)), _mm256_set1_ps(0x1p-24f));
}

/* Without its sign; the sign alone, 0 or -0; a, which is not negative, with that sign; its bits. */
static inline vf v_abs(vf a) { return _mm256_andnot_ps(v_set1(-0.0f), a); }
static inline vf v_sign(vf a) { return _mm256_and_ps(v_set1(-0.0f), a); }
static inline vf v_signed(vf a, vf sign) { return _mm256_or_ps(a, sign); }
static inline vi v_bits(vf a) { return _mm256_castps_si256(a); }

/* Either mask; is any lane set; how many are. */
static inline vmask v_either(vmask a, vmask b) { return _mm256_or_ps(a, b); }
static inline int v_any(vmask m) { return !_mm256_testz_ps(m, m); }
static inline int v_count(vmask m) { return __builtin_popcount((unsigned)_mm256_movemask_ps(m)); }

static inline void vi_store(uint32_t *p, vi a) { _mm256_storeu_si256((vi *)p, a); }
static inline void vi_store_head(uint32_t *p, vi a, int n) { _mm256_maskstore_epi32((int *)p, v_head(n), a); }

/* The lanes whose mask is set, moved to the front; the others hold anything. A byte of the table's row m says where the
 * lane comes from: a set bit i of m, that many bytes on as there are set bits below it. */
#define V_FROM(m, i) ((uint64_t)((m) >> (i) & 1) * (i) << 8 * __builtin_popcount((m) & ((1u << (i)) - 1)))
#define V_ROW(m) (V_FROM(m, 1) | V_FROM(m, 2) | V_FROM(m, 3) | V_FROM(m, 4) | V_FROM(m, 5) | V_FROM(m, 6) | V_FROM(m, 7))
#define V_ROWS4(m) V_ROW(m), V_ROW((m) + 1), V_ROW((m) + 2), V_ROW((m) + 3)
#define V_ROWS16(m) V_ROWS4(m), V_ROWS4((m) + 4), V_ROWS4((m) + 8), V_ROWS4((m) + 12)
#define V_ROWS64(m) V_ROWS16(m), V_ROWS16((m) + 16), V_ROWS16((m) + 32), V_ROWS16((m) + 48)
static inline vi vi_compress(vi a, vmask m)
{
    static const uint64_t from[256] = {V_ROWS64(0u), V_ROWS64(64u), V_ROWS64(128u), V_ROWS64(192u)};
    const __m128i row = _mm_loadl_epi64((const __m128i *)&from[_mm256_movemask_ps(m)]);
    return _mm256_permutevar8x32_epi32(a, _mm256_cvtepu8_epi32(row));
}
#endif
