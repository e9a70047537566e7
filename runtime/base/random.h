/* Streams of the counter-based generator (kernels/elementwise/philox.h): one purpose never meets another's numbers. */
#ifndef SL_RUNTIME_BASE_RANDOM_H
#define SL_RUNTIME_BASE_RANDOM_H

#include <stdint.h>

/* What is drawn once stays what it is: a purpose never changes its number. */
enum sl_random_purpose {
    SL_RANDOM_INIT = 1,
    SL_RANDOM_DROPOUT = 2,
    SL_RANDOM_SAMPLE_SET = 0x51, /* starling-sample */
    SL_RANDOM_SHARDS = 0x52,     /* order of images in the shards */
    SL_RANDOM_VALIDATION = 0x53, /* choice of validation images */
    SL_RANDOM_EPOCH = 0x54,      /* order of an epoch */
    SL_RANDOM_AUGMENT = 0x55,    /* flip and crop */
};

/* The high half of the counter; `which` counts parameters, epochs, layers, classes or images, below 2^56. */
static inline uint64_t sl_stream(enum sl_random_purpose purpose, uint64_t which)
{
    return (uint64_t)purpose << 56 | (which & (((uint64_t)1 << 56) - 1));
}
#endif
