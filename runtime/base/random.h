/* Random numbers that are counted, not remembered: (seed, purpose, epoch, index) gives the same bits on every machine,
 * in any order and on any number of threads (kernels/elementwise/philox.h). */
#ifndef SL_RUNTIME_BASE_RANDOM_H
#define SL_RUNTIME_BASE_RANDOM_H

#include "kernels/base.h"
#include "kernels/elementwise/philox.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Who draws: one purpose never meets another's numbers. A purpose never changes its own number, so that old runs can be
 * repeated. */
enum sl_random_purpose {
    SL_RANDOM_INIT = 1,          /* initial weights */
    SL_RANDOM_DROPOUT = 2,       /* dropped activations */
    SL_RANDOM_SAMPLE_SET = 0x51, /* pictures of starling-sample */
    SL_RANDOM_SHARDS = 0x52,     /* order of images in the shards */
    SL_RANDOM_VALIDATION = 0x53, /* choice of validation images */
    SL_RANDOM_EPOCH = 0x54,      /* order of an epoch */
    SL_RANDOM_AUGMENT = 0x55,    /* flip and crop */
};

/* The high half of the counter. `which` counts parameters, epochs, layers, classes or images; it is below 2^56. */
static inline uint64_t sl_stream(enum sl_random_purpose purpose, uint64_t which)
{
    return (uint64_t)purpose << 56 | (which & (((uint64_t)1 << 56) - 1));
}

/* 128 bits. `epoch` is below 2^56. */
static inline struct sl_philox sl_draw(uint64_t seed, enum sl_random_purpose purpose, uint64_t epoch, uint64_t index)
{
    return sl_philox4x32(seed, sl_stream(purpose, epoch), index);
}

/* 32 random bits become a number in [0, below). */
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
