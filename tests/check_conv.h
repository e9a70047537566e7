/* Checks every row of the convolutions against the reference. */
#ifndef SL_TESTS_CHECK_CONV_H
#define SL_TESTS_CHECK_CONV_H

#include "kernels/conv/conv.h"
#include "kernels/kernels.h"

struct check_conv_case {
    const char *name;
    struct sl_conv2d shape;
};

/* Shapes that hurt: tails of every tile, padding of every kind, images of one pixel, the network's layers. */
extern const struct check_conv_case check_conv_cases[];
extern const size_t check_conv_case_count;

/* Runs every row of `op` whose needs are within `isa` on one shape and compares it with the reference.
 * Prints what is wrong to stderr; returns the number of rows that are wrong. */
int check_conv(enum sl_op op, const struct check_conv_case *c, uint32_t isa);
#endif
