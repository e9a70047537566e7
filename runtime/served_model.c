#include "runtime/served_model.h"

#include <math.h>

#include "runtime/data/image_input.h"
#include "runtime/parallel.h"

/* A maximum may swallow a NaN, so that the answers alone do not tell. */
static int refuse_nan(const struct sl_safetensors *file)
{
    for (size_t i = 0; i < sl_safetensors_count(file); i++) {
        const struct sl_named_tensor *tensor = sl_safetensors_at(file, i);
        size_t floats = tensor->dtype == SL_F32 ? 1 : 0;
        for (int32_t d = 0; d < tensor->rank; d++)
            floats *= (size_t)tensor->shape[d];
        const float *value = tensor->data;
        for (size_t k = 0; k < floats; k++)
            if (isnan(value[k]))
                return sl_fail(SL_NUMERICS, "tensor \"%s\" holds NaN: the model was saved after its training diverged",
                               tensor->name);
    }
    return SL_OK;
}

static int open_plan(const struct sl_served_options *options, struct sl_served_model *served)
{
    int rc = SL_OK;
    struct sl_image_input input;
    const struct sl_plan_options plan = {.batch = options->batch_size, .memory_limit = options->memory_limit};
    SL_TRY(sl_model_load(served->file, &served->device, false, &served->model, &served->weights));
    SL_TRY(sl_model_pixels(&served->model, &served->pixels));
    SL_TRY(sl_image_input_open(&served->pixels, options->batch_size, &input));
    SL_TRY(refuse_nan(served->file));
    SL_TRY(sl_plan_open(served->model.graph, served->weights, &plan, &served->plan));
    SL_TRY(sl_plan_prepare(served->plan));
out:
    return rc;
}

int sl_served_model_open(const char *path, const struct sl_served_options *options, sl_store_report_fn *report,
                         void *self, struct sl_served_model *served)
{
    int rc = SL_OK;
    *served = (struct sl_served_model){0};
    SL_TRY(sl_device_cpu_open(options->threads, &served->device));
    SL_TRY(sl_store_open_model(path, report, self, &served->file));
    if ((rc = open_plan(options, served)) != SL_OK)
        sl_fail_prefix(rc, "%s", path);
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
