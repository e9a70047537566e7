#include "runtime/train/evaluate.h"

#include "runtime/train/batch_input.h"
#include "runtime/train/top_classes.h"

int sl_evaluate_batch(struct sl_plan *plan, const struct sl_batch *batch, struct sl_metrics *metrics,
                      sl_evaluate_fn *visit, void *self)
{
    int rc = SL_OK;
    int32_t stride;
    const float *p;
    const struct sl_plan_pixels pixels = sl_batch_pixels(batch);
    const struct sl_plan_input input = {.pixels = &pixels, .labels = batch->labels, .count = batch->count};
    SL_TRY(sl_plan_forward(plan, &input));
    SL_TRY(sl_plan_probabilities(plan, &p, &stride));
    for (int32_t i = 0; metrics && i < batch->count; i++)
        SL_TRY(sl_top_classes_check(p + (size_t)i * (size_t)stride, metrics->classes, batch->keys[i]));
    if (metrics)
        SL_TRY(sl_metrics_add(metrics, p, stride, batch->labels, batch->count));
    if (visit)
        SL_TRY(visit(self, batch, p, stride));
out:
    return rc;
}

int sl_evaluate(struct sl_plan *plan, struct sl_loader *loader, struct sl_metrics *metrics, sl_evaluate_fn *visit,
                void *self, const volatile int *stop)
{
    int rc = SL_OK;
    SL_TRY(sl_plan_prepare(plan));
    SL_TRY(sl_loader_seek(loader, 0, 0));
    for (uint64_t next = 0; next < sl_loader_batches(loader);) {
        const struct sl_batch *batch;
        if (stop && *stop)
            SL_FAIL(SL_PREEMPTED, "interrupted during the evaluation");
        const int loaded = sl_loader_next(loader, &batch);
        if (batch &&
            batch->epoch > 0) /* the loader passed over batches without a readable image, the last one among them */
            break;
        if (batch)
            SL_TRY(sl_evaluate_batch(plan, batch, metrics, visit, self));
        SL_TRY(loaded);
        next = batch->index + 1;
    }
out:
    return rc;
}
