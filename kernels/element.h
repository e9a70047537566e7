/* Elements as the references read and write them, one at a time: an array of either type, told by the shape. */
#ifndef SL_KERNELS_ELEMENT_H
#define SL_KERNELS_ELEMENT_H

#include "kernels/base.h"
#include "kernels/bf16.h"

static inline float sl_get(enum sl_element element, const void *from, int64_t i)
{
    return element == SL_ELEMENT_BF16 ? sl_bf16_to_float(((const sl_bf16 *)from)[i]) : ((const float *)from)[i];
}

/* Rounds once, where the element is shorter than a float. */
static inline void sl_put(enum sl_element element, void *to, int64_t i, float value)
{
    if (element == SL_ELEMENT_BF16)
        ((sl_bf16 *)to)[i] = sl_bf16_from_float(value);
    else
        ((float *)to)[i] = value;
}
#endif
