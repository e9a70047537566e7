/* Which part of its host a rank takes. */
#ifndef SL_COMM_PLACE_H
#define SL_COMM_PLACE_H

#include "kernels/group.h"

#ifdef __cplusplus
extern "C" {
#endif

/* This rank's share of the CPUs of its host: each CPU it may use counts 1/k where k ranks of the host may use it;
 * rounded down, at least 1. So launchers that bind ranks and launchers that do not both fill the host once. Collective.
 */
int sl_place_threads(const struct sl_group *group, int *threads);

#ifdef __cplusplus
}
#endif
#endif
