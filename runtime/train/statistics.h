/* Running statistics that several ranks keep, each its own. The live ones are never averaged in place; a copy is, for
 * evaluation and for the checkpoint's model. */
#ifndef SL_RUNTIME_TRAIN_STATISTICS_H
#define SL_RUNTIME_TRAIN_STATISTICS_H

#include "kernels/group.h"
#include "runtime/plan/weights.h"

#ifdef __cplusplus
extern "C" {
#endif

/* average[weights->state], in the host's memory, becomes the mean of the statistics of all ranks: added up in double in
 * rank order, and rounded once. Alone they are copied, bit for bit. Collective; a failure is settled. SL_SYSTEM. */
int sl_statistics_average(const struct sl_weights *weights, const struct sl_group *group, float *average);

#ifdef __cplusplus
}
#endif
#endif
