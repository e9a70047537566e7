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

static int begin(struct sl_plan *plan, struct sl_loader *loader)
{
    const int rc = sl_plan_prepare(plan);
    return rc == SL_OK ? sl_loader_seek(loader, 0, 0) : rc;
}

/* This rank's share of the step at `index`; *count: images of it. */
static int evaluate_next(struct sl_plan *plan, struct sl_loader *loader, uint64_t index, struct sl_metrics *metrics,
                         sl_evaluate_fn *visit, void *self, uint64_t *count)
{
    int rc = SL_OK;
    const struct sl_batch *batch;
    *count = 0;
    const int loaded = sl_loader_next(loader, &batch);
    if (batch && (batch->epoch > 0 || batch->index != index))
        SL_FAIL(SL_INTERNAL, "the loader is of another group than the evaluation");
    if (batch && batch->count > 0)
        SL_TRY(sl_evaluate_batch(plan, batch, metrics, visit, self));
    *count = batch ? (uint64_t)batch->count : 0;
    rc = loaded;
out:
    return rc;
}

int sl_evaluate(struct sl_plan *plan, struct sl_loader *loader, const struct sl_group *group,
                struct sl_metrics *metrics, sl_evaluate_fn *visit, void *self, const volatile int *stop)
{
    int rc = SL_OK;
    uint64_t images = 0;
    SL_TRY(sl_group_settle(group, begin(plan, loader)));
    for (uint64_t index = 0; index < sl_loader_batches(loader); index += (uint64_t)sl_group_size(group)) {
        struct sl_vote vote = {0};
        if (stop && *stop)
            vote.status = sl_fail(SL_PREEMPTED, "interrupted during the evaluation");
        else
            vote.status = evaluate_next(plan, loader, index, metrics, visit, self, &vote.samples);
        SL_TRY(sl_group_vote(group, &vote));
        images += vote.samples;
    }
    if (images == 0)
        SL_TRY(sl_group_settle(group, sl_fail(SL_BAD_DATA, "no image of the split can be read")));
    if (metrics)
        SL_TRY(sl_metrics_join(metrics, group));
out:
    return rc;
}
