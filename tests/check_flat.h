/* Lengths of flat runs that hurt: around a vector, around a chunk (SL_FLAT_CHUNK), primes. After them the one worth
 * measuring. */
#ifndef SL_TESTS_CHECK_FLAT_H
#define SL_TESTS_CHECK_FLAT_H

#include "tests/check.h"

static const int64_t check_lengths[] = {1, 7, 8, 9, 15, 16, 17, 31, 63, 64, 65, 1009, 2047, 2048, 2049, 100003};
enum {
    CHECK_LENGTHS = sizeof check_lengths / sizeof *check_lengths,
    CHECK_ACTIVATIONS = 32 * 64 * 64 * 32, /* of the first layer */
    CHECK_WEIGHTS = 1077160                /* of the network */
};

static inline int64_t check_length(size_t index, int64_t measured)
{
    return index < CHECK_LENGTHS ? check_lengths[index] : measured;
}

/* Of a case whose shape begins with its length, as flat ones do. */
static inline int64_t check_length_of(const struct check_case *c)
{
    return *(const int64_t *)c->shape;
}
#endif
