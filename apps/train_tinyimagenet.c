/* train_tinyimagenet: the recipe of DL4J's cookbook on a prepared data set, alone or by the ranks of an MPI job. */
#include <inttypes.h>
#include <stdio.h>

#include "apps/cli.h"
#include "apps/train_tinyimagenet_open.h"
#include "apps/train_tinyimagenet_signals.h"

static void log_step(struct training *t, const struct sl_session_result *step)
{
    struct sl_log_number numbers[FLOCK_NUMBERS];
    char note[FLOCK_NOTE];
    const uint64_t every = (uint64_t)t->options->log_every;
    const bool by_layer = every && (step->iteration + 1) % every == 0;
    const uint64_t world = (uint64_t)sl_group_size(t->ranks->group);
    const struct sl_step_record record = {
        .epoch = step->epoch,
        .iteration = step->iteration + 1,
        .step_in_epoch = step->index / world + 1,
        .steps_per_epoch = (sl_loader_batches(t->session.train) + world - 1) / world,
        .samples = (int32_t)step->samples,
        .wait_seconds = step->waited,
        .step_seconds = step->seconds,
        .score = step->score,
        .loss = step->loss,
        .rate = step->rate,
        .numbers = numbers,
        .number_count = flock_numbers(&t->flock, by_layer, numbers),
        .note = flock_note(&t->flock, note),
    };
    t->epoch_images += (uint64_t)step->samples;
    sl_log_step(t->log, &record);
}

/* A step whose numbers are not finite has changed nothing on any rank, and may be left out; again and again means that
 * the run is lost. */
static int skip(struct training *t)
{
    const int64_t most = t->options->max_skips;
    if (t->skipped >= most)
        return most ? sl_fail_prefix(SL_NUMERICS, "%" PRId64 " steps in a row", most + 1) : SL_NUMERICS;
    t->skipped++;
    sl_log_message(t->log, "warning: step skipped: %s", sl_last_error());
    sl_session_skip(&t->session);
    return SL_OK;
}

/* Does another step follow the next one, whatever comes of that? Then it may be started meanwhile. */
static bool goes_on(const struct training *t)
{
    const uint64_t next = t->session.position.iteration + 1, most = (uint64_t)t->options->max_steps;
    const uint64_t every = (uint64_t)t->options->checkpoint_every;
    return !train_stop_signal && !(most && next >= most) && !(every && next % every == 0);
}

static int learn(struct training *t)
{
    struct sl_session_result done;
    t->session.goes_on = goes_on(t);
    sl_profile_begin_step(t->profile);
    int rc = sl_session_step(&t->session, &done);
    sl_profile_end_step(t->profile, done.waited);
    if (rc == SL_NUMERICS)
        return skip(t);
    SL_TRY(rc);
    t->skipped = 0;
    SL_TRY(flock_after_step(&t->flock));
    if (done.samples > 0)
        log_step(t, &done);
out:
    return rc;
}

/* What is kept back is applied after the last step and before that is saved: a step is saved once. */
static int step(struct training *t)
{
    int rc = SL_OK;
    const struct sl_position *p = &t->session.position;
    const uint64_t every = (uint64_t)t->options->checkpoint_every;
    if (t->ranks->comm)
        sl_comm_enter(t->ranks->comm, SL_PHASE_TRAINING, p->iteration);
    SL_TRY(learn(t));
    if (train_all_trained(t))
        SL_TRY(flock_flush(&t->flock));
    if (every && p->iteration % every == 0 && !sl_session_epoch_trained(&t->session))
        rc = train_save_or_warn(t);
out:
    return rc;
}

/* Alone a signal counts at once, or after the step that is at work; several ranks stop where they agreed to, after the
 * same step. */
static bool stops(const struct training *t)
{
    return t->flock.row ? t->flock.stop : train_stop_signal != 0 && !t->session.ahead.there;
}

static int stop(struct training *t)
{
    int rc = SL_OK;
    SL_TRY(train_save(t));
    SL_FAIL(SL_PREEMPTED, "stopped by %s after %" PRIu64 " steps; the checkpoint is saved, go on with --resume",
            train_signal_name(train_stop_signal), t->session.position.iteration);
out:
    return rc;
}

static int end_epoch(struct training *t)
{
    const int rc = train_end_epoch(t);
    t->flock.stop |= rc == SL_PREEMPTED;
    return rc;
}

static int train(struct training *t)
{
    const struct sl_position *p = &t->session.position;
    if (p->iteration > 0 && train_finished(t))
        sl_log_message(t->log,
                       "nothing left to do: %" PRIu64 " epochs and %" PRIu64 " steps are trained; --epochs or "
                       "--max-steps can ask for more",
                       p->epoch, p->iteration);
    for (;;) {
        const bool trained = sl_session_epoch_trained(&t->session);
        if (!trained && train_finished(t))
            break;
        if (stops(t))
            return stop(t);
        const int rc = trained ? end_epoch(t) : step(t);
        if (rc != SL_OK && rc != SL_PREEMPTED)
            return rc;
    }
    return train_save(t);
}

static void say_end(const struct training *t)
{
    const struct sl_best *best = &t->session.best;
    if (best->step)
        sl_log_message(t->log, "best: %s/best is ckpt-%" PRIu64 ", validation accuracy %.2f %%; newest: ckpt-%" PRIu64,
                       t->options->run, best->step, 100 * best->accuracy, t->saved);
    flock_say_bytes(&t->flock, t->log);
}

static int run(struct train_options *options, struct cli_ranks *ranks)
{
    int rc = SL_OK;
    struct training t = {.options = options, .ranks = ranks};
    const struct sl_exchange_row *row;
    SL_TRY(sl_group_settle(ranks->group, flock_choose(&options->flock, sl_group_size(ranks->group), &row)));
    options->flock.exchange = row ? row->name : "none"; /* for config.json */
    if (row && !ranks->group)
        SL_TRY(cli_ranks_open_alone(ranks));
    SL_TRY(train_options_share(options, ranks));
    SL_TRY(sl_group_settle(ranks->group, train_open_device(&t)));
    if (options->dry_run) {
        rc = sl_group_settle(ranks->group, train_dry_run(&t));
        goto out;
    }
    SL_TRY(train_open(&t));
    train_signals_note();
    SL_TRY(train(&t));
    say_end(&t);
    if (train_speaks(&t))
        printf("%s\n", options->run);
out:;
    const int closed = train_close(&t, rc);
    return rc != SL_OK ? rc : closed;
}

int main(int argc, char **argv)
{
    int rc = SL_OK;
    struct train_options options;
    struct cli_ranks ranks = {0};
    /* Options that are refused are told to the others: who does not come at all keeps them waiting. */
    const int parsed = train_options_parse(argc, argv, &options);
    if (!options.dry_run)
        train_signals_watch();
    const struct sl_comm_options limits = {.start_limit = options.flock.start_limit,
                                           .step_limit = options.flock.step_limit};
    SL_TRY(cli_ranks_open(&limits, &ranks));
    if (sl_group_size(ranks.group) > 1)
        train_signals_note(); /* who just went would fail the others: they stop together, after a step */
    SL_TRY(sl_group_settle(ranks.group, parsed));
    rc = run(&options, &ranks);
out:
    return cli_ranks_end(&ranks, rc);
}
