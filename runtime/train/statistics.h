/* Running statistics of several ranks. Each rank's follow its own batches and stay its own, but a model that is
 * evaluated or saved has one set: their mean. */
#ifndef SL_RUNTIME_TRAIN_STATISTICS_H
#define SL_RUNTIME_TRAIN_STATISTICS_H

#include "kernels/group.h"
#include "runtime/plan/weights.h"

#ifdef __cplusplus
extern "C" {
#endif

/* `statistics`, n floats of this rank in the host's memory, become the mean over all ranks: summed in rank order in
 * double and rounded once, so that it is the same everywhere. Collective. SL_SYSTEM, SL_IO. */
int sl_statistics_mean(const struct sl_group *group, float *statistics, int64_t n);

/* Puts the mean in place of the weights' own statistics, of which *own becomes a copy. Collective. Whatever it returns,
 * sl_statistics_restore follows. Alone nothing happens, and *own is NULL. SL_SYSTEM, SL_IO, on all ranks. */
int sl_statistics_average(struct sl_weights *weights, const struct sl_group *group, float **own);

/* Puts them back, and frees the copy. Not collective. */
int sl_statistics_restore(struct sl_weights *weights, float **own);

#ifdef __cplusplus
}
#endif
#endif
