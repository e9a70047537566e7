/* Philox4x32-10, the counter-based generator of Salmon et al. (SC'11, "Parallel random numbers: as easy as 1, 2, 3").
 * The same (key, counter) gives the same 128 bits anywhere. Known answers: Random123's kat_vectors. */
#ifndef SL_KERNELS_ELEMENTWISE_PHILOX_H
#define SL_KERNELS_ELEMENTWISE_PHILOX_H

#include <stdint.h>

#include "kernels/base.h"

struct sl_philox {
    uint32_t word[4];
};

SL_ANYWHERE static inline struct sl_philox sl_philox4x32(uint64_t key, uint64_t counter_high, uint64_t counter_low)
{
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    uint32_t c0 = (uint32_t)counter_low, c1 = (uint32_t)(counter_low >> 32);
    uint32_t c2 = (uint32_t)counter_high, c3 = (uint32_t)(counter_high >> 32);
    for (int round = 0; round < 10; round++) {
        const uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        const uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    const struct sl_philox draw = {{c0, c1, c2, c3}};
    return draw;
}

/* Uniform in [0, 1), 24 bits. */
SL_ANYWHERE static inline float sl_uniform(uint32_t bits)
{
    return (float)(bits >> 8) * 0x1p-24f;
}
#endif
