/* The command line of training, named as PyTorch's users expect, and its record in RUN/config.json. */
#ifndef SL_APPS_TRAIN_TINYIMAGENET_OPTIONS_H
#define SL_APPS_TRAIN_TINYIMAGENET_OPTIONS_H

#include "apps/cli_device.h"
#include "apps/train_tinyimagenet_flock.h"

struct train_options {
    const char *data, *run, *model, *optimizer, *schedule, *pixels, *on_bad_image, *kernels;
    int64_t epochs, batch_size, seed, threads, workers, eval_every, checkpoint_every, keep, max_steps, max_skips,
        log_every, crop_padding;
    double lr, weight_decay, momentum;
    uint64_t memory_limit;
    bool lr_given, schedule_given, momentum_given, kernels_given, resume, dry_run, fast_decode, flip, quiet, profile;
    char constant[32]; /* --lr as a schedule */
    struct cli_device_options device;
    struct flock_options flock;
    const struct cli_ranks *ranks;     /* NULL: not shared yet */
    struct sl_session_options session; /* what follows from the above */
};

/* Parses and checks; ends the program on usage errors as cli_parse does. SL_USAGE, SL_BAD_CONFIG. */
int train_options_parse(int argc, char **argv, struct train_options *options);

/* What follows from being one of several: the share of threads and memory, the steps that may be skipped, and the
 * learning rate with --scale-lr. Collective. */
int train_options_share(struct train_options *options, const struct cli_ranks *ranks);

/* Writes RUN/config.json, the effective configuration: every option by its name, the version and the number
 * of ranks. After train_options_share. */
int train_options_write(const struct train_options *options);

#endif
