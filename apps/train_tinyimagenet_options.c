#include "apps/train_tinyimagenet_options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/cli.h"
#include "runtime/device/parallel.h"
#include "runtime/plan/precision.h"
#include "runtime/report/run_config.h"

static const struct train_options defaults = {
    .model = "darknet",
    .device = CLI_DEVICE_DEFAULTS,
    .optimizer = "amsgrad",
    .schedule = SL_SCHEDULE_DEFAULT,
    .pixels = "unit",
    .on_bad_image = "fail",
    .kernels = "shipped",
    .epochs = 10,
    .batch_size = 32,
    .seed = 1,
    .workers = 1,
    .eval_every = 1,
    .keep = 3,
    .max_skips = -1,
    .log_every = 100,
    .lr = 0,
    .weight_decay = 1e-4,
    .momentum = 0.9,
};

/* The schedule is what counts, also of a constant rate. */
static int settle_rate(struct train_options *options)
{
    if (options->lr_given && options->schedule_given)
        return sl_fail(SL_USAGE, "--lr is a constant rate and --lr-schedule a changing one: give one of them");
    if (options->lr_given) {
        snprintf(options->constant, sizeof options->constant, "%.17g", options->lr);
        options->schedule = options->constant;
    }
    options->schedule_given = true; /* for config.json */
    return sl_schedule_parse(options->schedule, &options->session.schedule);
}

/* Nobody else has one; a word that changes nothing is a mistake. */
static int settle_momentum(struct train_options *options)
{
    if (options->momentum_given && strcmp(options->optimizer, "sgd"))
        return sl_fail(SL_USAGE, "--momentum belongs to --optimizer sgd; %s has its own averages", options->optimizer);
    options->momentum_given = true; /* for config.json */
    return SL_OK;
}

/* From the words of the command line to the session's options. */
static int settle(struct train_options *options)
{
    int rc = SL_OK;
    struct sl_session_options *s = &options->session;
    SL_TRY(cli_device_check(&options->device));
    *s = (struct sl_session_options){
        .data = options->data,
        .batch_size = (int32_t)options->batch_size,
        .seed = (uint64_t)options->seed,
        .loader_threads = (int)options->workers,
        .precision = sl_precision_find(options->device.precision),
        .updater = sl_updater_defaults(),
        .flip = options->flip,
        .crop_padding = (int32_t)options->crop_padding,
        .range = strcmp(options->pixels, "unit") ? SL_PIXELS_STANDARDISED : SL_PIXELS_UNIT,
        .fast_decode = options->fast_decode,
        .skip_bad_images = !strcmp(options->on_bad_image, "skip"),
        .kernels = options->kernels_given ? sl_policy_find(options->kernels) : SL_POLICY_DEFAULT,
    };
    s->updater.kind = (enum sl_updater_kind)sl_updater_find(options->optimizer);
    s->updater.l2 = options->weight_decay;
    s->updater.momentum = options->momentum;
    SL_TRY(settle_rate(options));
    SL_TRY(settle_momentum(options));
    SL_TRY(flock_settle(&options->flock));
out:
    return rc;
}

static uint64_t count_exchange(void *self, const struct sl_device *device, int64_t parameters)
{
    const struct train_options *options = self;
    return flock_memory(&options->flock, options->ranks, device, parameters);
}

enum { SKIPS_TOGETHER = 10 };

int train_options_share(struct train_options *options, const struct cli_ranks *ranks)
{
    int rc = SL_OK;
    struct sl_session_options *s = &options->session;
    SL_TRY(cli_ranks_threads(ranks, (int)options->threads, &s->threads));
    options->threads = s->threads; /* for config.json */
    s->memory_limit = cli_ranks_memory(ranks, options->memory_limit);
    s->group = ranks->group;
    s->hooks_memory = count_exchange;
    s->hooks_self = options;
    options->ranks = ranks;
    if (options->max_skips < 0)
        options->max_skips = sl_group_size(ranks->group) > 1 ? SKIPS_TOGETHER : 0;
    if (options->flock.scale_rate)
        sl_schedule_scale(&s->schedule, sl_group_size(ranks->group));
out:
    return rc;
}

static const char summary[] = "Trains a network on a prepared data set with the recipe of DL4J's cookbook. Stops at "
                              "SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2 or SIGXCPU with a "
                              "checkpoint and exit code 75; --resume goes on as if nothing had happened. A second "
                              "SIGINT (Ctrl-C) kills it.";

enum { OPTION_ROWS = 36 + CLI_DEVICE_OPTION_ROWS + FLOCK_OPTION_ROWS };

static void fill_table(struct train_options *options, struct cli_option table[OPTION_ROWS])
{
    const struct cli_option rows[] = {
        {"data", "DIR", "The prepared data set", .kind = CLI_TEXT, .value = &options->data, .required = true},
        {"run", "DIR", "The run's folder: checkpoints, log.jsonl, metrics.csv", .kind = CLI_TEXT,
         .value = &options->run, .required = true},
        {"resume", NULL, "Go on from the newest good checkpoint, if there is one", .kind = CLI_FLAG,
         .value = &options->resume},
        {"epochs", "N", "Passes over the data (default 10)", .kind = CLI_INT, .value = &options->epochs, .least = 1,
         .most = 1e6},
        {"max-steps", "N", "Stop after that many steps in all (default: none)", .kind = CLI_INT,
         .value = &options->max_steps, .least = 1, .most = 1e15},
        {"batch-size", "N", "Images in a step, of each rank (default 32)", .kind = CLI_INT,
         .value = &options->batch_size, .least = 1, .most = 4096},
        {"model", "NAME|FILE.json", "The network: darknet, residual or a JSON file (default darknet)", .kind = CLI_TEXT,
         .value = &options->model},
        {"optimizer", "NAME", "amsgrad, adam or sgd (default amsgrad)", .kind = CLI_CHOICE,
         .value = &options->optimizer, .choices = "amsgrad|adam|sgd"},
        {"lr", "RATE", "A constant learning rate", .kind = CLI_DOUBLE, .value = &options->lr, .least = 1e-12,
         .most = 1e6, .given = &options->lr_given},
        {"lr-schedule", "EPOCH:RATE,...", "Learning rate from each epoch on (default " SL_SCHEDULE_DEFAULT ")",
         .kind = CLI_TEXT, .value = &options->schedule, .given = &options->schedule_given},
        {"weight-decay", "L2", "Added to the gradient of weights as L2*w (default 1e-4)", .kind = CLI_DOUBLE,
         .value = &options->weight_decay, .least = 0, .most = 1e3},
        {"momentum", "M", "Of sgd (default 0.9)", .kind = CLI_DOUBLE, .value = &options->momentum, .least = 0,
         .most = 0.999999, .given = &options->momentum_given},
        {"seed", "N", "Of initial weights, order and augmentation (default 1)", .kind = CLI_INT,
         .value = &options->seed},
        {"threads", "N", "Threads of compute (default: as many as this process may use; ranks on one host share them)",
         .kind = CLI_INT, .value = &options->threads, .least = 1, .most = 1024},
        {"workers", "N", "Threads that load images (default 1)", .kind = CLI_INT, .value = &options->workers,
         .least = 1, .most = 256},
        CLI_DEVICE_OPTIONS(&options->device),
        {"kernels", "NAME",
         CLI_KERNELS_HELP ". With --resume the default is the run's, and kernels that it has are taken again",
         .kind = CLI_CHOICE, .value = &options->kernels, .choices = SL_POLICY_CHOICES,
         .given = &options->kernels_given},
        {"eval-every", "EPOCHS", "Validate after every so many epochs; 0: never (default 1)", .kind = CLI_INT,
         .value = &options->eval_every, .least = 0, .most = 1e6},
        {"checkpoint-every", "STEPS", "Save also after every so many steps (default: after each epoch)",
         .kind = CLI_INT, .value = &options->checkpoint_every, .least = 0, .most = 1e15},
        {"keep", "N", "Checkpoints kept, besides the best (default 3)", .kind = CLI_INT, .value = &options->keep,
         .least = 1, .most = 1e6},
        {"max-skips", "N",
         "Steps in a row that may be left out because a number was not finite (default 10; 0 for a process alone)",
         .kind = CLI_INT, .value = &options->max_skips, .least = 0, .most = 1e9},
        {"pixels", "RANGE", "unit: x/255; standardised: mean 0, deviation 1 per channel (default unit)",
         .kind = CLI_CHOICE, .value = &options->pixels, .choices = "unit|standardised"},
        {"fast-decode", NULL,
         "Decode images a tenth faster and less exactly, by 1.6 of 255 levels on average; the model keeps that, for "
         "evaluation and prediction",
         .kind = CLI_FLAG, .value = &options->fast_decode},
        {"flip", NULL, "Mirror half of the training images", .kind = CLI_FLAG, .value = &options->flip},
        {"crop-padding", "PIXELS", "Random crop of training images padded by so much (default 0)", .kind = CLI_INT,
         .value = &options->crop_padding, .least = 0, .most = 1024},
        {"on-bad-image", "fail|skip", "What to do with an unreadable image (default fail)", .kind = CLI_CHOICE,
         .value = &options->on_bad_image, .choices = "fail|skip"},
        {"memory-limit", "BYTES",
         "For all that is allocated, as 512M, 2GB or 2GiB, powers of 1024; of each rank (default: 4/5 of what is free; "
         "ranks on one host share it)",
         .kind = CLI_BYTES, .value = &options->memory_limit, .least = 1, .most = 1e15},
        {"log-every", "STEPS", "Steps between two performance lines; 0: none (default 100)", .kind = CLI_INT,
         .value = &options->log_every, .least = 0, .most = 1e9},
        {"quiet", NULL, "No progress lines", .kind = CLI_FLAG, .value = &options->quiet},
        {"profile", NULL, "At the end print what each layer and kernel took", .kind = CLI_FLAG,
         .value = &options->profile},
        {"dry-run", NULL, "Print the network, its plan and its memory, and stop", .kind = CLI_FLAG,
         .value = &options->dry_run},
    };
    const size_t count = sizeof rows / sizeof *rows;
    _Static_assert(sizeof rows / sizeof *rows + FLOCK_OPTION_ROWS < OPTION_ROWS, "the table has room for every row");
    memcpy(table, rows, sizeof rows);
    table[count + flock_option_rows(&options->flock, table + count)] = (struct cli_option){0};
}

int train_options_parse(int argc, char **argv, struct train_options *options)
{
    struct cli_option table[OPTION_ROWS];
    const struct cli_program program = {.summary = summary, .options = table};
    struct cli_rest rest;
    *options = defaults;
    options->flock = flock_defaults;
    options->flock.threshold = sl_threshold_defaults();
    fill_table(options, table);
    cli_parse(&program, argc, argv, &rest);
    return settle(options);
}

static const enum sl_setting_kind setting_kinds[] = {
    [CLI_TEXT] = SL_SETTING_TEXT, [CLI_CHOICE] = SL_SETTING_TEXT, [CLI_INT] = SL_SETTING_INT,
    [CLI_BYTES] = SL_SETTING_INT, [CLI_DOUBLE] = SL_SETTING_REAL, [CLI_FLAG] = SL_SETTING_BOOL,
};

int train_options_write(const struct train_options *options)
{
    int rc = SL_OK;
    struct train_options made = *options;
    struct cli_option table[OPTION_ROWS];
    const char *version = SL_VERSION;
    const int64_t ranks = sl_group_size(options->ranks->group);
    struct sl_setting settings[OPTION_ROWS + 1] = {{"version", SL_SETTING_TEXT, &version},
                                                   {"ranks", SL_SETTING_INT, &ranks}};
    size_t count = 2;
    char *path = NULL;
    fill_table(&made, table);
    for (const struct cli_option *row = table; row->name; row++)
        if (!row->given || *row->given)
            settings[count++] = (struct sl_setting){row->name, setting_kinds[row->kind], row->value};
    if (asprintf(&path, "%s/config.json", made.run) < 0) {
        path = NULL;
        SL_FAIL(SL_SYSTEM, "out of memory for config.json");
    }
    SL_TRY(sl_run_config_write(path, settings, count));
out:
    free(path);
    return rc;
}
