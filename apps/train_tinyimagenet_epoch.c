#include "apps/train_tinyimagenet_epoch.h"

#include <math.h>

#include "apps/train_tinyimagenet_signals.h"
#include "runtime/base/clock.h"

/* What rank 0 knows of the disk, everybody does. */
static bool agree_on(const struct training *t, bool mine)
{
    const struct sl_group *group = t->session.options.group;
    struct sl_vote vote = {.bad = sl_group_rank(group) == 0 && !mine};
    return sl_group_vote(group, &vote) == SL_OK && !vote.bad;
}

void train_keep_best(struct training *t)
{
    const bool kept = t->store && sl_store_keep_best(t->store, t->session.best.step);
    if (!agree_on(t, kept))
        t->session.best = (struct sl_best){0};
}

int train_save(struct training *t)
{
    const uint64_t iteration = t->session.position.iteration;
    if (t->saved == iteration && iteration > 0)
        return SL_OK;
    if (t->ranks->comm)
        sl_comm_enter(t->ranks->comm, SL_PHASE_SAVING, iteration);
    const int rc = sl_session_save(&t->session, t->store);
    if (rc == SL_OK)
        t->saved = iteration;
    return rc;
}

int train_save_or_warn(struct training *t)
{
    const int rc = train_save(t);
    if (rc == SL_OK || rc == SL_NUMERICS)
        return rc;
    sl_log_message(t->log, "warning: no checkpoint: %s", sl_last_error());
    return SL_OK;
}

bool train_finished(const struct training *t)
{
    const struct sl_position *p = &t->session.position;
    const struct train_options *options = t->options;
    return p->epoch >= (uint64_t)options->epochs ||
           (options->max_steps && p->iteration >= (uint64_t)options->max_steps);
}

bool train_all_trained(const struct training *t)
{
    const bool last = t->session.position.epoch + 1 >= (uint64_t)t->options->epochs;
    return train_finished(t) || (last && sl_session_epoch_trained(&t->session));
}

static bool validates(const struct training *t)
{
    const uint64_t every = (uint64_t)t->options->eval_every;
    return t->session.val && every > 0 && (t->session.position.epoch + 1) % every == 0;
}

/* Saves, and keeps the checkpoint as the best if its accuracy is: one that cannot be written cannot be kept. */
static int save_validated(struct training *t, double accuracy)
{
    const struct sl_best before = t->session.best;
    const uint64_t iteration = t->session.position.iteration;
    if (accuracy > before.accuracy || (!before.step && !isnan(accuracy)))
        t->session.best = (struct sl_best){iteration, accuracy};
    const int rc = train_save_or_warn(t);
    if (t->saved != iteration)
        t->session.best = before;
    train_keep_best(t);
    return rc;
}

static int validate(struct training *t, struct sl_epoch_record *record)
{
    if (t->ranks->comm)
        sl_comm_enter(t->ranks->comm, SL_PHASE_VALIDATING, t->session.position.iteration);
    const int rc = sl_session_validate(&t->session, &t->metrics, &train_stop_signal);
    if (rc != SL_OK)
        return rc;
    record->val_loss = sl_metrics_mean_loss(&t->metrics);
    record->top1 = sl_metrics_accuracy(&t->metrics);
    record->top5 = sl_metrics_top_n(&t->metrics);
    return SL_OK;
}

int train_end_epoch(struct training *t)
{
    int rc = SL_OK;
    const struct sl_position *p = &t->session.position;
    const double seconds = sl_clock() - t->epoch_start;
    struct sl_epoch_record record = {
        .epoch = p->epoch,
        .iteration = p->iteration,
        .train_loss = p->samples ? p->loss_sum / (double)p->samples : NAN,
        .val_loss = NAN,
        .top1 = NAN,
        .top5 = NAN,
        .images_per_second = (double)t->epoch_images / seconds,
        .seconds = seconds,
        .learning_rate = sl_schedule_rate(&t->session.options.schedule, p->epoch),
    };
    if (validates(t))
        SL_TRY(validate(t, &record));
    sl_log_epoch(t->log, &record);
    sl_session_next_epoch(&t->session);
    t->epoch_start = sl_clock();
    t->epoch_images = 0;
    rc = save_validated(t, record.top1);
out:
    return rc;
}
