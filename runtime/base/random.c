#include "runtime/base/random.h"

#include <assert.h>

void sl_draw_permutation(uint64_t seed, enum sl_random_purpose purpose, uint64_t epoch, uint32_t *order, uint32_t n)
{
    assert(epoch >> 56 == 0);
    for (uint32_t i = 0; i < n; i++)
        order[i] = i;
    for (uint32_t i = n; i > 1; i--) {
        /* Of 64 bits the low half of the product is the remainder: the bias is below i / 2^64. */
        const struct sl_philox bits = sl_draw(seed, purpose, epoch, i);
        const uint64_t low = (uint64_t)bits.word[0] * i, high = (uint64_t)bits.word[1] * i;
        const uint32_t j = (uint32_t)((high + (low >> 32)) >> 32);
        const uint32_t swap = order[i - 1];
        order[i - 1] = order[j];
        order[j] = swap;
    }
}
