/* starling-predict: the most probable classes of images, by key. The lines come in the order of the images. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/cli.h"
#include "apps/predict_files.h"
#include "runtime/evaluate.h"
#include "runtime/prediction.h"
#include "runtime/served_model.h"

struct settings {
    const char *model, *list, *data, *split, *output, *on_bad_image;
    int64_t top, batch_size, threads;
    bool json;
    struct cli_rest images;
};

struct prediction {
    struct sl_served_model served;
    struct sl_prediction_writer writer;
    char *text; /* of --output, written when it is whole */
    size_t length;
};

static void say(void *self, const char *line)
{
    (void)self;
    fprintf(stderr, "%s\n", line);
}

static int open_model(const struct settings *s, struct prediction *p)
{
    int rc = SL_OK;
    const struct sl_plan_options plan = {.batch = (int32_t)s->batch_size};
    const struct sl_model *model = &p->served.model;
    SL_TRY(sl_served_model_open(s->model, (int)s->threads, &plan, say, NULL, &p->served));
    const int32_t classes = (int32_t)model->class_count;
    p->writer = (struct sl_prediction_writer){stdout, model, s->top < classes ? (int32_t)s->top : classes, s->json};
    if (s->output && !(p->writer.to = open_memstream(&p->text, &p->length)))
        SL_FAIL(SL_SYSTEM, "out of memory for the predictions");
out:
    return rc;
}

static int write_batch(void *self, const struct sl_batch *batch, const float *p, int32_t stride)
{
    const struct prediction *prediction = self;
    int rc = SL_OK;
    for (int32_t i = 0; i < batch->count && rc == SL_OK; i++)
        rc = sl_prediction_write(&prediction->writer, batch->keys[i], p + (size_t)i * (size_t)stride);
    return rc;
}

static int predict_dataset(const struct settings *s, struct prediction *p)
{
    int rc = SL_OK;
    struct sl_dataset *dataset = NULL;
    struct sl_loader *loader = NULL;
    const struct sl_model *model = &p->served.model;
    const struct sl_loader_options options = {
        .split = s->split,
        .batch_size = (int32_t)s->batch_size,
        .range = model->range,
        .skip_bad_images = !strcmp(s->on_bad_image, "skip"),
    };
    SL_TRY(sl_dataset_open(s->data, &dataset));
    dataset->image_size = model->graph->layers[0].shape.h;
    memcpy(dataset->mean, model->mean, sizeof model->mean);
    memcpy(dataset->deviation, model->deviation, sizeof model->deviation);
    SL_TRY(sl_loader_open(dataset, &options, &loader));
    SL_TRY(sl_prediction_begin(&p->writer));
    SL_TRY(sl_evaluate(p->served.plan, loader, NULL, write_batch, p, NULL));
out:
    sl_loader_close(loader);
    sl_dataset_close(dataset);
    return rc;
}

static int predict_files(const struct settings *s, struct prediction *p)
{
    const struct predict_files files = {
        .plan = p->served.plan,
        .model = &p->served.model,
        .batch_size = (int32_t)s->batch_size,
        .paths = s->images.at,
        .path_count = (size_t)s->images.count,
        .list = s->list,
        .skip_bad_images = !strcmp(s->on_bad_image, "skip"),
        .visit = write_batch,
        .self = p,
    };
    const int rc = sl_prediction_begin(&p->writer);
    return rc == SL_OK ? predict_files_run(&files) : rc;
}

static int finish(const struct settings *s, struct prediction *p)
{
    if (!s->output)
        return SL_OK;
    if (fflush(p->writer.to) != 0)
        return sl_fail(SL_SYSTEM, "out of memory for the predictions");
    return sl_write_atomically(s->output, p->text, p->length);
}

static int run(const struct settings *s)
{
    int rc = SL_OK;
    struct prediction p = {0};
    if ((s->images.count > 0) + (s->list != NULL) + (s->data != NULL) != 1)
        SL_FAIL(SL_USAGE, "give either images, or --list FILE, or --data DIR");
    SL_TRY(open_model(s, &p));
    SL_TRY(s->data ? predict_dataset(s, &p) : predict_files(s, &p));
    SL_TRY(finish(s, &p));
out:
    if (s->output && p.writer.to)
        fclose(p.writer.to);
    free(p.text);
    sl_served_model_close(&p.served);
    return rc;
}

int main(int argc, char **argv)
{
    struct settings s = {.split = "val", .on_bad_image = "fail", .top = 5, .batch_size = 32};
    const struct cli_option options[] = {
        {"model", "FILE|RUN", "A model.safetensors, a run or a checkpoint folder", .kind = CLI_TEXT, .value = &s.model,
         .required = true},
        {"list", "FILE", "Predict the images named in FILE, one path a line; - is standard input", .kind = CLI_TEXT,
         .value = &s.list},
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
        {"on-bad-image", "fail|skip", "What to do with an unreadable image (default fail)", .kind = CLI_CHOICE,
         .value = &s.on_bad_image, .choices = "fail|skip"},
        {0}};
    const struct cli_program program = {.summary = "Predicts the classes of images: one line for each, with the most "
                                                   "probable classes and their probabilities.",
                                        .arguments = "[IMAGE...]",
                                        .options = options};
    cli_parse(&program, argc, argv, &s.images);
    return cli_end(run(&s));
}
