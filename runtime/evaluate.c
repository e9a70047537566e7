#include "runtime/evaluate.h"

int sl_evaluate(struct sl_plan *plan, struct sl_loader *loader, struct sl_metrics *metrics, sl_evaluate_fn *visit,
                void *self, const volatile int *stop)
{
    int rc = SL_OK;
    SL_TRY(sl_plan_prepare(plan));
    SL_TRY(sl_loader_seek(loader, 0, 0));
    for (uint64_t next = 0; next < sl_loader_batches(loader);) {
        const struct sl_batch *batch;
        int32_t stride;
        if (stop && *stop)
            SL_FAIL(SL_PREEMPTED, "interrupted during the evaluation");
        SL_TRY(sl_loader_next(loader, &batch));
        if (batch->epoch > 0) /* the loader passed over batches without a readable image, the last one among them */
            break;
        next = batch->index + 1;
        const struct sl_plan_input input = {batch->images, batch->labels, batch->count, 0, 0};
        SL_TRY(sl_plan_forward(plan, &input));
        const float *p = sl_plan_probabilities(plan, &stride);
        if (metrics)
            SL_TRY(sl_metrics_add(metrics, p, stride, batch->labels, batch->count));
        if (visit)
            SL_TRY(visit(self, batch, p, stride));
    }
out:
    return rc;
}
