#include "runtime/store/served_model.h"

#include <math.h>

#include "runtime/data/image_input.h"
#include "runtime/device/parallel.h"
#include "runtime/store/model_json.h"
#include "runtime/store/model_weights.h"

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

/* Bytes that the model may take where it computes; 0: no limit. */
static uint64_t limit_of(const struct sl_served_model *served)
{
    return served->device.host_memory ? served->options.memory_limit : served->device.memory;
}

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
            "scratch of %d threads %.1f; raise %s or lower --batch-size",
            (double)served->memory / 1e6, (double)options->memory_limit / 1e6, (double)weights / 1e6,
            (double)plan.arena / 1e6, plan.largest, served->device.threads, (double)plan.scratch / 1e6,
            served->device.host_memory ? "--memory-limit" : "--device-memory-limit");
out:
    sl_weights_close(sizes);
    return rc;
}

static int describe(struct sl_served_model *served)
{
    int rc = SL_OK;
    struct sl_image_input input;
    SL_TRY(sl_model_describe(served->file, &served->model));
    SL_TRY(sl_model_pixels(&served->model, &served->pixels));
    SL_TRY(sl_image_input_open(&served->pixels, served->options.batch_size, &input));
out:
    return rc;
}

/* Everything about the model is known before its memory is taken. */
static int open_plan(struct sl_served_model *served)
{
    int rc = SL_OK;
    const struct sl_served_options *options = &served->options;
    const struct sl_plan_options plan = {.batch = options->batch_size,
                                         .precision = options->precision,
                                         .memory_limit = limit_of(served),
                                         .rows = &served->rows};
    SL_TRY(count_memory(served, &plan));
    SL_TRY(refuse_nan(served->file));
    SL_TRY(sl_weights_open(served->model.graph, &served->device, false, &served->weights));
    SL_TRY(sl_weights_load(served->weights, served->file));
    SL_TRY(sl_plan_open(served->model.graph, served->weights, &plan, &served->plan));
    SL_TRY(sl_plan_prepare(served->plan));
out:
    return rc;
}

static int open_device(struct sl_served_model *served)
{
    if (!served->options.device)
        return sl_device_cpu_open(served->options.threads, &served->device);
    served->device = *served->options.device;
    return SL_OK;
}

/* `status`: of what came before, which the other ranks have to know. */
static int choose_rows(struct sl_served_model *served, int status, sl_tell_fn *report, void *self)
{
    const struct sl_served_options *o = &served->options;
    const struct sl_choose_options options = {
        .policy = o->kernels,
        .precision = o->precision,
        .group = o->group,
        .graph = served->model.graph,
        .batch = o->batch_size,
        .memory_limit = limit_of(served),
        .say = report,
        .self = self,
    };
    return sl_choose_rows(&options, status, &served->device, &served->rows);
}

int sl_served_model_open(const char *path, const struct sl_served_options *options, sl_tell_fn *report, void *self,
                         struct sl_served_model *served)
{
    *served = (struct sl_served_model){.options = *options};
    int rc = open_device(served);
    if (rc == SL_OK)
        rc = sl_store_open_model(path, report, self, &served->file);
    if (rc == SL_OK && (rc = describe(served)) != SL_OK)
        sl_fail_prefix(rc, "%s", path);
    SL_TRY(choose_rows(served, rc, report, self));
    if ((rc = open_plan(served)) != SL_OK)
        sl_fail_prefix(rc, "%s", path);
out:
    return rc;
}

/* The images may take what the model has left. */
static int keep_limit(const struct sl_served_model *served, const struct sl_dataset *dataset,
                      struct sl_loader_options *options)
{
    struct sl_loader_memory images;
    const uint64_t limit = served->options.memory_limit;
    const int rc = sl_loader_measure(dataset, options, &images);
    if (rc != SL_OK || !limit)
        return rc;
    const uint64_t model = served->device.host_memory ? served->memory : 0, taken = model + images.buffers;
    if (taken + images.shards > limit)
        return sl_fail(SL_UNAVAILABLE,
                       "the memory limit is %.1f MB: the model takes %.1f, loading %.1f and compressed shards %.1f; "
                       "raise --memory-limit or lower --batch-size",
                       (double)limit / 1e6, (double)model / 1e6, (double)images.buffers / 1e6,
                       (double)images.shards / 1e6);
    options->unpacked_limit = limit - taken;
    return SL_OK;
}

int sl_served_model_load(const struct sl_served_model *served, const struct sl_dataset *dataset, const char *split,
                         bool skip_bad_images, const struct sl_group *group, struct sl_loader **loader)
{
    int rc = SL_OK;
    struct sl_loader_options options = {
        .split = split,
        .batch_size = served->options.batch_size,
        .pixels = served->pixels,
        .skip_bad_images = skip_bad_images,
        .rank = sl_group_rank(group),
        .world = sl_group_size(group),
    };
    *loader = NULL;
    SL_TRY(keep_limit(served, dataset, &options));
    SL_TRY(sl_loader_open(dataset, &options, loader));
out:
    return rc;
}

void sl_served_model_close(struct sl_served_model *served)
{
    sl_plan_close(served->plan);
    sl_selection_close(&served->rows);
    sl_weights_close(served->weights);
    sl_model_close(&served->model);
    sl_safetensors_close(served->file);
    if (served->device.close && !served->options.device)
        served->device.close(served->device.self);
    *served = (struct sl_served_model){0};
}
