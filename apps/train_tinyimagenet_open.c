#include "apps/train_tinyimagenet_open.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "apps/cli_process.h"
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

bool train_speaks(const struct training *t)
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
    if (m->held)
        fprintf(stderr, ", images on the device %.1f MB", (double)m->held / 1e6);
    fputc('\n', stderr);
}

int train_dry_run(const struct training *t)
{
    int rc = SL_OK;
    struct sl_session session = {0};
    struct sl_session_options opening = t->options->session;
    opening.say = train_speaks(t) ? cli_say : NULL;
    SL_TRY(sl_session_open(&opening, build_network, t->options, &session));
    if (!train_speaks(t))
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
    if (!train_speaks(t))
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
        .silent = !train_speaks(t),
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
    session->say = train_speaks(t) ? say_early : NULL;
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

int train_open_device(struct training *t)
{
    struct train_options *options = t->options;
    struct cli_device_options *device = &options->device;
    char line[CLI_DEVICE_LINE];
    const int rc = cli_device_open(device, t->ranks, options->session.threads, &t->device, line);
    if (rc != SL_OK)
        return rc;
    options->session.device = &t->device;
    if (train_speaks(t) && cli_device_is_news(device, &t->device))
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

int train_open(struct training *t)
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
    SL_TRY(sl_group_settle(t->ranks->group, train_speaks(t) ? train_options_write(t->options) : SL_OK));
    if (train_speaks(t))
        print_plan(&t->session);
    flock_say_hello(&t->flock, t->log);
    t->epoch_start = sl_clock();
out:
    sl_checkpoint_close(&checkpoint);
    return rc;
}

int train_close(struct training *t, int rc)
{
    sl_metrics_close(&t->metrics);
    if (t->store)
        sl_store_listen(t->store, NULL, NULL);
    const int closed = sl_log_close(t->log);
    if (t->profile && train_speaks(t))
        sl_profile_print(t->profile, stderr);
    sl_profile_close(t->profile);
    const int left = flock_close(&t->flock, rc);
    sl_session_close(&t->session);
    if (t->device.close)
        t->device.close(t->device.self);
    sl_store_close(t->store);
    return closed != SL_OK ? closed : left;
}
