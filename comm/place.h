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

/* Ranks on this rank's host, itself included; of a NULL group 1. */
int sl_place_local_size(const struct sl_group *group);

#ifdef __cplusplus
}
#endif
#endif
