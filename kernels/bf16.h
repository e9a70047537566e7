/* bf16: the upper half of a float, 8 bits of exponent and 7 of fraction. */
#ifndef SL_KERNELS_BF16_H
#define SL_KERNELS_BF16_H

#include <stdint.h>
#include <string.h>

typedef uint16_t sl_bf16;

/* Exact. */
static inline float sl_bf16_to_float(sl_bf16 value)
{
    const uint32_t bits = (uint32_t)value << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* To the nearest, ties to even; beyond the largest is infinity; subnormal numbers stay; a NaN stays one, made quiet. */
static inline sl_bf16 sl_bf16_from_float(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (sl_bf16)(bits >> 16 | 0x40u);
    return (sl_bf16)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}
#endif
