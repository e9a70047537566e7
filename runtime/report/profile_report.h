/* A profile of training for people. */
#ifndef SL_RUNTIME_REPORT_PROFILE_REPORT_H
#define SL_RUNTIME_REPORT_PROFILE_REPORT_H

#include <stdio.h>

#include "runtime/train/profile.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Layer, operation, row, milliseconds of a mean step and share of it, in the order of a step; then the sums: of the
 * convolutions, of all other kernels, waiting for data, and the rest, which is other ranks and the host's own work. */
void sl_profile_print(const struct sl_profile *profile, FILE *to);

#ifdef __cplusplus
}
#endif
#endif
