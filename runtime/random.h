/* Streams of the counter-based generator (kernels/elementwise/philox.h): one purpose never meets another's numbers. */
#ifndef SL_RUNTIME_RANDOM_H
#define SL_RUNTIME_RANDOM_H

#include <stdint.h>

enum sl_random_purpose {
    SL_RANDOM_INIT = 1,
    SL_RANDOM_DROPOUT = 2,
    SL_RANDOM_ORDER = 3,
    SL_RANDOM_AUGMENT = 4,
};

/* The high half of the counter; `which` counts parameters, epochs or layers, below 2^56. */
static inline uint64_t sl_stream(enum sl_random_purpose purpose, uint64_t which)
{
    return (uint64_t)purpose << 56 | (which & (((uint64_t)1 << 56) - 1));
}
#endif
