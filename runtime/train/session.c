#include "runtime/train/session.h"

#include <stdio.h>
#include <string.h>

#include "runtime/device/machine.h"
#include "runtime/device/parallel.h"
#include "runtime/plan/choose.h"
#include "runtime/train/hold_images.h"
#include "runtime/train/session_rows.h"

/* Four fifths of what the machine, or this process's control groups, have left; 0: that is unknown. */
static uint64_t default_limit(void)
{
    return sl_machine_memory("") / 5 * 4;
}

static struct sl_loader_options loader_options(const struct sl_session *s, bool training)
{
    const struct sl_session_options *o = &s->options;
    return (struct sl_loader_options){
        .split = training ? "train" : "val",
        .batch_size = o->batch_size,
        .seed = o->seed,
        .shuffle = training,
        .flip = training && o->flip,
        .crop_padding = training ? o->crop_padding : 0,
        .pixels = s->pixels,
        .threads = o->loader_threads,
        .skip_bad_images = o->skip_bad_images,
        .rank = sl_group_rank(o->group),
        .world = sl_group_size(o->group),
    };
}

static bool has_val(const struct sl_session *s)
{
    return sl_dataset_split(s->dataset, "val") != NULL;
}

static struct sl_plan_options training_options(const struct sl_session *s)
{
    return (struct sl_plan_options){
        .batch = s->options.batch_size, .training = true, .precision = s->options.precision, .rows = &s->rows};
}

/* ---- counting first ---- */

/* Where the device computes. */
static uint64_t needed_there(const struct sl_session_memory *m)
{
    return m->weights + m->training + m->inference + m->scratch + m->hooks + m->held;
}

/* In the host's memory. */
static uint64_t needed(const struct sl_session *s)
{
    const struct sl_session_memory *m = &s->memory;
    return (s->device.host_memory ? needed_there(m) : m->hooks) + m->loading + m->shards;
}

static int count_plans(struct sl_session *s, char largest[])
{
    int rc = SL_OK;
    struct sl_weights *sizes = NULL;
    struct sl_plan *outer = NULL;
    struct sl_plan_memory training, inference; /* the second lies within the first, where it fits */
    struct sl_plan_options options = training_options(s);
    SL_TRY(sl_weights_lay_out(s->model.graph, &s->device, &sizes));
    const uint64_t arrays = 2 + (uint64_t)sl_updater_slots(s->options.updater.kind);
    s->memory.weights = ((uint64_t)sizes->trained * arrays + (uint64_t)sizes->state) * sizeof(float);
    options.dry = true;
    SL_TRY(sl_plan_open(s->model.graph, sizes, &options, &outer));
    training = sl_plan_memory_of(outer);
    options.training = false;
    options.within = outer;
    SL_TRY(sl_plan_measure(s->model.graph, sizes, &options, &inference));
    s->memory.training = training.arena;
    s->memory.inference = inference.arena;
    s->memory.loading = training.host + inference.host;
    s->memory.scratch = training.scratch > inference.scratch ? training.scratch : inference.scratch;
    memcpy(largest, training.largest, sizeof training.largest);
    if (s->options.hooks_memory)
        s->memory.hooks = s->options.hooks_memory(s->options.hooks_self, &s->device, sizes->trained);
out:
    sl_plan_close(outer);
    sl_weights_close(sizes);
    return rc;
}

static int count_loaders(struct sl_session *s)
{
    for (int training = 1; training >= 0; training--) {
        struct sl_loader_memory memory;
        const struct sl_loader_options options = loader_options(s, training);
        if (!training && !has_val(s))
            continue;
        const int rc = sl_loader_measure(s->dataset, &options, &memory);
        if (rc != SL_OK)
            return rc;
        s->memory.loading += memory.buffers;
        s->memory.shards += memory.shards;
    }
    return SL_OK;
}

static int refuse_memory(const struct sl_session *s, const char *largest)
{
    const struct sl_session_memory *m = &s->memory;
    char exchange[48] = "";
    if (m->hooks)
        snprintf(exchange, sizeof exchange, ", exchange %.1f", (double)m->hooks / 1e6);
    if (!s->device.host_memory)
        return sl_fail(SL_UNAVAILABLE,
                       "this run needs %.1f MB of memory beside that of %s and the limit is %.1f MB: loading %.1f, "
                       "compressed shards %.1f%s; raise --memory-limit or lower --batch-size",
                       (double)needed(s) / 1e6, s->device.name, (double)s->options.memory_limit / 1e6,
                       (double)m->loading / 1e6, (double)m->shards / 1e6, exchange);
    return sl_fail(SL_UNAVAILABLE,
                   "this run needs %.1f MB of memory and the limit is %.1f MB: weights %.1f, training %.1f (largest: "
                   "%s), validation %.1f, scratch of %d threads %.1f, loading %.1f, compressed shards %.1f%s; raise "
                   "--memory-limit or lower --batch-size",
                   (double)needed(s) / 1e6, (double)s->options.memory_limit / 1e6, (double)m->weights / 1e6,
                   (double)m->training / 1e6, largest, (double)m->inference / 1e6, s->device.threads,
                   (double)m->scratch / 1e6, (double)m->loading / 1e6, (double)m->shards / 1e6, exchange);
}

static int refuse_device_memory(const struct sl_session *s, const char *largest)
{
    const struct sl_session_memory *m = &s->memory;
    return sl_fail(SL_UNAVAILABLE,
                   "this run needs %.1f MB of the memory of %s and may take %.1f MB there: weights %.1f, training %.1f "
                   "(largest: %s), validation %.1f, scratch %.1f, exchange %.1f; raise --device-memory-limit or lower "
                   "--batch-size",
                   (double)needed_there(m) / 1e6, s->device.name, (double)s->device.memory / 1e6,
                   (double)m->weights / 1e6, (double)m->training / 1e6, largest, (double)m->inference / 1e6,
                   (double)m->scratch / 1e6, (double)m->hooks / 1e6);
}

static int count_memory(struct sl_session *s)
{
    int rc = SL_OK;
    char largest[sizeof((struct sl_plan_memory *)NULL)->largest];
    const uint64_t limit = s->options.memory_limit, there = s->device.memory;
    SL_TRY(count_plans(s, largest));
    SL_TRY(count_loaders(s));
    if (limit && needed(s) > limit)
        rc = refuse_memory(s, largest);
    else if (there && needed_there(&s->memory) > there)
        rc = refuse_device_memory(s, largest);
out:
    return rc;
}

/* ---- opening ---- */

static int open_model(struct sl_session *s, sl_build_fn *build, void *self)
{
    int rc = SL_OK;
    SL_TRY(sl_dataset_open(s->options.data, &s->dataset));
    SL_TRY(build(self, s->dataset->pixels.size, (int32_t)s->dataset->class_count, &s->model.graph));
    s->model.pixels.range = s->options.range;
    s->model.pixels.fast_decode = s->options.fast_decode;
    SL_TRY(sl_model_take_dataset(&s->model, s->dataset));
    SL_TRY(sl_model_pixels(&s->model, &s->pixels));
out:
    return rc;
}

static int open_weights(struct sl_session *s)
{
    int rc = SL_OK;
    SL_TRY(sl_weights_open(s->model.graph, &s->device, true, &s->weights));
    SL_TRY(sl_weights_init(s->weights, s->options.seed));
    SL_TRY(sl_updater_open(s->weights, &s->options.updater, &s->updater));
out:
    return rc;
}

static int open_plans(struct sl_session *s)
{
    int rc = SL_OK;
    struct sl_plan_options options = training_options(s);
    SL_TRY(sl_plan_open(s->model.graph, s->weights, &options, &s->training));
    options.training = false;
    options.within = s->training;
    SL_TRY(sl_plan_open(s->model.graph, s->weights, &options, &s->inference));
out:
    return rc;
}

static int open_device(struct sl_session *s)
{
    if (!s->options.device)
        return sl_device_cpu_open(s->options.threads, &s->device);
    s->device = *s->options.device;
    return SL_OK;
}

/* `status`: of what came before, which the other ranks have to know. */
static int choose_rows(struct sl_session *s, int status)
{
    const struct sl_session_options *o = &s->options;
    const struct sl_choose_options options = {
        .policy = o->kernels,
        .precision = o->precision,
        .group = o->group,
        .graph = s->model.graph,
        .batch = o->batch_size,
        .training = true,
        .memory_limit = s->device.host_memory ? o->memory_limit : s->device.memory,
        .record = o->from ? sl_session_recorded_rows(o->from, sl_group_rank(o->group)) : NULL,
        .say = o->say,
        .self = o->say_self,
    };
    return sl_choose_rows(&options, status, &s->device, &s->rows);
}

/* A loader with what the limit leaves for its compressed shards and its cache. */
static int open_loader(struct sl_session *s, bool training, struct sl_loader **loader)
{
    int rc = SL_OK;
    struct sl_session_memory *m = &s->memory;
    struct sl_loader_memory memory;
    struct sl_loader_options options = loader_options(s, training);
    SL_TRY(sl_loader_measure(s->dataset, &options, &memory));
    m->shards -= memory.shards; /* what they are comes in its place */
    if (s->options.memory_limit) {
        const uint64_t taken = needed(s) + m->images;
        options.cache_bytes = s->options.memory_limit > taken ? s->options.memory_limit - taken : 1;
        options.unpacked_limit = options.cache_bytes;
    }
    SL_TRY(sl_loader_open(s->dataset, &options, loader));
    const uint64_t side = (uint64_t)s->dataset->pixels.size;
    m->shards += sl_loader_unpacked(*loader);
    m->images += sl_loader_cached(*loader) ? sl_loader_samples(*loader) * side * side * 3 : 0;
out:
    return rc;
}

/* Of the memory of the device; no limit is known of one that does not say. A part stays free: a smaller batch may want
 * more scratch. */
static uint64_t left_there(const struct sl_session *s)
{
    enum { SPARE = 20 };
    const uint64_t there = s->device.memory, taken = needed_there(&s->memory) + there / SPARE;
    if (!there)
        return UINT64_MAX;
    return there > taken ? there - taken : 0;
}

/* What fits, split by split. */
static int hold_images(struct sl_session *s, struct sl_plan *plan, const struct sl_loader *loader, const char *split)
{
    const uint64_t side = (uint64_t)s->dataset->pixels.size;
    const struct sl_hold_images what = {&s->device,         plan, loader, split, side * side * 3, s->options.say,
                                        s->options.say_self};
    uint64_t held;
    if (s->device.host_memory || !loader)
        return SL_OK;
    const int rc = sl_hold_images(&what, left_there(s), &held);
    s->memory.held += held;
    return rc;
}

int sl_session_open(const struct sl_session_options *options, sl_build_fn *build, void *self,
                    struct sl_session *session)
{
    int rc = SL_OK;
    *session = (struct sl_session){.options = *options};
    if (!options->memory_limit)
        session->options.memory_limit = default_limit();
    rc = open_device(session);
    if (rc == SL_OK)
        rc = open_model(session, build, self);
    SL_TRY(choose_rows(session, rc));
    SL_TRY(count_memory(session));
    SL_TRY(open_weights(session));
    SL_TRY(open_plans(session));
    SL_TRY(open_loader(session, true, &session->train));
    if (has_val(session))
        SL_TRY(open_loader(session, false, &session->val));
    SL_TRY(hold_images(session, session->training, session->train, "train"));
    SL_TRY(hold_images(session, session->inference, session->val, "val"));
out:
    if (rc != SL_OK)
        sl_session_close(session);
    return rc;
}

void sl_session_close(struct sl_session *session)
{
    sl_loader_close(session->train);
    sl_loader_close(session->val);
    sl_plan_close(session->inference);
    sl_plan_close(session->training);
    sl_selection_close(&session->rows);
    sl_updater_close(session->updater);
    sl_weights_close(session->weights);
    sl_model_close(&session->model);
    sl_dataset_close(session->dataset);
    if (session->update)
        session->device.free(session->device.self, session->update);
    if (session->device.close && !session->options.device)
        session->device.close(session->device.self);
    *session = (struct sl_session){0};
}
