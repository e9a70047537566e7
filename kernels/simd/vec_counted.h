/* Vectors that are counted: the names of vec_avx512.h, of which only the first lane is computed and each is one more in
 * `sl_vectors_counted`. Only the tests use it, to weigh what slices of a kernel do without waiting for them. What a
 * kernel does never depends on the numbers, and the first lanes are right, since lanes do not meet. */
#ifndef SL_KERNELS_SIMD_VEC_H
#define SL_KERNELS_SIMD_VEC_H

/* One name a line reads as the table it is. */
/* clang-format off */
#include <math.h>
#include <stdint.h>

extern uint64_t sl_vectors_counted; /* arithmetic, loads and stores of vectors, of all threads */

#define V_NAME(name) name##_avx512 /* of the objects a template defines */
#define VL 16
#define V_REGISTERS 32
typedef float vf;
typedef int32_t vi;
typedef uint32_t vmask; /* one bit */

#define V_COUNTED(type, expression) (sl_vectors_counted++, (type)(expression))

static inline vf v_set1(float x) { return x; }
static inline vf v_zero(void) { return 0.0f; }
static inline vf v_load(const float *p) { return V_COUNTED(vf, *p); }
static inline void v_store(float *p, vf a) { *p = V_COUNTED(vf, a); }
static inline void v_stream(float *p, vf a) { v_store(p, a); }
static inline void v_streamed(void) {}
static inline vf v_add(vf a, vf b) { return V_COUNTED(vf, a + b); }
static inline vf v_sub(vf a, vf b) { return V_COUNTED(vf, a - b); }
static inline vf v_mul(vf a, vf b) { return V_COUNTED(vf, a * b); }
static inline vf v_div(vf a, vf b) { return V_COUNTED(vf, a / b); }
static inline vf v_sqrt(vf a) { return V_COUNTED(vf, sqrtf(a)); }
static inline vf v_max(vf a, vf b) { return V_COUNTED(vf, a > b ? a : b); }
static inline vf v_fma(vf a, vf b, vf c) { return V_COUNTED(vf, a * b + c); }
static inline vf v_fnma(vf a, vf b, vf c) { return V_COUNTED(vf, c - a * b); }

static inline vmask v_ge(vf a, vf b) { return V_COUNTED(vmask, a >= b); }
static inline vmask v_gt(vf a, vf b) { return V_COUNTED(vmask, a > b); }
static inline vmask v_eq(vf a, vf b) { return V_COUNTED(vmask, a == b); }
static inline vf v_select(vmask m, vf yes, vf no) { return V_COUNTED(vf, m ? yes : no); }
static inline vf v_keep(vmask m, vf a) { return V_COUNTED(vf, m ? a : 0.0f); }
static inline vf v_drop(vmask m, vf a) { return V_COUNTED(vf, m ? 0.0f : a); }
static inline vmask v_either(vmask a, vmask b) { return a | b; }
static inline int v_any(vmask m) { return m != 0; }
static inline int v_count(vmask m) { return (int)m; }

static inline vf v_load_head(const float *p, int n) { return V_COUNTED(vf, n > 0 ? *p : 0.0f); }
static inline void v_store_head(float *p, vf a, int n) { if (n > 0) v_store(p, a); }
typedef double vd;
static inline vd vd_zero(void) { return 0.0; }
static inline vd vd_first(vf a) { return V_COUNTED(vd, a); }
static inline vd vd_last(vf a) { return V_COUNTED(vd, a); }
static inline vd vd_fma(vd a, vd b, vd c) { return V_COUNTED(vd, a * b + c); }
static inline void vd_store(double *p, vd a) { *p = V_COUNTED(vd, a); }

static inline vf v_load_some(const float *p, int n) { return v_load_head(p, n); }
static inline void v_store_some(float *p, vf a, int n) { v_store_head(p, a, n); }
static inline vf v_load_bytes(const uint8_t *p) { return V_COUNTED(vf, *p); }

static inline float v_sum(vf a) { return V_COUNTED(vf, a); }
static inline float v_max_lane(vf a) { return V_COUNTED(vf, a); }
static inline vf v_round(vf a) { return V_COUNTED(vf, rintf(a)); }
static inline vf v_exp2i(vf a) { return V_COUNTED(vf, ldexpf(1.0f, (int)a)); }
static inline vf v_abs(vf a) { return V_COUNTED(vf, fabsf(a)); }
static inline vf v_sign(vf a) { return V_COUNTED(vf, copysignf(0.0f, a)); }
static inline vf v_signed(vf a, vf sign) { return V_COUNTED(vf, signbit(sign) ? -a : a); }

static inline vi v_bits(vf a) { return V_COUNTED(vi, (int32_t)a); }
static inline vi vi_set1(uint32_t x) { return (vi)x; }
static inline vi vi_count(uint32_t first) { return (vi)first; }
static inline vi vi_xor(vi a, vi b) { return V_COUNTED(vi, a ^ b); }
static inline vi vi_or(vi a, vi b) { return V_COUNTED(vi, a | b); }
static inline void vi_mul(vi a, vi b, vi *high, vi *low)
{
    const uint64_t product = (uint64_t)(uint32_t)a * (uint32_t)b;
    *high = V_COUNTED(vi, product >> 32);
    *low = V_COUNTED(vi, product);
}
static inline vf vi_uniform(vi a) { return V_COUNTED(vf, (float)((uint32_t)a >> 8) * 0x1p-24f); }
static inline void vi_store(uint32_t *p, vi a) { *p = (uint32_t)V_COUNTED(vi, a); }
static inline void vi_store_head(uint32_t *p, vi a, int n) { if (n > 0) vi_store(p, a); }
static inline vi vi_compress(vi a, vmask m) { (void)m; return V_COUNTED(vi, a); }
#endif
