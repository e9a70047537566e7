#include "runtime/served_model.h"

#include "runtime/parallel.h"

int sl_served_model_open(const char *path, int threads, const struct sl_plan_options *options,
                         sl_store_report_fn *report, void *self, struct sl_served_model *served)
{
    int rc = SL_OK;
    *served = (struct sl_served_model){0};
    SL_TRY(sl_device_cpu_open(threads, &served->device));
    SL_TRY(sl_store_open_model(path, report, self, &served->file));
    SL_TRY(sl_model_load(served->file, &served->device, false, &served->model, &served->weights));
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
