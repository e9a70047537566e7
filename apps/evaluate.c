/* starling-evaluate: everything the metrics know about a model on a data set. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/cli.h"
#include "apps/cli_device.h"
#include "apps/cli_output.h"
#include "apps/cli_ranks.h"
#include "comm/agree.h"
#include "runtime/base/clock.h"
#include "runtime/base/hash.h"
#include "runtime/report/metrics_json.h"
#include "runtime/report/metrics_report.h"
#include "runtime/plan/precision.h"
#include "runtime/train/evaluate.h"
#include "runtime/store/served_model.h"

struct settings {
    const char *data, *model, *split, *confusion, *on_bad_image, *kernels;
    struct cli_device_options device;
    int64_t top, batch_size, threads;
    uint64_t memory_limit;
    double start_limit;
    bool json;
};

struct evaluation {
    struct cli_output confusion;
    struct sl_device device;
    struct sl_served_model served;
    struct sl_dataset *dataset;
    struct sl_loader *loader;
    struct sl_metrics metrics;
    struct cli_ranks ranks;
};

static bool speaks(const struct evaluation *e)
{
    return sl_group_rank(e->ranks.group) == 0;
}

/* A model and a data set belong together if they list the same classes in the same order. */
static int check_classes(const struct sl_served_model *served, const struct sl_dataset *dataset)
{
    const struct sl_model *model = &served->model;
    if (model->class_count != dataset->class_count)
        return sl_fail(SL_BAD_CONFIG, "the model has %zu classes and the data set %zu", model->class_count,
                       dataset->class_count);
    for (size_t i = 0; i < model->class_count; i++)
        if (strcmp(model->classes[i].id, dataset->classes[i].id))
            return sl_fail(SL_BAD_CONFIG, "class %zu is %s in the model and %s in the data set", i,
                           model->classes[i].id, dataset->classes[i].id);
    if (served->pixels.size != dataset->pixels.size)
        return sl_fail(SL_BAD_CONFIG, "the model takes images of %d pixels a side, the data set holds %d",
                       served->pixels.size, dataset->pixels.size);
    return SL_OK;
}

static int open_output(const struct settings *s, struct evaluation *e)
{
    return s->confusion && speaks(e) ? cli_output_open(s->confusion, &e->confusion) : SL_OK;
}

static int open_device(const struct settings *s, struct evaluation *e)
{
    int rc = SL_OK, threads;
    char line[CLI_DEVICE_LINE];
    SL_TRY(cli_ranks_threads(&e->ranks, (int)s->threads, &threads));
    SL_TRY(cli_device_open(&s->device, &e->ranks, threads, &e->device, line));
    if (speaks(e) && cli_device_is_news(&s->device, &e->device))
        cli_say(NULL, line);
out:
    return rc;
}

static int open_model(const struct settings *s, struct evaluation *e)
{
    int rc = SL_OK;
    const struct sl_served_options options = {.batch_size = (int32_t)s->batch_size,
                                              .memory_limit = s->memory_limit,
                                              .precision = sl_precision_find(s->device.precision),
                                              .kernels = sl_policy_find(s->kernels),
                                              .device = &e->device,
                                              .group = e->ranks.group};
    SL_TRY(sl_served_model_open(s->model, &options, speaks(e) ? cli_say : NULL, NULL, &e->served));
    SL_TRY(sl_dataset_open(s->data, &e->dataset));
    SL_TRY(check_classes(&e->served, e->dataset));
    SL_TRY(sl_served_model_load(&e->served, e->dataset, s->split, !strcmp(s->on_bad_image, "skip"), e->ranks.group,
                                &e->loader));
    SL_TRY(sl_metrics_open(&e->metrics, (int32_t)e->served.model.class_count, (int32_t)s->top));
out:
    return rc;
}

/* Counts of different models, or of different images, add up to nothing. */
static int agree(const struct settings *s, const struct evaluation *e)
{
    char data[SL_HASH_DIGITS + 1], model[SL_HASH_DIGITS + 1], batch[16];
    if (sl_group_size(e->ranks.group) == 1)
        return SL_OK;
    sl_hash_text(e->dataset->hash, data);
    sl_hash_text(sl_safetensors_hash(e->served.file), model);
    snprintf(batch, sizeof batch, "%d", e->served.options.batch_size);
    const struct sl_agree_pair pairs[] = {{"version", SL_VERSION}, {"data-set", data},
                                          {"split", s->split},     {"model", model},
                                          {"batch-size", batch},   {"precision", s->device.precision}};
    return sl_agree_pairs(e->ranks.group, pairs, sizeof pairs / sizeof *pairs);
}

static void close_all(struct evaluation *e)
{
    sl_metrics_close(&e->metrics);
    sl_loader_close(e->loader);
    sl_dataset_close(e->dataset);
    sl_served_model_close(&e->served);
    if (e->device.close)
        e->device.close(e->device.self);
    cli_output_close(&e->confusion);
}

/* Unreadable images of all ranks. */
static int count_skipped(const struct evaluation *e, uint64_t *skipped)
{
    struct sl_vote vote = {.samples = sl_loader_skipped(e->loader)};
    const int rc = sl_group_vote(e->ranks.group, &vote);
    *skipped = vote.samples;
    return rc;
}

/* The matrix first: whoever reads the report may stop early. */
static int report(const struct settings *s, struct evaluation *e, uint64_t skipped, double seconds)
{
    int rc = SL_OK;
    const struct sl_model *model = &e->served.model;
    const char **names = calloc(model->class_count, sizeof *names);
    if (!names)
        SL_FAIL(SL_SYSTEM, "out of memory for the report");
    for (size_t i = 0; i < model->class_count; i++)
        names[i] = model->classes[i].id;
    if (s->confusion) {
        sl_metrics_print_confusion(&e->metrics, names, e->confusion.to);
        SL_TRY(cli_output_commit(&e->confusion));
    }
    if (s->json)
        sl_metrics_print_json(&e->metrics, names, stdout);
    else
        sl_metrics_print(&e->metrics, names, stdout);
    if (skipped)
        fprintf(stderr, "%" PRIu64 " unreadable images left out\n", skipped);
    fprintf(stderr, "%.1f images/s\n", seconds > 0 ? (double)e->metrics.samples / seconds : 0.0);
out:
    free(names);
    return rc;
}

static int run(const struct settings *s, struct evaluation *e)
{
    int rc = SL_OK;
    const struct sl_comm_options limits = {.start_limit = s->start_limit};
    uint64_t skipped;
    SL_TRY(cli_device_check(&s->device));
    SL_TRY(cli_ranks_open(&limits, &e->ranks));
    SL_TRY(sl_group_settle(e->ranks.group, open_output(s, e)));
    SL_TRY(sl_group_settle(e->ranks.group, open_device(s, e)));
    SL_TRY(sl_group_settle(e->ranks.group, open_model(s, e)));
    SL_TRY(agree(s, e));
    const double start = sl_clock();
    SL_TRY(sl_evaluate(e->served.plan, e->loader, e->ranks.group, &e->metrics, NULL, NULL, NULL));
    SL_TRY(count_skipped(e, &skipped));
    if (speaks(e))
        rc = report(s, e, skipped, sl_clock() - start);
    rc = sl_group_settle(e->ranks.group, rc);
out:
    return rc;
}

int main(int argc, char **argv)
{
    struct settings s = {.split = "val",
                         .on_bad_image = "fail",
                         .kernels = "shipped",
                         .device = CLI_DEVICE_DEFAULTS,
                         .top = 5,
                         .batch_size = 32};
    const struct cli_option options[] = {
        {"data", "DIR", "The prepared data set", .kind = CLI_TEXT, .value = &s.data, .required = true},
        {"model", "FILE|RUN", "A model.safetensors, a run or a checkpoint folder", .kind = CLI_TEXT, .value = &s.model,
         .required = true},
        {"split", "NAME", "Which part of the data set (default val)", .kind = CLI_TEXT, .value = &s.split},
        {"top", "N", "Also count the true class among the N most probable (default 5)", .kind = CLI_INT,
         .value = &s.top, .least = 1, .most = 1000},
        {"confusion", "FILE.csv", "Write the confusion matrix", .kind = CLI_TEXT, .value = &s.confusion},
        {"json", NULL, "One JSON object instead of the report", .kind = CLI_FLAG, .value = &s.json},
        {"batch-size", "N", "Images at a time (default 32)", .kind = CLI_INT, .value = &s.batch_size, .least = 1,
         .most = 4096},
        {"threads", "N", "Threads of compute (default: as many as this process may use)", .kind = CLI_INT,
         .value = &s.threads, .least = 1, .most = 1024},
        {"kernels", "NAME", CLI_KERNELS_HELP, .kind = CLI_CHOICE, .value = &s.kernels, .choices = SL_POLICY_CHOICES},
        CLI_DEVICE_OPTIONS(&s.device),
        {"memory-limit", "BYTES", "For all that is allocated, as 512M or 2GB (default: none)", .kind = CLI_BYTES,
         .value = &s.memory_limit, .least = 1, .most = 1e15},
        {"start-limit", "SECONDS", "Longest wait for other ranks (default 600)", .kind = CLI_DOUBLE,
         .value = &s.start_limit, .least = 0.1, .most = 1e9},
        {"on-bad-image", "fail|skip", "What to do with an unreadable image (default fail)", .kind = CLI_CHOICE,
         .value = &s.on_bad_image, .choices = "fail|skip"},
        {0}};
    const struct cli_program program = {
        .summary = "Evaluates a model on a prepared data set: accuracy, top-N, precision, recall, F1, confusion.",
        .options = options};
    struct cli_rest rest;
    struct evaluation e = {0};
    cli_parse(&program, argc, argv, &rest);
    const int rc = run(&s, &e);
    close_all(&e);
    return cli_ranks_end(&e.ranks, rc);
}
