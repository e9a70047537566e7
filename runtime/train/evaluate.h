/* Runs a model over a data set: counts for the metrics, or rows of probabilities by key. */
#ifndef SL_RUNTIME_TRAIN_EVALUATE_H
#define SL_RUNTIME_TRAIN_EVALUATE_H

#include "kernels/group.h"
#include "runtime/data/loader.h"
#include "runtime/train/metrics.h"
#include "runtime/plan/plan.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Told what one batch gave: batch->count rows of probabilities, `stride` floats apart. Returns an sl_status. */
typedef int sl_evaluate_fn(void *self, const struct sl_batch *batch, const float *p, int32_t stride);

/* Runs the first epoch of the loader through an inference plan, which it prepares. `metrics` is added to, not reset;
 * `group`, `metrics`, `visit` and `stop` may be NULL. When *stop becomes true it ends with SL_PREEMPTED. Where an image
 * is bad, the images before it are evaluated before its error is returned. SL_NUMERICS names the sample whose
 * probabilities are not finite. SL_BAD_DATA: no image can be read.
 *
 * With a group, whose rank and size the loader was opened with, it is collective: each rank sees its own batches, all
 * end together with the worst status of any, and `metrics` becomes that of all ranks on each. */
int sl_evaluate(struct sl_plan *plan, struct sl_loader *loader, const struct sl_group *group,
                struct sl_metrics *metrics, sl_evaluate_fn *visit, void *self, const volatile int *stop);

/* The same for one batch. */
int sl_evaluate_batch(struct sl_plan *plan, const struct sl_batch *batch, struct sl_metrics *metrics,
                      sl_evaluate_fn *visit, void *self);

#ifdef __cplusplus
}
#endif
#endif
