/* Lengths of flat runs that hurt: around a vector, around a chunk (SL_FLAT_CHUNK), primes. */
#ifndef SL_TESTS_CHECK_FLAT_H
#define SL_TESTS_CHECK_FLAT_H

#include <stdint.h>

static const int64_t check_lengths[] = {1, 7, 8, 9, 15, 16, 17, 31, 63, 64, 65, 1009, 16383, 16384, 16385, 100003};
enum { CHECK_LENGTHS = sizeof check_lengths / sizeof *check_lengths };
#endif
