/* Sixteen floats at a time in plain C: the names of vec_avx512.h for machines without AVX-512. Only the
 * tests use it, to check the logic of the AVX-512 rows everywhere. */
#ifndef SL_KERNELS_SIMD_VEC_H
#define SL_KERNELS_SIMD_VEC_H

/* One name a line reads as the table it is. */
/* clang-format off */
#include <math.h>
#include <stdint.h>
#include <string.h>

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
static inline vf v_add(vf a, vf b) { return a + b; }
static inline vf v_sub(vf a, vf b) { return a - b; }
static inline vf v_mul(vf a, vf b) { return a * b; }
static inline vf v_div(vf a, vf b) { return a / b; }
static inline vf v_sqrt(vf a) { vf r; V_LANES(sqrtf(a[i])); return r; }
static inline vf v_max(vf a, vf b) { vf r; V_LANES(a[i] > b[i] ? a[i] : b[i]); return r; }
static inline vf v_min(vf a, vf b) { vf r; V_LANES(a[i] < b[i] ? a[i] : b[i]); return r; }
static inline vf v_fma(vf a, vf b, vf c) { return a * b + c; }
static inline vf v_fnma(vf a, vf b, vf c) { return c - a * b; }

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
static inline vf v_exp2i(vf a) { vf r; V_LANES(ldexpf(1.0f, (int)a[i])); return r; }
#endif
