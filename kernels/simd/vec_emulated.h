/* Sixteen floats at a time in plain C: the names of vec_avx512.h for machines without AVX-512. Only the
 * tests use it, to check the logic of the AVX-512 rows everywhere. */
#ifndef SL_KERNELS_SIMD_VEC_H
#define SL_KERNELS_SIMD_VEC_H

/* One name a line reads as the table it is. */
/* clang-format off */
#include <math.h>
#include <stdint.h>
#include <string.h>

#define V_NAME(name) name##_avx512 /* of the objects a template defines */
#define VL 16
#define V_REGISTERS 32
typedef float vf __attribute__((vector_size(64)));
typedef int32_t vi __attribute__((vector_size(64)));
typedef uint32_t vmask; /* one bit a lane */

#define V_LANES(expression)          \
    do {                             \
        for (int i = 0; i < VL; i++) \
            r[i] = (expression);     \
    } while (0)

static inline vf v_set1(float x) { vf r; V_LANES(x); return r; }
static inline vf v_zero(void) { return v_set1(0.0f); }
static inline vf v_load(const float *p) { vf r; memcpy(&r, p, sizeof r); return r; }
static inline void v_store(float *p, vf a) { memcpy(p, &a, sizeof a); }
static inline void v_stream(float *p, vf a) { v_store(p, a); }
static inline void v_streamed(void) {}
static inline vf v_add(vf a, vf b) { return a + b; }
static inline vf v_sub(vf a, vf b) { return a - b; }
static inline vf v_mul(vf a, vf b) { return a * b; }
static inline vf v_div(vf a, vf b) { return a / b; }
static inline vf v_sqrt(vf a) { vf r; V_LANES(sqrtf(a[i])); return r; }
static inline vf v_max(vf a, vf b) { vf r; V_LANES(a[i] > b[i] ? a[i] : b[i]); return r; }
static inline vf v_fma(vf a, vf b, vf c) { vf r; V_LANES(fmaf(a[i], b[i], c[i])); return r; }
static inline vf v_fnma(vf a, vf b, vf c) { vf r; V_LANES(fmaf(-a[i], b[i], c[i])); return r; }

static inline vmask v_ge(vf a, vf b) { vmask r = 0; for (int i = 0; i < VL; i++) r |= (vmask)(a[i] >= b[i]) << i; return r; }
static inline vmask v_gt(vf a, vf b) { vmask r = 0; for (int i = 0; i < VL; i++) r |= (vmask)(a[i] > b[i]) << i; return r; }
static inline vf v_select(vmask m, vf yes, vf no) { vf r; V_LANES((m >> i) & 1 ? yes[i] : no[i]); return r; }

static inline vf v_load_head(const float *p, int n) { vf r; V_LANES(i < n ? p[i] : 0.0f); return r; }
static inline void v_store_head(float *p, vf a, int n) { for (int i = 0; i < n; i++) p[i] = a[i]; }
static inline vf v_load_bytes(const uint8_t *p) { vf r; V_LANES((float)p[i]); return r; }

static inline float v_sum(vf a)
{
    float r = 0.0f;
    for (int i = 0; i < VL; i++)
        r += a[i];
    return r;
}
static inline float v_max_lane(vf a)
{
    float r = a[0];
    for (int i = 1; i < VL; i++)
        r = a[i] > r ? a[i] : r;
    return r;
}
static inline vf v_round(vf a) { vf r; V_LANES(rintf(a[i])); return r; }
/* What is no int becomes the least one, as the instruction has it. */
static inline int lane_int(float x) { return x >= -0x1p31f && x < 0x1p31f ? (int)x : INT32_MIN; }
static inline vf v_exp2i(vf a) { vf r; V_LANES(ldexpf(1.0f, lane_int(a[i]))); return r; }
static inline vf v_keep(vmask m, vf a) { vf r; V_LANES((m >> i) & 1 ? a[i] : 0.0f); return r; }
static inline vf v_drop(vmask m, vf a) { vf r; V_LANES((m >> i) & 1 ? 0.0f : a[i]); return r; }
static inline vmask v_eq(vf a, vf b) { vmask r = 0; for (int i = 0; i < VL; i++) r |= (vmask)(a[i] == b[i]) << i; return r; }
static inline vf v_load_some(const float *p, int n) { return n == VL ? v_load(p) : v_load_head(p, n); }
static inline void v_store_some(float *p, vf a, int n)
{
    if (n == VL)
        v_store(p, a);
    else
        v_store_head(p, a, n);
}

static inline vi vi_set1(uint32_t x) { vi r; V_LANES((int32_t)x); return r; }
static inline vi vi_count(uint32_t first) { vi r; V_LANES((int32_t)(first + (uint32_t)i)); return r; }
static inline vi vi_xor(vi a, vi b) { return a ^ b; }
static inline vi vi_or(vi a, vi b) { return a | b; }
static inline void vi_mul(vi a, vi b, vi *high, vi *low)
{
    for (int i = 0; i < VL; i++) {
        const uint64_t product = (uint64_t)(uint32_t)a[i] * (uint32_t)b[i];
        (*high)[i] = (int32_t)(product >> 32);
        (*low)[i] = (int32_t)product;
    }
}
static inline vf vi_uniform(vi a) { vf r; V_LANES((float)((uint32_t)a[i] >> 8) * 0x1p-24f); return r; }

static inline vi v_bits(vf a) { return (vi)a; }
static inline vf v_abs(vf a) { return (vf)(v_bits(a) & INT32_MAX); }
static inline vf v_sign(vf a) { return (vf)(v_bits(a) & INT32_MIN); }
static inline vf v_signed(vf a, vf sign) { return (vf)(v_bits(a) | v_bits(sign)); }
static inline vmask v_either(vmask a, vmask b) { return a | b; }
static inline int v_any(vmask m) { return m != 0; }
static inline int v_count(vmask m) { return __builtin_popcount(m); }
static inline void vi_store(uint32_t *p, vi a) { memcpy(p, &a, sizeof a); }
static inline void vi_store_head(uint32_t *p, vi a, int n) { memcpy(p, &a, (size_t)n * sizeof *p); }
static inline vi vi_compress(vi a, vmask m)
{
    vi r = a;
    for (int i = 0, to = 0; i < VL; i++)
        if ((m >> i) & 1)
            r[to++] = a[i];
    return r;
}
#endif
