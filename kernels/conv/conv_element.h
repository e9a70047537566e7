/* Activations as the templates of this folder meet them: vectors of floats in registers; in memory floats or, where the
 * file that includes them defines CONV_BF16, bf16. A template over the names of simd/vec_*.h. */
#ifndef SL_KERNELS_CONV_ELEMENT_H
#define SL_KERNELS_CONV_ELEMENT_H

#include <stdbool.h>

#include "kernels/base.h"
#include "kernels/bf16.h"
#include "kernels/simd/vec_bf16.h"

#ifdef CONV_BF16
typedef sl_bf16 conv_element;
#define CONV_ELEMENT SL_ELEMENT_BF16
#ifdef WINOGRAD_DOT
#define CONV_NAME(name) V_NAME(name##_dot_bf16) /* of the objects a template defines */
#else
#define CONV_NAME(name) V_NAME(name##_bf16)
#endif
#else
typedef float conv_element;
#define CONV_ELEMENT SL_ELEMENT_F32
#define CONV_NAME(name) V_NAME(name)
#endif

/* The first n lanes, 0 <= n <= VL; other lanes load as zero and are not touched in memory. With a constant n the choice
 * costs nothing. */
static inline vf conv_load_some(const conv_element *p, int n)
{
#ifdef CONV_BF16
    return v_load_bf16_some(p, n);
#else
    return v_load_some(p, n);
#endif
}

static inline vf conv_load(const conv_element *p)
{
    return conv_load_some(p, VL);
}

static inline void conv_store_some(conv_element *p, vf a, int n)
{
#ifdef CONV_BF16
    v_store_bf16_some(p, a, n);
#else
    v_store_some(p, a, n);
#endif
}

/* Past the caches, to an address that is a multiple of what is written. */
static inline void conv_stream(conv_element *p, vf a)
{
#ifdef CONV_BF16
    v_stream_bf16(p, a);
#else
    v_stream(p, a);
#endif
}

/* What memory will hold of it. */
static inline vf conv_round(vf a)
{
#ifdef CONV_BF16
    return v_round_bf16(a);
#else
    return a;
#endif
}
#endif
