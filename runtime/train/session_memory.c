/* What a session is going to take, counted from dataset.json and the network before any of it is allocated. */
#include "runtime/train/session_memory.h"

#include <stdio.h>
#include <string.h>

#include "runtime/device/machine.h"

/* Four fifths of what the machine, or this process's control groups, have left; 0: that is unknown. */
static uint64_t default_limit(void)
{
    return sl_machine_memory("") / 5 * 4;
}

struct sl_loader_options sl_session_loader_options(const struct sl_session *s, bool training)
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

bool sl_session_has_val(const struct sl_session *s)
{
    return sl_dataset_split(s->dataset, "val") != NULL;
}

uint64_t sl_session_memory_needed(const struct sl_session_memory *m)
{
    return m->weights + m->training + m->inference + m->scratch + m->loading + m->shards + m->hooks;
}

static int count_plans(struct sl_session *s, char largest[])
{
    int rc = SL_OK;
    struct sl_weights *sizes = NULL;
    struct sl_plan_memory training, inference;
    struct sl_plan_options options = {.batch = s->options.batch_size, .training = true};
    SL_TRY(sl_weights_lay_out(s->model.graph, &s->device, &sizes));
    const uint64_t arrays = 2 + (uint64_t)sl_updater_slots(s->options.updater.kind);
    s->memory.weights = ((uint64_t)sizes->trained * arrays + (uint64_t)sizes->state) * sizeof(float);
    SL_TRY(sl_plan_measure(s->model.graph, sizes, &options, &training));
    options.training = false;
    SL_TRY(sl_plan_measure(s->model.graph, sizes, &options, &inference));
    s->memory.training = training.arena;
    s->memory.inference = inference.arena;
    s->memory.scratch = training.scratch > inference.scratch ? training.scratch : inference.scratch;
    memcpy(largest, training.largest, sizeof training.largest);
    if (s->options.hooks_memory)
        s->memory.hooks = s->options.hooks_memory(s->options.hooks_self, &s->device, sizes->trained);
out:
    sl_weights_close(sizes);
    return rc;
}

static int count_loaders(struct sl_session *s)
{
    for (int training = 1; training >= 0; training--) {
        struct sl_loader_memory memory;
        const struct sl_loader_options options = sl_session_loader_options(s, training);
        if (!training && !sl_session_has_val(s))
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
    return sl_fail(SL_UNAVAILABLE,
                   "this run needs %.1f MB of memory and the limit is %.1f MB: weights %.1f, training %.1f (largest: "
                   "%s), validation %.1f, scratch of %d threads %.1f, loading %.1f, compressed shards %.1f%s; raise "
                   "--memory-limit or lower --batch-size",
                   (double)sl_session_memory_needed(m) / 1e6, (double)s->options.memory_limit / 1e6,
                   (double)m->weights / 1e6, (double)m->training / 1e6, largest, (double)m->inference / 1e6,
                   s->device.threads, (double)m->scratch / 1e6, (double)m->loading / 1e6, (double)m->shards / 1e6,
                   exchange);
}

int sl_session_count_memory(struct sl_session *s)
{
    int rc = SL_OK;
    char largest[sizeof((struct sl_plan_memory *)NULL)->largest];
    if (!s->options.memory_limit)
        s->options.memory_limit = default_limit();
    SL_TRY(count_plans(s, largest));
    SL_TRY(count_loaders(s));
    if (s->options.memory_limit && sl_session_memory_needed(&s->memory) > s->options.memory_limit)
        rc = refuse_memory(s, largest);
out:
    return rc;
}
