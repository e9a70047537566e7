/* Elements that are bf16, for templates of both elements (element_f32.h): what is loaded becomes floats, what is stored
 * is rounded. */
#ifndef SL_KERNELS_SIMD_ELEMENT_H
#define SL_KERNELS_SIMD_ELEMENT_H

#include "kernels/simd/vec_bf16.h"

/* One name a line reads as the table it is. */
/* clang-format off */
#define E_NAME(name) V_NAME(name##_bf16) /* of the objects a template defines */
#define E_ELEMENT SL_ELEMENT_BF16
typedef sl_bf16 ve; /* an element */

static inline float e_get(const ve *p) { return sl_bf16_to_float(*p); }
static inline void e_put(ve *p, float x) { *p = sl_bf16_from_float(x); }
static inline vf e_load(const ve *p) { return v_load_bf16(p); }
static inline void e_store(ve *p, vf a) { v_store_bf16(p, a); }
static inline void e_stream(ve *p, vf a) { v_stream_bf16(p, a); }

/* The first n lanes, as v_load_head and v_store_head. */
static inline vf e_load_head(const ve *p, int n) { return v_load_bf16_head(p, n); }
static inline void e_store_head(ve *p, vf a, int n) { v_store_bf16_head(p, a, n); }

/* VL elements, or the first n of them. */
static inline vf e_load_some(const ve *p, int n) { return n == VL ? e_load(p) : e_load_head(p, n); }
static inline void e_store_some(ve *p, vf a, int n)
{
    if (n == VL)
        e_store(p, a);
    else
        e_store_head(p, a, n);
}

/* Element i of an array of the arguments, to read and to write. */
static inline const ve *e_at(const void *array, int64_t i) { return (const ve *)array + i; }
static inline ve *e_to(void *array, int64_t i) { return (ve *)array + i; }
#endif
