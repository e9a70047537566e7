/* What ranks tell each other about files. */
#ifndef SL_RUNTIME_STORE_GATHER_H
#define SL_RUNTIME_STORE_GATHER_H

#include "kernels/group.h"

/* *all, which the caller frees, holds what each rank calls `mine` end to end in rank order, *total bytes; the next byte
 * is zero. Collective. SL_SYSTEM, and the errors of the group. */
int sl_store_gather(const struct sl_group *group, const void *mine, size_t bytes, void **all, size_t *total);

/* *any becomes whether any rank says so. Collective. The errors of the group. */
int sl_store_any(const struct sl_group *group, bool mine, bool *any);

#endif
