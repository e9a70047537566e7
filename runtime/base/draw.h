/* Counter-based draws of the data pipeline: (seed, purpose, epoch, index) gives the same bits on every machine. */
#ifndef SL_RUNTIME_BASE_DRAW_H
#define SL_RUNTIME_BASE_DRAW_H

#include "kernels/base.h"
#include "kernels/elementwise/philox.h"
#include "runtime/base/random.h"

#ifdef __cplusplus
extern "C" {
#endif

/* 128 bits. `epoch` is below 2^56. */
static inline struct sl_philox sl_draw(uint64_t seed, enum sl_random_purpose purpose, uint64_t epoch, uint64_t index)
{
    return sl_philox4x32(seed, sl_stream(purpose, epoch), index);
}

/* Uniform in [0, below). */
static inline uint32_t sl_draw_below(uint32_t bits, uint32_t below)
{
    return (uint32_t)((uint64_t)bits * below >> 32);
}

/* order[0..n) becomes a permutation of 0..n-1 (Fisher and Yates). */
void sl_draw_permutation(uint64_t seed, enum sl_random_purpose purpose, uint64_t epoch, uint32_t *order, uint32_t n);

#ifdef __cplusplus
}
#endif
#endif
