/* train_tinyimagenet: the recipe of DL4J's cookbook on a prepared data set. The loop is here, so that an exchange
 * between ranks can plug in through session.hooks. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "apps/cli.h"
#include "apps/train_tinyimagenet_options.h"
#include "apps/train_tinyimagenet_signals.h"
#include "models/models.h"
#include "runtime/base/clock.h"
#include "runtime/report/log.h"
#include "runtime/train/session.h"

struct training {
    const struct train_options *options;
    struct sl_session session;
    struct sl_store *store;
    struct sl_log *log;
    struct sl_metrics metrics;
    double epoch_start;
    uint64_t epoch_images; /* trained since epoch_start */
    uint64_t saved;        /* iteration of the newest checkpoint */
};

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

static void print_plan(const struct sl_session *session)
{
    const struct sl_session_memory *m = &session->memory;
    fprintf(stderr,
            "memory: weights %.1f MB, training %.1f MB, validation %.1f MB, scratch %.1f MB, loading %.1f MB, images "
            "%.1f MB\n",
            (double)m->weights / 1e6, (double)m->training / 1e6, (double)m->inference / 1e6, (double)m->scratch / 1e6,
            (double)(m->loading + m->shards) / 1e6, (double)m->images / 1e6);
}

static int dry_run(const struct train_options *options)
{
    int rc = SL_OK;
    struct sl_session session = {0};
    SL_TRY(sl_session_open(&options->session, build_network, (void *)(uintptr_t)options, &session));
    SL_TRY(sl_graph_print(session.model.graph, stdout));
    SL_TRY(sl_plan_print(session.training, stdout));
    print_plan(&session);
out:
    sl_session_close(&session);
    return rc;
}

static void keep_best(struct training *t)
{
    if (!sl_store_keep_best(t->store, t->session.best.step))
        t->session.best = (struct sl_best){0};
}

/* A fresh folder, or one whose newest good checkpoint is taken up. */
static int start_or_resume(struct training *t)
{
    int rc = SL_OK;
    struct sl_checkpoint checkpoint = {0};
    const char *run = t->options->run;
    const struct sl_position *p = &t->session.position;
    bool has;
    SL_TRY(sl_store_has_checkpoint(run, &has));
    if (!has) {
        keep_best(t);
        if (!t->options->resume)
            goto out;
        sl_log_resumed(t->log, 0, 0); /* what a run without a checkpoint has logged does not count */
        sl_log_message(t->log, "nothing to resume in %s; starting afresh", run);
        goto out;
    }
    SL_TRY(sl_store_load(run, say, t->log, &checkpoint));
    SL_TRY(sl_session_resume(&t->session, &checkpoint, say, t->log));
    keep_best(t);
    sl_store_trim(t->store); /* the disk may be full of what a larger --keep left */
    t->saved = p->iteration;
    sl_log_resumed(t->log, p->epoch, p->iteration);
    sl_log_message(t->log, "resumed from %s: epoch %" PRIu64 ", batch %" PRIu64, checkpoint.folder, p->epoch, p->index);
out:
    sl_checkpoint_close(&checkpoint);
    return rc;
}

/* Locked from here on; a run that is there is touched only if it is to go on. */
static int open_store(struct training *t)
{
    int rc = SL_OK;
    const struct train_options *options = t->options;
    bool has;
    SL_TRY(sl_store_open(options->run, (int)options->keep, &t->store));
    SL_TRY(sl_store_has_checkpoint(options->run, &has));
    if (has && !options->resume)
        SL_FAIL(SL_CANNOT_CREATE, "%s: already holds a run; add --resume to go on with it, or choose another --run",
                options->run);
out:
    return rc;
}

static int open_training(const struct train_options *options, struct training *t)
{
    int rc = SL_OK;
    const struct sl_log_options log = {
        .run = options->run,
        .epochs = (uint64_t)options->epochs,
        .performance_every = (uint64_t)options->log_every,
        .progress = options->quiet ? SL_PROGRESS_NONE : SL_PROGRESS_AUTO,
    };
    t->options = options;
    SL_TRY(open_store(t));
    SL_TRY(sl_session_open(&options->session, build_network, (void *)(uintptr_t)options, &t->session));
    SL_TRY(sl_log_open(&log, &t->log));
    sl_store_listen(t->store, say, t->log);
    SL_TRY(start_or_resume(t));
    SL_TRY(train_options_write(options));
    SL_TRY(sl_metrics_open(&t->metrics, sl_graph_classes(t->session.model.graph), 5));
    print_plan(&t->session);
    t->epoch_start = sl_clock();
out:
    return rc;
}

static int close_training(struct training *t)
{
    sl_metrics_close(&t->metrics);
    if (t->store)
        sl_store_listen(t->store, NULL, NULL);
    const int rc = sl_log_close(t->log);
    sl_session_close(&t->session);
    sl_store_close(t->store);
    return rc;
}

static int save(struct training *t)
{
    const uint64_t iteration = t->session.position.iteration;
    if (t->saved == iteration && iteration > 0)
        return SL_OK;
    const int rc = sl_session_save(&t->session, t->store);
    if (rc == SL_OK)
        t->saved = iteration;
    return rc;
}

/* A checkpoint that cannot be written now may succeed later: training goes on, the old ones stay. Numbers that are not
 * finite never become so again. */
static int save_or_warn(struct training *t)
{
    const int rc = save(t);
    if (rc == SL_OK || rc == SL_NUMERICS)
        return rc;
    sl_log_message(t->log, "warning: no checkpoint: %s", sl_last_error());
    return SL_OK;
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
    const int rc = save_or_warn(t);
    if (t->saved != iteration)
        t->session.best = before;
    keep_best(t);
    return rc;
}

/* Validates, logs and saves. SL_PREEMPTED: a signal came meanwhile, and the epoch has not ended yet. */
static int end_epoch(struct training *t)
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
    if (validates(t)) {
        SL_TRY(sl_session_validate(&t->session, &t->metrics, &train_stop_signal));
        record.val_loss = sl_metrics_mean_loss(&t->metrics);
        record.top1 = sl_metrics_accuracy(&t->metrics);
        record.top5 = sl_metrics_top_n(&t->metrics);
    }
    sl_log_epoch(t->log, &record);
    sl_session_next_epoch(&t->session);
    t->epoch_start = sl_clock();
    t->epoch_images = 0;
    rc = save_validated(t, record.top1);
out:
    return rc;
}

static void log_step(struct training *t, const struct sl_session_result *step)
{
    const struct sl_step_record record = {
        .epoch = step->epoch,
        .iteration = step->iteration + 1,
        .step_in_epoch = step->index + 1,
        .steps_per_epoch = sl_loader_batches(t->session.train),
        .samples = step->samples,
        .wait_seconds = step->waited,
        .step_seconds = step->seconds,
        .score = step->score,
        .loss = step->loss,
        .rate = step->rate,
    };
    t->epoch_images += (uint64_t)step->samples;
    sl_log_step(t->log, &record);
}

static int step(struct training *t)
{
    int rc = SL_OK;
    struct sl_session_result done;
    const uint64_t every = (uint64_t)t->options->checkpoint_every;
    SL_TRY(sl_session_step(&t->session, &done));
    if (done.samples > 0)
        log_step(t, &done);
    if (every && t->session.position.iteration % every == 0 && !sl_session_epoch_trained(&t->session))
        rc = save_or_warn(t);
out:
    return rc;
}

static int stop(struct training *t)
{
    int rc = SL_OK;
    SL_TRY(save(t));
    SL_FAIL(SL_PREEMPTED, "stopped by %s after %" PRIu64 " steps; the checkpoint is saved, go on with --resume",
            train_signal_name(train_stop_signal), t->session.position.iteration);
out:
    return rc;
}

static bool finished(const struct training *t)
{
    const struct sl_position *p = &t->session.position;
    const struct train_options *options = t->options;
    return p->epoch >= (uint64_t)options->epochs ||
           (options->max_steps && p->iteration >= (uint64_t)options->max_steps);
}

static int train(struct training *t)
{
    int rc = SL_OK;
    const struct sl_position *p = &t->session.position;
    if (p->iteration > 0 && finished(t))
        sl_log_message(t->log,
                       "nothing left to do: %" PRIu64 " epochs and %" PRIu64 " steps are trained; --epochs or "
                       "--max-steps can ask for more",
                       p->epoch, p->iteration);
    for (;;) {
        const bool trained = sl_session_epoch_trained(&t->session);
        if (!trained && finished(t))
            break;
        if (train_stop_signal)
            return stop(t);
        rc = trained ? end_epoch(t) : step(t);
        if (rc != SL_OK && rc != SL_PREEMPTED)
            return rc;
    }
    return save(t);
}

static void say_best(const struct training *t)
{
    const struct sl_best *best = &t->session.best;
    if (best->step)
        sl_log_message(t->log, "best: %s/best is ckpt-%" PRIu64 ", validation accuracy %.2f %%; newest: ckpt-%" PRIu64,
                       t->options->run, best->step, 100 * best->accuracy, t->saved);
}

static int run(const struct train_options *options)
{
    int rc = SL_OK;
    struct training t = {0};
    if (options->dry_run)
        return dry_run(options);
    train_signals_watch();
    SL_TRY(open_training(options, &t));
    train_signals_note();
    SL_TRY(train(&t));
    say_best(&t);
    printf("%s\n", options->run);
out:;
    const int closed = close_training(&t);
    return rc != SL_OK ? rc : closed;
}

int main(int argc, char **argv)
{
    struct train_options options;
    int rc = train_options_parse(argc, argv, &options);
    return cli_end(rc == SL_OK ? run(&options) : rc);
}
