/* The numbers that the templates of AMX multiply: bf16 as they are, or floats (AMX_SPLIT), each the sum of two bf16.
 *
 *   a = high + low + rest     high: a rounded to bf16; low: a - high, which is exact, rounded to bf16
 *   a*b = high*high + high*low + low*high + what is left out, at most about 2^-16 of a*b
 *
 * So a float is two parts, high and then low; README.md has the errors. What lies in memory for the registers has its
 * parts apart, by a distance that whoever laid it out knows. */
#ifndef SL_KERNELS_CONV_AMX_ELEMENT_H
#define SL_KERNELS_CONV_AMX_ELEMENT_H

#include "kernels/kernels.h"
#include "kernels/simd/tile_amx.h"

#ifdef AMX_SPLIT
#define AMX_NAME(op) op##_split_amx
#define AMX_ELEMENT SL_ELEMENT_F32
typedef float amx_element;
typedef vf amx_lanes; /* sixteen elements */
enum { AMX_PARTS = 2, AMX_TERMS = 3 /* products of parts in one of elements */ };
#else
#define AMX_NAME(op) op##_direct_bf16_amx
#define AMX_ELEMENT SL_ELEMENT_BF16
typedef sl_bf16 amx_element;
typedef t_halves amx_lanes;
enum { AMX_PARTS = 1, AMX_TERMS = 1 };
#endif

static int32_t amx_least(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

/* 32 floats, part by part. */
static inline void amx_split(vf first, vf second, t_words part[AMX_PARTS])
{
    part[0] = t_narrow(first, second);
    for (int p = 1; p < AMX_PARTS; p++) {
        vf a, b;
        t_widen(part[0], &a, &b);
        part[p] = t_narrow(v_sub(first, a), v_sub(second, b));
    }
}

static inline t_words amx_interleave(t_words a)
{
    t_halves half[2];
    memcpy(half, &a, sizeof half);
    return t_pairs(half[0], half[1]);
}

/* Pairs of floats (a[n], b[n]), part by part. */
static inline void amx_pair_floats(vf a, vf b, t_words part[AMX_PARTS])
{
    amx_split(a, b, part);
    for (int p = 0; p < AMX_PARTS; p++)
        part[p] = amx_interleave(part[p]);
}

#ifdef AMX_SPLIT
/* The first n of sixteen elements, 0 <= n <= 16; the others are zero. */
static inline amx_lanes amx_load_head(const amx_element *p, int32_t n)
{
    return v_load_head(p, n);
}

/* Pairs of elements (a[n], b[n]), part by part. */
static inline void amx_pair(amx_lanes a, amx_lanes b, t_words part[AMX_PARTS])
{
    amx_pair_floats(a, b, part);
}

/* Eight elements at `at` in each of pixel[0], pixel[8], pixel[16] and pixel[24], part by part. */
static inline void amx_load_eights(const amx_element *const pixel[], ptrdiff_t at, t_words part[AMX_PARTS])
{
    amx_split(t_load_two(pixel[0] + at, pixel[8] + at), t_load_two(pixel[16] + at, pixel[24] + at), part);
}

enum { AMX_LAY_AHEAD = 1024 }; /* how many elements ahead a run prefetches: not all that was asked for is still near */

/* `count` elements that follow each other, to both parts. */
static void amx_lay(const void *from, size_t count, sl_bf16 *to, ptrdiff_t part)
{
    const amx_element *x = from;
    t_words parts[AMX_PARTS];
    size_t i = 0;
    for (; i + 2 * VL <= count; i += 2 * VL) {
        __builtin_prefetch(x + i + AMX_LAY_AHEAD);
        __builtin_prefetch(x + i + AMX_LAY_AHEAD + VL);
        amx_split(v_load(x + i), v_load(x + i + VL), parts);
        for (int p = 0; p < AMX_PARTS; p++)
            t_store_words(to + p * part + i, parts[p]);
    }
    const int32_t left = (int32_t)(count - i);
    amx_split(v_load_head(x + i, amx_least(left, VL)), v_load_head(x + i + VL, left > VL ? left - VL : 0), parts);
    for (int p = 0; p < AMX_PARTS; p++)
        memcpy(to + p * part + i, &parts[p], (size_t)left * sizeof *to);
}

/* What 32 floats become where they are stored. */
static inline void amx_round(vf *low, vf *high)
{
    (void)low;
    (void)high;
}

/* 32 elements. */
static inline void amx_load(const amx_element *from, vf *low, vf *high)
{
    *low = v_load(from);
    *high = v_load(from + VL);
}

/* Stores the first n of 32 floats, 0 <= n <= 32. */
static inline void amx_store(amx_element *to, vf low, vf high, int32_t n)
{
    v_store_head(to, low, amx_least(n, VL));
    v_store_head(to + VL, high, n > VL ? n - VL : 0);
}
#else
static inline amx_lanes amx_load_head(const amx_element *p, int32_t n)
{
    return t_load_head(p, n);
}

static inline void amx_pair(amx_lanes a, amx_lanes b, t_words part[AMX_PARTS])
{
    part[0] = t_pairs(a, b);
}

static inline void amx_load_eights(const amx_element *const pixel[], ptrdiff_t at, t_words part[AMX_PARTS])
{
    part[0] = t_load_four(pixel[0] + at, pixel[8] + at, pixel[16] + at, pixel[24] + at);
}

static void amx_lay(const void *from, size_t count, sl_bf16 *to, ptrdiff_t part)
{
    (void)part;
    memcpy(to, from, count * sizeof *to);
}

static inline void amx_round(vf *low, vf *high)
{
    t_widen(t_narrow(*low, *high), low, high);
}

static inline void amx_load(const amx_element *from, vf *low, vf *high)
{
    t_widen(t_load_words(from), low, high);
}

static inline void amx_store(amx_element *to, vf low, vf high, int32_t n)
{
    t_store_first(to, t_narrow(low, high), n);
}
#endif
#endif
