#include <math.h>
#include <string.h>

#include "apps/train_tinyimagenet_flock.h"

const struct flock_options flock_defaults = {
    .exchange = "auto",
    .combine = "mean",
    .algorithm = "adaptive",
    .clip_multiple = 5,
    .clip_every = 5,
    .hash_every = 100,
    .start_limit = 600,
};

size_t flock_option_rows(struct flock_options *o, struct cli_option *to)
{
    struct sl_threshold_options *t = &o->threshold;
    const struct cli_option rows[] = {
        {"exchange", "NAME",
         "What ranks share: threshold (updates, threshold-encoded), dense (gradients), updates (updates, dense); auto: "
         "threshold, or none alone (default auto)",
         .kind = CLI_CHOICE, .value = &o->exchange, .choices = "auto|none|threshold|dense|updates"},
        {"combine", "mean|sum", "How updates join: their mean, or their sum as in DL4J (default mean)",
         .kind = CLI_CHOICE, .value = &o->combine, .choices = "mean|sum"},
        {"threshold-algorithm", "NAME", "adaptive, target-sparsity or fixed (default adaptive)", .kind = CLI_CHOICE,
         .value = &o->algorithm, .choices = "adaptive|target-sparsity|fixed"},
        {"threshold", "TAU", "The threshold of the first step (default 1e-3)", .kind = CLI_DOUBLE,
         .value = &t->initial},
        {"min-density", "D", "adaptive: below it the threshold falls (default 1e-4)", .kind = CLI_DOUBLE,
         .value = &t->min_density},
        {"max-density", "D", "adaptive: above it the threshold rises (default 1e-2)", .kind = CLI_DOUBLE,
         .value = &t->max_density},
        {"target-density", "D", "target-sparsity: what the threshold aims at (default 1e-3)", .kind = CLI_DOUBLE,
         .value = &t->target},
        {"threshold-decay", "F", "Factor of one change of the threshold (default 0.9659)", .kind = CLI_DOUBLE,
         .value = &t->decay},
        {"density-cap", "D",
         "The threshold jumps where a sample says that more would be sent; 1: never (default 3.5e-3)",
         .kind = CLI_DOUBLE, .value = &t->cap},
        {"clip", "MULTIPLE", "Holds the residual to so many thresholds; 0: never (default 5)", .kind = CLI_DOUBLE,
         .value = &o->clip_multiple, .least = 0, .most = 1e9},
        {"clip-every", "STEPS", "How often (default 5)", .kind = CLI_INT, .value = &o->clip_every, .least = 1,
         .most = 1e9},
        {"flush-residual", NULL, "At the end of the run apply what ranks still keep back", .kind = CLI_FLAG,
         .value = &o->flush_residual},
        {"scale-lr", NULL, "Multiply the learning rate by the number of ranks", .kind = CLI_FLAG,
         .value = &o->scale_rate},
        {"hash-every", "STEPS", "Compare the ranks' parameters so often; 0: never (default 100)", .kind = CLI_INT,
         .value = &o->hash_every, .least = 0, .most = 1e9},
        {"start-limit", "SECONDS", "Longest wait for other ranks outside training steps (default 600)",
         .kind = CLI_DOUBLE, .value = &o->start_limit, .least = 0.1, .most = 1e9},
        {"step-limit", "SECONDS",
         "Longest wait in a training step (default 60, or 20 times the longest wait so far if that is more)",
         .kind = CLI_DOUBLE, .value = &o->step_limit, .least = 0.1, .most = 1e9},
    };
    _Static_assert(sizeof rows / sizeof *rows <= FLOCK_OPTION_ROWS, "the table has room for every row");
    memcpy(to, rows, sizeof rows);
    return sizeof rows / sizeof *rows;
}

/* Also what this algorithm does not use is written to config.json, which knows only finite numbers. */
static int check_finite(const struct sl_threshold_options *t)
{
    const struct {
        const char *option;
        double value;
    } all[] = {{"--min-density", t->min_density},
               {"--max-density", t->max_density},
               {"--target-density", t->target},
               {"--threshold-decay", t->decay}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!isfinite(all[i].value))
            return sl_fail(SL_BAD_CONFIG, "%s is %g; it has to be a finite number", all[i].option, all[i].value);
    return SL_OK;
}

int flock_settle(struct flock_options *options)
{
    options->threshold.kind = (enum sl_threshold_kind)sl_threshold_find(options->algorithm);
    if (options->clip_multiple > 0 && options->clip_multiple < 1)
        return sl_fail(
            SL_BAD_CONFIG,
            "--clip is %g: the residual cannot be held to less than one threshold; give at least 1, or 0 for "
            "no clip",
            options->clip_multiple);
    const int rc = sl_threshold_check(&options->threshold);
    return rc == SL_OK ? check_finite(&options->threshold) : rc;
}
