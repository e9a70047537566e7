/* starling-predict: the most probable classes of images, by key. The lines come in the order of the images. */
#include <stdio.h>
#include <string.h>

#include "apps/cli.h"
#include "apps/cli_device.h"
#include "apps/cli_output.h"
#include "apps/predict_files.h"
#include "apps/predict_list.h"
#include "runtime/plan/precision.h"
#include "runtime/train/evaluate.h"
#include "runtime/report/prediction.h"
#include "runtime/store/served_model.h"

struct settings {
    const char *model, *list, *data, *split, *output, *on_bad_image, *kernels;
    struct cli_device_options device;
    int64_t top, batch_size, threads;
    uint64_t memory_limit;
    bool json, zeros;
    struct cli_rest images;
};

struct prediction {
    struct cli_output output;
    struct predict_list *list;
    struct sl_device device;
    struct sl_served_model served;
    struct sl_prediction_writer writer;
};

static int check_settings(const struct settings *s)
{
    int streams = 0;
    for (int i = 0; i < s->images.count; i++)
        streams += !strcmp(s->images.at[i], "-");
    if ((s->images.count > 0) + (s->list != NULL) + (s->data != NULL) != 1)
        return sl_fail(SL_USAGE, "give either images, or --list FILE, or --data DIR");
    if (s->zeros && !s->list)
        return sl_fail(SL_USAGE, "--null needs --list");
    if (streams > 1)
        return sl_fail(SL_USAGE, "standard input (-) holds one image, and is named %d times", streams);
    return cli_device_check(&s->device);
}

/* The outputs and the list before the model: what cannot work is said at once. */
static int open_all(const struct settings *s, struct prediction *p)
{
    int rc = SL_OK;
    char line[CLI_DEVICE_LINE];
    const struct sl_served_options options = {.device = &p->device,
                                              .batch_size = (int32_t)s->batch_size,
                                              .memory_limit = s->memory_limit,
                                              .precision = sl_precision_find(s->device.precision),
                                              .kernels = sl_policy_find(s->kernels)};
    SL_TRY(cli_output_open(s->output, &p->output));
    if (s->list)
        SL_TRY(predict_list_open(s->list, s->zeros, &p->list));
    SL_TRY(cli_device_open(&s->device, NULL, (int)s->threads, &p->device, line));
    if (cli_device_is_news(&s->device, &p->device))
        cli_say(NULL, line);
    SL_TRY(sl_served_model_open(s->model, &options, cli_say, NULL, &p->served));
    const int32_t classes = (int32_t)p->served.model.class_count, top = s->top < classes ? (int32_t)s->top : classes;
    p->writer = (struct sl_prediction_writer){p->output.to, &p->served.model, top, s->json};
out:
    return rc;
}

static int write_batch(void *self, const struct sl_batch *batch, const float *p, int32_t stride)
{
    struct prediction *prediction = self;
    int rc = SL_OK;
    for (int32_t i = 0; i < batch->count; i++)
        SL_TRY(sl_prediction_write(&prediction->writer, batch->keys[i], p + (size_t)i * (size_t)stride));
    SL_TRY(cli_output_flush(&prediction->output));
out:
    return rc;
}

/* The header is there before anything is waited for. */
static int begin(struct prediction *p)
{
    sl_prediction_begin(&p->writer);
    return cli_output_flush(&p->output);
}

static int predict_dataset(const struct settings *s, struct prediction *p)
{
    int rc = SL_OK;
    struct sl_dataset *dataset = NULL;
    struct sl_loader *loader = NULL;
    SL_TRY(sl_dataset_open(s->data, &dataset));
    SL_TRY(sl_served_model_load(&p->served, dataset, s->split, !strcmp(s->on_bad_image, "skip"), NULL, &loader));
    SL_TRY(begin(p));
    SL_TRY(sl_evaluate(p->served.plan, loader, NULL, NULL, write_batch, p, NULL));
    if (sl_loader_skipped(loader))
        fprintf(stderr, "%llu unreadable images left out\n", (unsigned long long)sl_loader_skipped(loader));
out:
    sl_loader_close(loader);
    sl_dataset_close(dataset);
    return rc;
}

static int predict_files(const struct settings *s, struct prediction *p)
{
    const struct predict_files files = {
        .served = &p->served,
        .batch_size = (int32_t)s->batch_size,
        .paths = s->images.at,
        .path_count = (size_t)s->images.count,
        .list = p->list,
        .skip_bad_images = !strcmp(s->on_bad_image, "skip"),
        .visit = write_batch,
        .self = p,
    };
    const int rc = begin(p);
    return rc == SL_OK ? predict_files_run(&files) : rc;
}

static int run(const struct settings *s)
{
    int rc = SL_OK;
    struct prediction p = {0};
    SL_TRY(check_settings(s));
    SL_TRY(open_all(s, &p));
    SL_TRY(s->data ? predict_dataset(s, &p) : predict_files(s, &p));
    SL_TRY(cli_output_commit(&p.output));
out:
    cli_output_close(&p.output);
    predict_list_close(p.list);
    sl_served_model_close(&p.served);
    if (p.device.close)
        p.device.close(p.device.self);
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
        {"model", "FILE|RUN", "A model.safetensors, a run or a checkpoint folder", .kind = CLI_TEXT, .value = &s.model,
         .required = true},
        {"list", "FILE", "Predict the images named in FILE, one path a line; - is standard input, answered as it comes",
         .kind = CLI_TEXT, .value = &s.list},
        {"null", NULL, "The paths of --list end with a zero byte, as after find -print0", .kind = CLI_FLAG,
         .value = &s.zeros},
        {"data", "DIR", "Predict a prepared data set", .kind = CLI_TEXT, .value = &s.data},
        {"split", "NAME", "Which part of the data set (default val)", .kind = CLI_TEXT, .value = &s.split},
        {"top", "N", "Classes a line (default 5)", .kind = CLI_INT, .value = &s.top, .least = 1, .most = 1000},
        {"output", "FILE", "Write there, whole or not at all (default: standard output)", .kind = CLI_TEXT,
         .value = &s.output},
        {"json", NULL, "One JSON object a line instead of a table", .kind = CLI_FLAG, .value = &s.json},
        {"batch-size", "N", "Images at a time (default 32)", .kind = CLI_INT, .value = &s.batch_size, .least = 1,
         .most = 4096},
        {"threads", "N", "Threads of compute (default: as many as this process may use)", .kind = CLI_INT,
         .value = &s.threads, .least = 1, .most = 1024},
        {"kernels", "NAME", CLI_KERNELS_HELP, .kind = CLI_CHOICE, .value = &s.kernels, .choices = SL_POLICY_CHOICES},
        CLI_DEVICE_OPTIONS(&s.device),
        {"memory-limit", "BYTES", "For all that is allocated, as 512M or 2GB (default: none)", .kind = CLI_BYTES,
         .value = &s.memory_limit, .least = 1, .most = 1e15},
        {"on-bad-image", "fail|skip", "What to do with an unreadable image (default fail: the lines before it stand)",
         .kind = CLI_CHOICE, .value = &s.on_bad_image, .choices = "fail|skip"},
        {0}};
    const struct cli_program program = {.summary = "Predicts the classes of images: one line for each, with the most "
                                                   "probable classes and their probabilities. The image - is standard "
                                                   "input.",
                                        .arguments = "[IMAGE...]",
                                        .options = options};
    cli_parse(&program, argc, argv, &s.images);
    return cli_end(run(&s));
}
