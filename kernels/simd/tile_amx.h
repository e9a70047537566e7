/* AMX tiles of bf16, and the shuffles that lay data out for them. A tile register holds 16 rows of 64 bytes.
 *
 *   t_dot(sum, a, b):   sum[m][n] += a[m][2*i]*b[i][2*n] + a[m][2*i + 1]*b[i][2*n + 1]   for i = 0..15 in turn
 * with sums in float: a is 16 rows of 32 bf16, b is 16 rows of 16 pairs of them.
 *
 * The registers belong to the thread from t_open to t_close. With SL_SIMD_EMULATED the same names are plain C, so that
 * the tests run the logic of the AMX rows on machines without AMX. Numbers of registers must be constants. */
#ifndef SL_KERNELS_SIMD_TILE_AMX_H
#define SL_KERNELS_SIMD_TILE_AMX_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels/bf16.h"
#include "kernels/simd/vec_avx512.h"

enum {
    T_REGISTERS = 8,
    T_ROWS = 16,          /* of a register */
    T_ROW_BYTES = 64,     /* of each of them: 16 floats, or 32 bf16 */
    T_DEPTH = 32,         /* products that t_dot adds to each sum */
    T_BYTES = 16 * 64,    /* of a register */
    T_ELEMENTS = 16 * 32, /* bf16 of a register */
    T_SUMS = 16 * 16,     /* floats of a register */
};

/* Sixteen words, or as many pairs of bf16; sixteen bf16. */
typedef uint32_t t_words __attribute__((vector_size(64)));
typedef uint16_t t_halves __attribute__((vector_size(32)));

#ifdef SL_SIMD_EMULATED
struct t_state {
    unsigned char tile[8][16 * 64];
};

static inline void t_open(struct t_state *state)
{
    memset(state, 0, sizeof *state);
}

static inline void t_close(void)
{
}

static inline void t_load_rows(unsigned char *tile, const void *from, ptrdiff_t stride)
{
    for (int i = 0; i < T_ROWS; i++)
        memcpy(tile + i * T_ROW_BYTES, (const char *)from + i * stride, T_ROW_BYTES);
}

static inline void t_store_rows(const unsigned char *tile, void *to, ptrdiff_t stride)
{
    for (int i = 0; i < T_ROWS; i++)
        memcpy((char *)to + i * stride, tile + i * T_ROW_BYTES, T_ROW_BYTES);
}

static inline float t_element(const unsigned char *tile, int at)
{
    sl_bf16 value;
    memcpy(&value, tile + 2 * at, sizeof value);
    return sl_bf16_to_float(value);
}

static inline void t_dot_rows(unsigned char *to, const unsigned char *a, const unsigned char *b)
{
    vf sum[T_ROWS];
    memcpy(sum, to, sizeof sum);
    for (int i = 0; i < T_DEPTH; i += 2) {
        t_words pairs;
        memcpy(&pairs, b + i / 2 * T_ROW_BYTES, sizeof pairs);
        const vf first = (vf)(pairs << 16), second = (vf)(pairs & 0xffff0000u);
        for (int m = 0; m < T_ROWS; m++) {
            sum[m] += t_element(a, m * T_DEPTH + i) * first;
            sum[m] += t_element(a, m * T_DEPTH + i + 1) * second;
        }
    }
    memcpy(to, sum, sizeof sum);
}

#define t_zero(state, n) memset((state)->tile[n], 0, T_BYTES)
#define t_load(state, n, from, stride) t_load_rows((state)->tile[n], from, stride)
#define t_load_passing(state, n, from, stride) t_load(state, n, from, stride)
#define t_store(state, n, to, stride) t_store_rows((state)->tile[n], to, stride)
#define t_dot(state, sum, a, b) t_dot_rows((state)->tile[sum], (state)->tile[a], (state)->tile[b])

/* 32 floats as bf16. */
static inline t_words t_narrow(vf low, vf high)
{
    sl_bf16 value[32];
    t_words r;
    for (int i = 0; i < VL; i++) {
        value[i] = sl_bf16_from_float(low[i]);
        value[VL + i] = sl_bf16_from_float(high[i]);
    }
    memcpy(&r, value, sizeof r);
    return r;
}

/* As words. */
static inline t_words t_lengthen(t_halves a)
{
    return __builtin_convertvector(a, t_words);
}

/* The first n of sixteen bf16, 0 <= n <= 16; the others load as zero and are not touched in memory. */
static inline t_halves t_load_head(const sl_bf16 *p, int n)
{
    t_halves r = {0};
    memcpy(&r, p, (size_t)n * sizeof *p);
    return r;
}

/* Stores the first n of 32 bf16, 0 <= n <= 32. */
static inline void t_store_first(sl_bf16 *p, t_words a, int n)
{
    memcpy(p, &a, (size_t)n * sizeof *p);
}

/* Eight floats each from two places; eight bf16 each from four. */
static inline vf t_load_two(const float *a, const float *b)
{
    vf r;
    memcpy(&r, a, sizeof r / 2);
    memcpy((char *)&r + sizeof r / 2, b, sizeof r / 2);
    return r;
}

static inline t_words t_load_four(const sl_bf16 *a, const sl_bf16 *b, const sl_bf16 *c, const sl_bf16 *d)
{
    const sl_bf16 *from[] = {a, b, c, d};
    t_words r;
    for (int i = 0; i < 4; i++)
        memcpy((char *)&r + 16 * i, from[i], 16);
    return r;
}
#else
/* What the processor wants to be told: palette 1, all registers whole. */
struct t_state {
    uint8_t palette, start_row, zero[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};

static inline void t_open(struct t_state *state)
{
    *state = (struct t_state){.palette = 1};
    for (int i = 0; i < T_REGISTERS; i++) {
        state->row_bytes[i] = T_ROW_BYTES;
        state->rows[i] = T_ROWS;
    }
    _tile_loadconfig(state);
}

static inline void t_close(void)
{
    _tile_release();
}

/* The compiler is not told that a load of a tile reads memory: what was written for it has to be there. */
#define t_load(state, n, from, stride)     \
    do {                                   \
        __asm__ volatile("" ::: "memory"); \
        _tile_loadd(n, from, stride);      \
    } while (0)
/* The same for what comes from the second-level cache and need not stay in the first. */
#define t_load_passing(state, n, from, stride) \
    do {                                       \
        __asm__ volatile("" ::: "memory");     \
        _tile_stream_loadd(n, from, stride);   \
    } while (0)
#define t_zero(state, n) _tile_zero(n)
#define t_store(state, n, to, stride) _tile_stored(n, to, stride)
#define t_dot(state, sum, a, b) _tile_dpbf16ps(sum, a, b)

static inline t_words t_narrow(vf low, vf high)
{
    return (t_words)_mm512_cvtne2ps_pbh(high, low);
}

static inline t_words t_lengthen(t_halves a)
{
    return (t_words)_mm512_cvtepu16_epi32((__m256i)a);
}

static inline t_halves t_load_head(const sl_bf16 *p, int n)
{
    return (t_halves)_mm256_maskz_loadu_epi16((__mmask16)((1u << n) - 1u), p);
}

static inline void t_store_first(sl_bf16 *p, t_words a, int n)
{
    _mm512_mask_storeu_epi16(p, (__mmask32)((UINT64_C(1) << n) - 1u), (__m512i)a);
}

/* Loads into a part of a register take the ports of loads, where shuffles would compete for one. */
static inline vf t_load_two(const float *a, const float *b)
{
    return _mm512_mask_broadcast_f32x8(_mm512_castps256_ps512(_mm256_loadu_ps(a)), 0xff00, _mm256_loadu_ps(b));
}

static inline t_words t_load_four(const sl_bf16 *a, const sl_bf16 *b, const sl_bf16 *c, const sl_bf16 *d)
{
    __m512i r = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i_u *)a));
    r = _mm512_mask_broadcast_i32x4(r, 0x00f0, _mm_loadu_si128((const __m128i_u *)b));
    r = _mm512_mask_broadcast_i32x4(r, 0x0f00, _mm_loadu_si128((const __m128i_u *)c));
    return (t_words)_mm512_mask_broadcast_i32x4(r, 0xf000, _mm_loadu_si128((const __m128i_u *)d));
}
#endif

static inline t_words t_load_words(const void *p)
{
    t_words r;
    memcpy(&r, p, sizeof r);
    return r;
}

static inline void t_store_words(void *p, t_words a)
{
    memcpy(p, &a, sizeof a);
}

static inline t_halves t_load_halves(const sl_bf16 *p)
{
    t_halves r;
    memcpy(&r, p, sizeof r);
    return r;
}

/* 32 bf16 as floats. */
static inline void t_widen(t_words a, vf *low, vf *high)
{
    t_halves half[2];
    memcpy(half, &a, sizeof half);
    const t_words first = t_lengthen(half[0]) << 16, second = t_lengthen(half[1]) << 16;
    memcpy(low, &first, sizeof *low);
    memcpy(high, &second, sizeof *high);
}

/* (a[0], b[0]), (a[1], b[1]), ... */
static inline t_words t_pairs(t_halves a, t_halves b)
{
    return t_lengthen(a) | t_lengthen(b) << 16;
}

/* Exchanges the corners of squares of 2d x 2d words that lie off the diagonal. */
#define T_CORNERS(r, d, low, high)                                     \
    for (int i = 0; i < 16; i++)                                       \
        if (!(i & (d))) {                                              \
            const t_words a = (r)[i], b = (r)[i + (d)];                \
            (r)[i] = __builtin_shufflevector(a, b, T_LIST low);        \
            (r)[i + (d)] = __builtin_shufflevector(a, b, T_LIST high); \
        }
#define T_LIST(...) __VA_ARGS__

/* r[i][j] <-> r[j][i]. The largest squares come first: where only a few rows of the result are used, the compiler
 * leaves out half of the exchanges, then half of what remains, ... */
/* clang-format off */
static inline __attribute__((always_inline)) void t_transpose(t_words r[16])
{
    _Pragma("GCC unroll 16")
    T_CORNERS(r, 8, (0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23),
                    (8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31))
    _Pragma("GCC unroll 16")
    T_CORNERS(r, 4, (0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27),
                    (4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31))
    _Pragma("GCC unroll 16")
    T_CORNERS(r, 2, (0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29),
                    (2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31))
    _Pragma("GCC unroll 16")
    T_CORNERS(r, 1, (0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30),
                    (1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31))
}
/* clang-format on */
#undef T_CORNERS

/* Zips two registers in each of their lanes of 16 bytes, element by element of a type: the first halves of the lanes,
 * or the second. */
typedef uint16_t t_elements __attribute__((vector_size(64)));
typedef uint64_t t_longs __attribute__((vector_size(64)));
/* clang-format off */
#define T_ZIP(type, a, b, ...) ((t_words)__builtin_shufflevector((type)(a), (type)(b), __VA_ARGS__))
#define T_FIRST_ELEMENTS  0, 32, 1, 33, 2, 34, 3, 35,   8, 40, 9, 41, 10, 42, 11, 43, \
                          16, 48, 17, 49, 18, 50, 19, 51,   24, 56, 25, 57, 26, 58, 27, 59
#define T_SECOND_ELEMENTS 4, 36, 5, 37, 6, 38, 7, 39,   12, 44, 13, 45, 14, 46, 15, 47, \
                          20, 52, 21, 53, 22, 54, 23, 55,   28, 60, 29, 61, 30, 62, 31, 63
#define T_FIRST_WORDS     0, 16, 1, 17,   4, 20, 5, 21,   8, 24, 9, 25,   12, 28, 13, 29
#define T_SECOND_WORDS    2, 18, 3, 19,   6, 22, 7, 23,   10, 26, 11, 27,   14, 30, 15, 31
#define T_FIRST_LONGS     0, 8,   2, 10,   4, 12,   6, 14
#define T_SECOND_LONGS    1, 9,   3, 11,   5, 13,   7, 15
/* clang-format on */

/* In each lane of 16 bytes: element j of r[i] <-> element i of r[j]. So if r[i] has eight bf16 of rows i, i + 8, i + 16
 * and i + 24 of something, it then has element i of all 32 rows. */
static inline __attribute__((always_inline)) void t_turn_lanes(t_words r[8])
{
    t_words a[8], b[8];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        a[i] = T_ZIP(t_elements, r[2 * i], r[2 * i + 1], T_FIRST_ELEMENTS);
        a[4 + i] = T_ZIP(t_elements, r[2 * i], r[2 * i + 1], T_SECOND_ELEMENTS);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        b[2 * i] = T_ZIP(t_words, a[2 * i], a[2 * i + 1], T_FIRST_WORDS);
        b[2 * i + 1] = T_ZIP(t_words, a[2 * i], a[2 * i + 1], T_SECOND_WORDS);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        const t_words first = b[i / 2 * 4 + i % 2], second = b[i / 2 * 4 + i % 2 + 2];
        r[2 * i] = T_ZIP(t_longs, first, second, T_FIRST_LONGS);
        r[2 * i + 1] = T_ZIP(t_longs, first, second, T_SECOND_LONGS);
    }
}
#undef T_ZIP
#undef T_FIRST_ELEMENTS
#undef T_SECOND_ELEMENTS
#undef T_FIRST_WORDS
#undef T_SECOND_WORDS
#undef T_FIRST_LONGS
#undef T_SECOND_LONGS
#undef T_LIST
#endif
