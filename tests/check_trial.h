/* One row on one shape, against the reference of its operation: what the checkers of processors (test_kernels.c) and of
 * GPUs (gpu/gpu_check.c) have in common. */
#ifndef SL_TESTS_CHECK_TRIAL_H
#define SL_TESTS_CHECK_TRIAL_H

#include "tests/check.h"

struct check_trial {
    const struct check_op *op;
    const struct sl_kernel_row *row, *reference; /* the reference of floats, whatever the row's element */
    size_t index;                                /* of the shape */
    uint64_t seed;
    uint32_t isa;                   /* rows of processors that can run here, to be compared with */
    const struct sl_device *device; /* whose row it is, with memory of its own; NULL: the row runs on the host */
    /* Readies way i (1, 2, ...) of running the row again, which changes no bit, and names it. NULL: there are none
     * left. */
    const char *(*ready_way)(unsigned i, bool *sliced);
    bool refused;                  /* need() took the shape, open() did not: no fault of a row that takes others */
    const struct check_case *want; /* what the reference made; kept for the trials that follow, if of the same shape */
    struct check_case cases[3];    /* here, so that check_trial_release finds what a failed trial left */
};

/* NULL, or what is wrong; the text lasts until the next trial. */
const char *check_trial_run(struct check_trial *trial);
void check_trial_release(struct check_trial *trial);
#endif
