/* train_tinyimagenet: the recipe of DL4J's cookbook on a prepared data set, alone or by the ranks of an MPI job. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "apps/cli.h"
#include "apps/cli_process.h"
#include "apps/train_tinyimagenet_epoch.h"
#include "apps/train_tinyimagenet_signals.h"
#include "models/models.h"
#include "runtime/base/clock.h"
#include "runtime/report/profile_report.h"

static int build_network(void *self, int32_t image_size, int32_t classes, struct sl_graph **graph)
{
    const struct train_options *options = self;
    const struct sl_model_options model = {image_size, classes};
    return sl_model_build(options->model, &model, graph);
}

static void say(void *self, const char *line)
{
    sl_log_message(self, "%s", line);
}

static bool speaks(const struct training *t)
{
    return sl_group_rank(t->ranks->group) == 0;
}

/* Lines from before the session: the log is not opened until it is known that the folder is a run's. */
static void note_early(struct training *t, const char *line)
{
    const size_t n = strlen(t->early), length = strlen(line);
    if (n + length + 2 <= sizeof t->early)
        snprintf(t->early + n, sizeof t->early - n, "%s\n", line);
}

static void say_early(void *self, const char *line)
{
    cli_say(NULL, line);
    note_early(self, line);
}

static void log_early(struct training *t)
{
    char *rest = NULL;
    for (char *line = strtok_r(t->early, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        sl_log_event(t->log, "message", line);
}

static void print_plan(const struct sl_session *session)
{
    const struct sl_session_memory *m = &session->memory;
    fprintf(stderr,
            "memory: weights %.1f MB, training %.1f MB, validation %.1f MB, scratch %.1f MB, loading %.1f MB, images "
            "%.1f MB",
            (double)m->weights / 1e6, (double)m->training / 1e6, (double)m->inference / 1e6, (double)m->scratch / 1e6,
            (double)(m->loading + m->shards) / 1e6, (double)m->images / 1e6);
    if (m->hooks)
        fprintf(stderr, ", exchange %.1f MB", (double)m->hooks / 1e6);
    fputc('\n', stderr);
}

/* What training would do; of all ranks, though rank 0 alone tells. */
static int dry_run(const struct train_options *options, bool speaks)
{
    int rc = SL_OK;
    struct sl_session session = {0};
    struct sl_session_options opening = options->session;
    opening.say = speaks ? cli_say : NULL;
    SL_TRY(sl_session_open(&opening, build_network, (void *)(uintptr_t)options, &session));
    if (!speaks)
        goto out;
    SL_TRY(sl_graph_print(session.model.graph, stdout));
    fputs("training\n", stdout);
    SL_TRY(sl_plan_print(session.training, stdout));
    fputs("validation\n", stdout);
    SL_TRY(sl_plan_print(session.inference, stdout));
    print_plan(&session);
out:
    sl_session_close(&session);
    return rc;
}

static int resume(struct training *t, const struct sl_checkpoint *checkpoint)
{
    int rc = SL_OK;
    const struct sl_position *p = &t->session.position;
    SL_TRY(sl_session_resume(&t->session, checkpoint, say, t->log));
    train_keep_best(t);
    if (t->store)
        sl_store_trim(t->store); /* the disk may be full of what a larger --keep left */
    t->saved = p->iteration;
    sl_log_resumed(t->log, p->epoch, p->iteration);
    sl_log_message(t->log, "resumed from %s: epoch %" PRIu64 ", batch %" PRIu64, checkpoint->folder, p->epoch,
                   p->index);
out:
    return rc;
}

/* A fresh folder, or one whose newest good checkpoint is taken up. */
static int start_or_resume(struct training *t, const struct sl_checkpoint *checkpoint)
{
    if (checkpoint->folder)
        return resume(t, checkpoint);
    train_keep_best(t);
    if (t->options->resume) {
        sl_log_resumed(t->log, 0, 0); /* what a run without a checkpoint has logged does not count */
        sl_log_message(t->log, "nothing to resume in %s; starting afresh", t->options->run);
    }
    return SL_OK;
}

/* Locked from here on; a run that is there is touched only if it is to go on. */
static int open_store(struct training *t)
{
    int rc = SL_OK;
    const struct train_options *options = t->options;
    bool has;
    if (!speaks(t))
        goto out;
    SL_TRY(sl_store_open(options->run, (int)options->keep, &t->store));
    SL_TRY(sl_store_has_checkpoint(options->run, &has));
    if (has && !options->resume)
        SL_FAIL(SL_CANNOT_CREATE, "%s: already holds a run; add --resume to go on with it, or choose another --run",
                options->run);
out:
    return sl_group_settle(t->ranks->group, rc);
}

/* The checkpoint to go on from; none: a cleared one. It is there before the session is, for the kernels it names. */
static int open_checkpoint(struct training *t, struct sl_checkpoint *checkpoint)
{
    bool has;
    const int rc = sl_store_has_checkpoint_together(t->ranks->group, t->options->run, &has);
    if (rc != SL_OK || !has)
        return rc;
    return sl_store_load_together(t->ranks->group, t->options->run, say_early, t, checkpoint);
}

static int open_log(struct training *t)
{
    const struct train_options *options = t->options;
    const struct sl_log_options log = {
        .run = options->run,
        .epochs = (uint64_t)options->epochs,
        .performance_every = (uint64_t)options->log_every,
        .progress = options->quiet ? SL_PROGRESS_NONE : SL_PROGRESS_AUTO,
        .silent = !speaks(t),
    };
    const int rc = sl_log_open(&log, &t->log);
    if (rc == SL_OK)
        log_early(t);
    return rc;
}

static int open_session(struct training *t, const struct sl_checkpoint *checkpoint)
{
    int rc = SL_OK;
    struct train_options *options = t->options;
    struct sl_session_options *session = &options->session;
    session->from = checkpoint->folder ? checkpoint : NULL;
    session->say = speaks(t) ? say_early : NULL;
    session->say_self = t;
    SL_TRY(sl_session_open(session, build_network, options, &t->session));
    options->kernels = sl_policy_name(t->session.rows.policy); /* for config.json */
    options->kernels_given = true;
    SL_TRY(sl_metrics_open(&t->metrics, sl_graph_classes(t->session.model.graph), 5));
    SL_TRY(open_log(t));
    if (options->profile)
        SL_TRY(sl_profile_open(&t->session.device, t->session.training, &t->profile));
out:
    session->from = t->session.options.from = NULL;
    return sl_group_settle(t->ranks->group, rc);
}

/* Each rank its own; rank 0 speaks of its. */
static int open_device(struct training *t)
{
    struct train_options *options = t->options;
    struct cli_device_options *device = &options->device;
    char line[CLI_DEVICE_LINE];
    const int rc = cli_device_open(device, t->ranks, options->session.threads, &t->device, line);
    if (rc != SL_OK)
        return rc;
    options->session.device = &t->device;
    if (speaks(t) && cli_device_is_news(device, &t->device))
        say_early(t, line);
    else
        note_early(t, line);
    device->backend = t->device.host_memory ? "cpu" : "cuda"; /* for config.json */
    device->backend_given = true;
    return SL_OK;
}

/* What must be the same on all ranks so that they take the same steps. */
static int agree(const struct training *t)
{
    const struct train_options *o = t->options;
    char steps[256], rates[96];
    snprintf(steps, sizeof steps,
             "epochs %" PRId64 ", max-steps %" PRId64 ", eval-every %" PRId64 ", checkpoint-every %" PRId64
             ", max-skips %" PRId64 ", hash-every %" PRId64 ", flush %d",
             o->epochs, o->max_steps, o->eval_every, o->checkpoint_every, o->max_skips, o->flock.hash_every,
             o->flock.flush_residual);
    snprintf(rates, sizeof rates, "%.64s%s", o->schedule, o->flock.scale_rate ? ", scaled" : "");
    const struct sl_agree_pair pairs[] = {
        {"version", SL_VERSION}, {"run", o->run}, {"steps", steps}, {"learning-rate", rates}};
    return flock_agree(&t->flock, pairs, sizeof pairs / sizeof *pairs);
}

static int open_training(struct training *t)
{
    int rc = SL_OK;
    struct sl_checkpoint checkpoint = {0};
    SL_TRY(open_store(t));
    SL_TRY(open_checkpoint(t, &checkpoint));
    SL_TRY(open_session(t, &checkpoint));
    if (t->store)
        sl_store_listen(t->store, say, t->log);
    SL_TRY(sl_group_settle(t->ranks->group, flock_open(&t->options->flock, t->ranks, &t->session, &t->flock)));
    t->flock.stop_signal = &train_stop_signal;
    SL_TRY(start_or_resume(t, &checkpoint));
    SL_TRY(agree(t));
    SL_TRY(sl_group_settle(t->ranks->group, speaks(t) ? train_options_write(t->options) : SL_OK));
    if (speaks(t))
        print_plan(&t->session);
    flock_say_hello(&t->flock, t->log);
    t->epoch_start = sl_clock();
out:
    sl_checkpoint_close(&checkpoint);
    return rc;
}

static int close_training(struct training *t)
{
    sl_metrics_close(&t->metrics);
    if (t->store)
        sl_store_listen(t->store, NULL, NULL);
    const int rc = sl_log_close(t->log);
    if (t->profile && speaks(t))
        sl_profile_print(t->profile, stderr);
    sl_profile_close(t->profile);
    flock_close(&t->flock);
    sl_session_close(&t->session);
    if (t->device.close)
        t->device.close(t->device.self);
    sl_store_close(t->store);
    return rc;
}

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

static int learn(struct training *t)
{
    struct sl_session_result done;
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

/* Alone a signal counts at once; several ranks stop where they agreed to, after the same step. */
static bool stops(const struct training *t)
{
    return t->flock.row ? t->flock.stop : train_stop_signal != 0;
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
    SL_TRY(sl_group_settle(ranks->group, open_device(&t)));
    if (options->dry_run) {
        rc = sl_group_settle(ranks->group, dry_run(options, speaks(&t)));
        goto out;
    }
    SL_TRY(open_training(&t));
    train_signals_note();
    SL_TRY(train(&t));
    say_end(&t);
    if (speaks(&t))
        printf("%s\n", options->run);
out:;
    const int closed = close_training(&t);
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
