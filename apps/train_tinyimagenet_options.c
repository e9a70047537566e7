#include "apps/train_tinyimagenet_options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/cli.h"
#include "models/models.h"
#include "runtime/parallel.h"

static const struct train_options defaults = {
    .model = "darknet", .backend = "auto", .optimizer = "amsgrad", .schedule = SL_SCHEDULE_DEFAULT, .pixels = "unit",
    .on_bad_image = "fail", .epochs = 10, .batch_size = 32, .seed = 1, .workers = 1, .eval_every = 1, .keep = 3,
    .log_every = 100, .lr = 0, .weight_decay = 1e-4, .momentum = 0.9,
};

static int settle_backend(const struct train_options *o)
{
    if (!strcmp(o->backend, "cuda"))
        return sl_fail(SL_UNAVAILABLE, "this build has no CUDA backend; use --backend cpu or auto");
    return SL_OK;
}

/* From the words of the command line to the session's options. */
static int settle(struct train_options *o)
{
    int rc = SL_OK;
    char constant[32];
    struct sl_session_options *s = &o->session;
    SL_TRY(settle_backend(o));
    if (o->lr_given && o->schedule_given)
        SL_FAIL(SL_USAGE, "--lr is a constant rate and --lr-schedule a changing one: give one of them");
    snprintf(constant, sizeof constant, "%.17g", o->lr);
    *s = (struct sl_session_options){
        .data = o->data, .batch_size = (int32_t)o->batch_size, .seed = (uint64_t)o->seed,
        .threads = o->threads ? (int)o->threads : sl_parallel_default_threads(), .loader_threads = (int)o->workers,
        .updater = sl_updater_defaults(), .flip = o->flip, .crop_padding = (int32_t)o->crop_padding,
        .range = strcmp(o->pixels, "unit") ? SL_PIXELS_STANDARDISED : SL_PIXELS_UNIT,
        .skip_bad_images = !strcmp(o->on_bad_image, "skip"), .memory_limit = o->memory_limit,
    };
    s->updater.kind = (enum sl_updater_kind)sl_updater_find(o->optimizer);
    s->updater.l2 = o->weight_decay;
    s->updater.momentum = o->momentum;
    SL_TRY(sl_schedule_parse(o->lr_given ? constant : o->schedule, &s->schedule));
out:
    return rc;
}

static const char summary[] =
    "Trains a network on a prepared data set with the recipe of the chapter. Stops at SIGINT, SIGTERM or SIGUSR1 with a checkpoint and "
    "exit code 75; --resume goes on as if nothing had happened.";

int train_options_parse(int argc, char **argv, struct train_options *options)
{
    struct train_options *o = options;
    *o = defaults;
    const struct cli_option table[] = {
        {"data", "DIR", "The prepared data set", .kind = CLI_TEXT, .value = &o->data, .required = true},
        {"run", "DIR", "The run's folder: checkpoints, log.jsonl, metrics.csv", .kind = CLI_TEXT, .value = &o->run, .required = true},
        {"resume", NULL, "Go on from the newest good checkpoint, if there is one", .kind = CLI_FLAG, .value = &o->resume},
        {"epochs", "N", "Passes over the data (default 10)", .kind = CLI_INT, .value = &o->epochs, .least = 1, .most = 1e6},
        {"max-steps", "N", "Stop after that many steps in all (default: none)", .kind = CLI_INT, .value = &o->max_steps, .least = 1,
         .most = 1e15},
        {"batch-size", "N", "Images in a step (default 32)", .kind = CLI_INT, .value = &o->batch_size, .least = 1, .most = 4096},
        {"model", "NAME|FILE.json", "The network: darknet, residual or a JSON file (default darknet)", .kind = CLI_TEXT,
         .value = &o->model},
        {"optimizer", "NAME", "amsgrad, adam or sgd (default amsgrad)", .kind = CLI_CHOICE, .value = &o->optimizer,
         .choices = "amsgrad|adam|sgd"},
        {"lr", "RATE", "A constant learning rate", .kind = CLI_DOUBLE, .value = &o->lr, .least = 1e-12, .most = 1e6,
         .given = &o->lr_given},
        {"lr-schedule", "EPOCH:RATE,...", "Learning rate from each epoch on (default " SL_SCHEDULE_DEFAULT ")", .kind = CLI_TEXT,
         .value = &o->schedule, .given = &o->schedule_given},
        {"weight-decay", "L2", "Added to the gradient of weights as L2*w (default 1e-4)", .kind = CLI_DOUBLE,
         .value = &o->weight_decay, .least = 0, .most = 1e3},
        {"momentum", "M", "Of sgd (default 0.9)", .kind = CLI_DOUBLE, .value = &o->momentum, .least = 0, .most = 0.999999},
        {"seed", "N", "Of initial weights, order and augmentation (default 1)", .kind = CLI_INT, .value = &o->seed},
        {"threads", "N", "Threads of compute (default: all cores)", .kind = CLI_INT, .value = &o->threads, .least = 1, .most = 1024},
        {"workers", "N", "Threads that load images (default 1)", .kind = CLI_INT, .value = &o->workers, .least = 1, .most = 256},
        {"backend", "NAME", "auto, cpu or cuda (default auto)", .kind = CLI_CHOICE, .value = &o->backend, .choices = "auto|cpu|cuda"},
        {"eval-every", "EPOCHS", "Validate after every so many epochs; 0: never (default 1)", .kind = CLI_INT, .value = &o->eval_every,
         .least = 0, .most = 1e6},
        {"checkpoint-every", "STEPS", "Save also after every so many steps (default: after each epoch)", .kind = CLI_INT,
         .value = &o->checkpoint_every, .least = 0, .most = 1e15},
        {"keep", "N", "Checkpoints kept (default 3)", .kind = CLI_INT, .value = &o->keep, .least = 1, .most = 1e6},
        {"pixels", "RANGE", "unit: x/255; standardised: mean 0, deviation 1 per channel (default unit)", .kind = CLI_CHOICE,
         .value = &o->pixels, .choices = "unit|standardised"},
        {"flip", NULL, "Mirror half of the training images", .kind = CLI_FLAG, .value = &o->flip},
        {"crop-padding", "PIXELS", "Random crop of training images padded by so much (default 0)", .kind = CLI_INT,
         .value = &o->crop_padding, .least = 0, .most = 1024},
        {"on-bad-image", "fail|skip", "What to do with an unreadable image (default fail)", .kind = CLI_CHOICE,
         .value = &o->on_bad_image, .choices = "fail|skip"},
        {"memory-limit", "BYTES", "For weights, buffers and cached images, as 2G (default: 4/5 of what is free)", .kind = CLI_BYTES,
         .value = &o->memory_limit, .least = 1, .most = 1e15},
        {"log-every", "STEPS", "Steps between two performance lines; 0: none (default 100)", .kind = CLI_INT, .value = &o->log_every,
         .least = 0, .most = 1e9},
        {"quiet", NULL, "No progress lines", .kind = CLI_FLAG, .value = &o->quiet},
        {"dry-run", NULL, "Print the network, its plan and its memory, and stop", .kind = CLI_FLAG, .value = &o->dry_run},
        {0}};
    const struct cli_program program = {.summary = summary, .options = table};
    struct cli_rest rest;
    cli_parse(&program, argc, argv, &rest);
    return settle(o);
}

static void json_text(FILE *to, const char *key, const char *text)
{
    fprintf(to, "  \"%s\": \"", key);
    for (const unsigned char *c = (const unsigned char *)text; *c; c++)
        if (*c == '"' || *c == '\\')
            fprintf(to, "\\%c", *c);
        else if (*c < ' ')
            fprintf(to, "\\u%04x", *c);
        else
            fputc(*c, to);
    fputs("\",\n", to);
}

static void write_fields(const struct train_options *o, FILE *to)
{
    const struct {
        const char *key;
        long long value;
    } numbers[] = {
        {"epochs", o->epochs},         {"max-steps", o->max_steps},   {"batch-size", o->batch_size},
        {"seed", o->seed},             {"threads", o->session.threads}, {"workers", o->workers},
        {"eval-every", o->eval_every}, {"checkpoint-every", o->checkpoint_every}, {"keep", o->keep},
        {"crop-padding", o->crop_padding}, {"memory-limit", (long long)o->memory_limit},
    };
    json_text(to, "version", SL_VERSION);
    json_text(to, "data", o->data);
    json_text(to, "model", o->model);
    json_text(to, "optimizer", o->optimizer);
    json_text(to, "backend", "cpu");
    json_text(to, "pixels", o->pixels);
    json_text(to, "on-bad-image", o->on_bad_image);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        fprintf(to, "  \"%s\": %lld,\n", numbers[i].key, numbers[i].value);
    fprintf(to, "  \"weight-decay\": %.17g,\n  \"momentum\": %.17g,\n  \"flip\": %s,\n", o->weight_decay, o->momentum,
            o->flip ? "true" : "false");
    fputs("  \"lr-schedule\": {", to);
    for (int32_t i = 0; i < o->session.schedule.count; i++)
        fprintf(to, "%s\"%lld\": %.17g", i ? ", " : "", (long long)o->session.schedule.epochs[i], o->session.schedule.rates[i]);
    fputs("}\n", to);
}

int train_options_write(const struct train_options *options, const char *run)
{
    int rc = SL_OK;
    char *text = NULL, *path = NULL;
    size_t length = 0;
    FILE *to = open_memstream(&text, &length);
    if (!to || asprintf(&path, "%s/config.json", run) < 0)
        SL_FAIL(SL_SYSTEM, "out of memory for config.json");
    fputs("{\n", to);
    write_fields(options, to);
    fputs("}\n", to);
    if (fflush(to) != 0)
        SL_FAIL(SL_SYSTEM, "out of memory for config.json");
    SL_TRY(sl_write_atomically(path, text, length));
out:
    if (to)
        fclose(to);
    free(text);
    free(path);
    return rc;
}
