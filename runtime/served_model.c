#include "runtime/served_model.h"

#include "runtime/parallel.h"

/* What the limit is for is counted before it is taken. */
static int count_memory(struct sl_served_model *served, const struct sl_plan_options *options)
{
    int rc = SL_OK;
    struct sl_weights *sizes = NULL;
    struct sl_plan_memory plan;
    SL_TRY(sl_weights_lay_out(served->model.graph, &served->device, &sizes));
    SL_TRY(sl_plan_measure(served->model.graph, sizes, options, &plan));
    const uint64_t weights = (uint64_t)(sizes->trained + sizes->state) * sizeof(float);
    served->memory = weights + plan.arena + plan.scratch;
    if (options->memory_limit && served->memory > options->memory_limit)
        SL_FAIL(
            SL_UNAVAILABLE,
            "this model needs %.1f MB of memory and the limit is %.1f MB: weights %.1f, buffers %.1f (largest: %s), "
            "scratch of %d threads %.1f; raise --memory-limit or lower --batch-size",
            (double)served->memory / 1e6, (double)options->memory_limit / 1e6, (double)weights / 1e6,
            (double)plan.arena / 1e6, plan.largest, served->device.threads, (double)plan.scratch / 1e6);
out:
    sl_weights_close(sizes);
    return rc;
}

int sl_served_model_open(const char *path, int threads, const struct sl_plan_options *options,
                         sl_store_report_fn *report, void *self, struct sl_served_model *served)
{
    int rc = SL_OK;
    *served = (struct sl_served_model){0};
    SL_TRY(sl_device_cpu_open(threads, &served->device));
    SL_TRY(sl_store_open_model(path, report, self, &served->file));
    SL_TRY(sl_model_describe(served->file, &served->model));
    SL_TRY(count_memory(served, options));
    SL_TRY(sl_weights_open(served->model.graph, &served->device, false, &served->weights));
    SL_TRY(sl_weights_load(served->weights, served->file));
    SL_TRY(sl_plan_open(served->model.graph, served->weights, options, &served->plan));
    SL_TRY(sl_plan_prepare(served->plan));
out:
    return rc;
}

void sl_served_model_close(struct sl_served_model *served)
{
    sl_plan_close(served->plan);
    sl_weights_close(served->weights);
    sl_model_close(&served->model);
    sl_safetensors_close(served->file);
    if (served->device.close)
        served->device.close(served->device.self);
    *served = (struct sl_served_model){0};
}
