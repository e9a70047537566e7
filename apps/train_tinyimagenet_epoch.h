/* A training run as a whole, and what happens between its steps: validation, checkpoints, the end of an epoch. With
 * other ranks all of it is collective; only rank 0 has the store. */
#ifndef SL_APPS_TRAIN_TINYIMAGENET_EPOCH_H
#define SL_APPS_TRAIN_TINYIMAGENET_EPOCH_H

#include "apps/train_tinyimagenet_options.h"
#include "runtime/store/store.h"
#include "runtime/train/profile.h"

enum { TRAIN_EARLY_BYTES = 4096 };

struct training {
    struct train_options *options;
    struct cli_ranks *ranks;
    struct sl_device device;
    struct sl_session session;
    struct flock flock;
    struct sl_store *store; /* NULL on other ranks than 0 */
    struct sl_log *log;
    char early[TRAIN_EARLY_BYTES]; /* lines that were said before there was a log */
    struct sl_metrics metrics;
    struct sl_profile *profile; /* NULL: not wanted */
    double epoch_start;
    uint64_t epoch_images; /* trained since epoch_start, by all ranks */
    uint64_t saved;        /* iteration of the newest checkpoint */
    int64_t skipped;       /* steps in a row, for numbers that are not finite */
};

/* Names the session's best checkpoint in the store, or forgets it. */
void train_keep_best(struct training *training);

/* Saves, unless this step is saved already. */
int train_save(struct training *training);

/* A checkpoint that cannot be written now may succeed later: training goes on, the old ones stay. Numbers that are not
 * finite never become so again. */
int train_save_or_warn(struct training *training);

/* Are all epochs, or all steps, done? */
bool train_finished(const struct training *training);

/* Has the last step been taken? The last epoch may not have been validated. */
bool train_all_trained(const struct training *training);

/* Validates, logs, saves, and goes on to the next epoch. SL_PREEMPTED: a signal came meanwhile, and the epoch has not
 * ended yet. */
int train_end_epoch(struct training *training);

#endif
