#include "runtime/session.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "runtime/clock.h"
#include "runtime/evaluate.h"
#include "runtime/machine.h"
#include "runtime/parallel.h"

static uint64_t weight_bytes(const struct sl_session *session)
{
    const uint64_t arrays = 2 + (uint64_t)session->updater->slots + (session->update ? 1 : 0);
    return ((uint64_t)session->weights->trained * arrays + (uint64_t)session->weights->state) * sizeof(float);
}

static uint64_t image_bytes(const struct sl_session *session, const struct sl_loader *loader)
{
    const uint64_t side = (uint64_t)session->dataset->image_size;
    return loader && sl_loader_cached(loader) ? sl_loader_samples(loader) * side * side * 3 : 0;
}

struct sl_session_memory sl_session_memory(const struct sl_session *session)
{
    return (struct sl_session_memory){
        .weights = weight_bytes(session),
        .training = sl_plan_arena_bytes(session->training),
        .inference = sl_plan_arena_bytes(session->inference),
        .images = image_bytes(session, session->train) + image_bytes(session, session->val),
    };
}

/* Four fifths of what the machine, or this process's control group, has left. */
static uint64_t default_limit(void)
{
    struct sl_machine machine;
    sl_machine_read(&machine);
    const uint64_t group = machine.memory_limit, available = machine.memory_available;
    return (group && group < available ? group : available) / 5 * 4;
}

/* What the limit leaves after `taken`; at least 1, since 0 means no limit. */
static uint64_t left(const struct sl_session *session, uint64_t taken)
{
    const uint64_t limit = session->options.memory_limit;
    return limit > taken ? limit - taken : 1;
}

static int open_plans(struct sl_session *s)
{
    int rc = SL_OK;
    struct sl_plan_options options = {.batch = s->options.batch_size, .training = true};
    options.memory_limit = left(s, weight_bytes(s));
    SL_TRY(sl_plan_open(s->model.graph, s->weights, &options, &s->training));
    options.training = false;
    options.memory_limit = left(s, weight_bytes(s) + sl_plan_arena_bytes(s->training));
    SL_TRY(sl_plan_open(s->model.graph, s->weights, &options, &s->inference));
out:
    return rc;
}

static int open_loaders(struct sl_session *s)
{
    int rc = SL_OK;
    struct sl_session_memory memory = {0};
    struct sl_loader_options options = {
        .split = "train",
        .batch_size = s->options.batch_size,
        .seed = s->options.seed,
        .shuffle = true,
        .flip = s->options.flip,
        .crop_padding = s->options.crop_padding,
        .threads = s->options.loader_threads,
        .skip_bad_images = s->options.skip_bad_images,
    };
    SL_TRY(sl_model_pixels(&s->model, &options.pixels));
    memory = sl_session_memory(s);
    options.cache_bytes = left(s, memory.weights + memory.training + memory.inference);
    SL_TRY(sl_loader_open(s->dataset, &options, &s->train));
    if (!sl_dataset_split(s->dataset, "val"))
        goto out;
    options.split = "val";
    options.shuffle = options.flip = false;
    options.crop_padding = 0;
    memory = sl_session_memory(s);
    options.cache_bytes = left(s, memory.weights + memory.training + memory.inference + memory.images);
    SL_TRY(sl_loader_open(s->dataset, &options, &s->val));
out:
    return rc;
}

static int open_model(struct sl_session *s, sl_build_fn *build, void *self)
{
    int rc = SL_OK;
    SL_TRY(sl_dataset_open(s->options.data, &s->dataset));
    SL_TRY(build(self, s->dataset->image_size, (int32_t)s->dataset->class_count, &s->model.graph));
    s->model.range = s->options.range;
    SL_TRY(sl_model_take_dataset(&s->model, s->dataset));
    SL_TRY(sl_weights_open(s->model.graph, &s->device, true, &s->weights));
    SL_TRY(sl_weights_init(s->weights, s->options.seed));
    SL_TRY(sl_updater_open(s->weights, &s->options.updater, &s->updater));
out:
    return rc;
}

int sl_session_open(const struct sl_session_options *options, sl_build_fn *build, void *self,
                    struct sl_session *session)
{
    int rc = SL_OK;
    *session = (struct sl_session){.options = *options};
    if (!options->memory_limit)
        session->options.memory_limit = default_limit();
    SL_TRY(sl_device_cpu_open(options->threads, &session->device));
    SL_TRY(open_model(session, build, self));
    SL_TRY(open_plans(session));
    SL_TRY(open_loaders(session));
out:
    if (rc != SL_OK)
        sl_session_close(session);
    return rc;
}

void sl_session_close(struct sl_session *session)
{
    sl_loader_close(session->train);
    sl_loader_close(session->val);
    sl_plan_close(session->training);
    sl_plan_close(session->inference);
    sl_updater_close(session->updater);
    sl_weights_close(session->weights);
    sl_model_close(&session->model);
    sl_dataset_close(session->dataset);
    if (session->update)
        session->device.free(session->device.self, session->update);
    if (session->device.close)
        session->device.close(session->device.self);
    *session = (struct sl_session){0};
}

/* Room for what hooks.update is handed, once somebody asks. */
static int reserve_update(struct sl_session *s)
{
    void *memory = NULL;
    if (!s->hooks.update || s->update)
        return SL_OK;
    const int rc = s->device.alloc(s->device.self, (size_t)s->weights->trained * sizeof(float), &memory);
    s->update = memory;
    return rc;
}

static void advance(struct sl_session *s, const struct sl_session_step *step)
{
    struct sl_position *p = &s->position;
    p->iteration++;
    p->samples += (uint64_t)step->samples;
    p->loss_sum += step->loss * step->samples;
    p->index++;
}

/* The loader leaves out batches without a readable image: what it hands over may lie ahead of the position. */
static int next_batch(struct sl_session *s)
{
    int rc = SL_OK;
    const struct sl_position *p = &s->position;
    const struct sl_batch *next = s->batch;
    if (!next)
        SL_TRY(sl_loader_next(s->train, &next));
    s->batch = next;
    if (s->batch->epoch < p->epoch || (s->batch->epoch == p->epoch && s->batch->index < p->index))
        SL_FAIL(SL_INTERNAL,
                "the loader is at batch %" PRIu64 " of epoch %" PRIu64 ", training at %" PRIu64 " of %" PRIu64,
                s->batch->index, s->batch->epoch, p->index, p->epoch);
out:
    return rc;
}

int sl_session_step(struct sl_session *session, struct sl_session_step *step)
{
    int rc = SL_OK;
    const double start = sl_clock();
    struct sl_train_result result = {0};
    const struct sl_position *p = &session->position;
    SL_TRY(reserve_update(session));
    SL_TRY(next_batch(session));
    const struct sl_batch *batch = session->batch;
    const bool here = batch->epoch == p->epoch && batch->index == p->index;
    *step = (struct sl_session_step){
        .epoch = p->epoch,
        .index = p->index,
        .iteration = p->iteration,
        .samples = here ? batch->count : 0,
        .waited = here ? batch->waited : 0.0,
        .rate = sl_schedule_rate(&session->options.schedule, p->epoch),
    };
    if (here) {
        const struct sl_train_step train = {batch->images, batch->labels,         batch->count,
                                            step->rate,    session->options.seed, p->iteration};
        SL_TRY(sl_train(session->training, session->updater, &train, &session->hooks, session->update, &result));
        session->batch = NULL;
    }
    step->loss = result.loss;
    step->score = result.score;
    step->seconds = sl_clock() - start;
    advance(session, step);
out:
    return rc;
}

bool sl_session_epoch_trained(const struct sl_session *session)
{
    return session->position.index >= sl_loader_batches(session->train);
}

void sl_session_next_epoch(struct sl_session *session)
{
    struct sl_position *p = &session->position;
    *p = (struct sl_position){.epoch = p->epoch + 1, .iteration = p->iteration};
}

int sl_session_validate(struct sl_session *session, struct sl_metrics *metrics, const volatile int *stop)
{
    sl_metrics_reset(metrics);
    return sl_evaluate(session->inference, session->val, metrics, NULL, NULL, stop);
}
