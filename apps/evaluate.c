/* starling-evaluate: everything the metrics know about a model on a data set. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/cli.h"
#include "runtime/clock.h"
#include "runtime/evaluate.h"
#include "runtime/served_model.h"

struct settings {
    const char *data, *model, *split, *confusion, *on_bad_image;
    int64_t top, batch_size, threads;
    uint64_t memory_limit;
};

struct evaluation {
    struct sl_served_model served;
    struct sl_dataset *dataset;
    struct sl_loader *loader;
    struct sl_metrics metrics;
};

static void say(void *self, const char *line)
{
    (void)self;
    fprintf(stderr, "%s\n", line);
}

/* A model and a data set belong together if they list the same classes in the same order. */
static int check_classes(const struct sl_model *model, const struct sl_dataset *dataset)
{
    if (model->class_count != dataset->class_count)
        return sl_fail(SL_BAD_CONFIG, "the model has %zu classes and the data set %zu", model->class_count,
                       dataset->class_count);
    for (size_t i = 0; i < model->class_count; i++)
        if (strcmp(model->classes[i].id, dataset->classes[i].id))
            return sl_fail(SL_BAD_CONFIG, "class %zu is %s in the model and %s in the data set", i,
                           model->classes[i].id, dataset->classes[i].id);
    if (model->graph->layers[0].shape.h != dataset->image_size)
        return sl_fail(SL_BAD_CONFIG, "the model sees images of %d pixels and the data set has %d",
                       model->graph->layers[0].shape.h, dataset->image_size);
    return SL_OK;
}

/* The images may take what the model has left. */
static int keep_limit(const struct settings *s, const struct evaluation *e, struct sl_loader_options *options)
{
    struct sl_loader_memory images;
    const int rc = sl_loader_measure(e->dataset, options, &images);
    if (rc != SL_OK || !s->memory_limit)
        return rc;
    const uint64_t taken = e->served.memory + images.buffers;
    if (taken + images.shards > s->memory_limit)
        return sl_fail(SL_UNAVAILABLE,
                       "the memory limit is %.1f MB: the model takes %.1f, loading %.1f and compressed shards %.1f; "
                       "raise --memory-limit or lower --batch-size",
                       (double)s->memory_limit / 1e6, (double)e->served.memory / 1e6, (double)images.buffers / 1e6,
                       (double)images.shards / 1e6);
    options->unpacked_limit = s->memory_limit - taken;
    return SL_OK;
}

static int open_all(const struct settings *s, struct evaluation *e)
{
    int rc = SL_OK;
    const struct sl_plan_options plan = {.batch = (int32_t)s->batch_size, .memory_limit = s->memory_limit};
    const struct sl_model *model = &e->served.model;
    SL_TRY(sl_served_model_open(s->model, (int)s->threads, &plan, say, NULL, &e->served));
    SL_TRY(sl_dataset_open(s->data, &e->dataset));
    SL_TRY(check_classes(model, e->dataset));
    /* The statistics are the model's, also on another data set. */
    memcpy(e->dataset->mean, model->mean, sizeof model->mean);
    memcpy(e->dataset->deviation, model->deviation, sizeof model->deviation);
    struct sl_loader_options loader = {
        .split = s->split,
        .batch_size = (int32_t)s->batch_size,
        .range = model->range,
        .skip_bad_images = !strcmp(s->on_bad_image, "skip"),
    };
    SL_TRY(keep_limit(s, e, &loader));
    SL_TRY(sl_loader_open(e->dataset, &loader, &e->loader));
    SL_TRY(sl_metrics_open(&e->metrics, (int32_t)model->class_count, (int32_t)s->top));
out:
    return rc;
}

static void close_all(struct evaluation *e)
{
    sl_metrics_close(&e->metrics);
    sl_loader_close(e->loader);
    sl_dataset_close(e->dataset);
    sl_served_model_close(&e->served);
}

static int report(const struct settings *s, const struct evaluation *e, double seconds)
{
    int rc = SL_OK;
    const struct sl_model *model = &e->served.model;
    const char **names = calloc(model->class_count, sizeof *names);
    if (!names)
        SL_FAIL(SL_SYSTEM, "out of memory for the report");
    for (size_t i = 0; i < model->class_count; i++)
        names[i] = model->classes[i].id;
    SL_TRY(sl_metrics_print(&e->metrics, names, stdout));
    if (s->confusion)
        SL_TRY(sl_metrics_write_confusion(&e->metrics, names, s->confusion));
    if (sl_loader_skipped(e->loader))
        fprintf(stderr, "%llu unreadable images left out\n", (unsigned long long)sl_loader_skipped(e->loader));
    fprintf(stderr, "%.1f images/s\n", seconds > 0 ? (double)e->metrics.samples / seconds : 0.0);
out:
    free(names);
    return rc;
}

static int run(const struct settings *s)
{
    int rc = SL_OK;
    struct evaluation e = {0};
    SL_TRY(open_all(s, &e));
    const double start = sl_clock();
    SL_TRY(sl_evaluate(e.served.plan, e.loader, &e.metrics, NULL, NULL, NULL));
    SL_TRY(report(s, &e, sl_clock() - start));
out:
    close_all(&e);
    return rc;
}

int main(int argc, char **argv)
{
    struct settings s = {.split = "val", .on_bad_image = "fail", .top = 5, .batch_size = 32};
    const struct cli_option options[] = {
        {"data", "DIR", "The prepared data set", .kind = CLI_TEXT, .value = &s.data, .required = true},
        {"model", "FILE|RUN", "A model.safetensors, a run or a checkpoint folder", .kind = CLI_TEXT, .value = &s.model,
         .required = true},
        {"split", "NAME", "Which part of the data set (default val)", .kind = CLI_TEXT, .value = &s.split},
        {"top", "N", "Also count the true class among the N most probable (default 5)", .kind = CLI_INT,
         .value = &s.top, .least = 1, .most = 1000},
        {"confusion", "FILE.csv", "Write the confusion matrix", .kind = CLI_TEXT, .value = &s.confusion},
        {"batch-size", "N", "Images at a time (default 32)", .kind = CLI_INT, .value = &s.batch_size, .least = 1,
         .most = 4096},
        {"threads", "N", "Threads of compute (default: as many as this process may use)", .kind = CLI_INT,
         .value = &s.threads, .least = 1, .most = 1024},
        {"memory-limit", "BYTES", "For all that is allocated, as 512M or 2GB (default: none)", .kind = CLI_BYTES,
         .value = &s.memory_limit, .least = 1, .most = 1e15},
        {"on-bad-image", "fail|skip", "What to do with an unreadable image (default fail)", .kind = CLI_CHOICE,
         .value = &s.on_bad_image, .choices = "fail|skip"},
        {0}};
    const struct cli_program program = {
        .summary = "Evaluates a model on a prepared data set: accuracy, top-N, precision, recall, F1, confusion.",
        .options = options};
    struct cli_rest rest;
    cli_parse(&program, argc, argv, &rest);
    return cli_end(run(&s));
}
