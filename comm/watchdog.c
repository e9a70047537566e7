/* Who is watched is the training thread of this rank; who is named are the others.
 *
 * Time is counted in ticks, and a tick counts for a moment at most: where the whole job was stopped and goes on (by a
 * scheduler, or by a person with a debugger), nobody has waited. */
#include "comm/watchdog.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "comm/last_words.h"
#include "comm/timer.h"
#include "runtime/base/clock.h"

enum { START_LIMIT = 600, STEP_LIMIT = 60, STEP_FACTOR = 20, GRACE = 3, ABORT_LIMIT = 10 };

struct sl_watchdog {
    const struct sl_wire *wire;
    struct sl_comm_options options;
    double period;
    struct sl_timer *timer;
    /* The training thread's. */
    _Atomic(const char *const *) hosts;
    atomic_uint phase;
    atomic_uint_fast64_t step, calls;
    atomic_uint_fast64_t wait; /* nanoseconds of the clock at its begin; 0: none */
    pthread_mutex_t lock;      /* of what is guarded */
    void (*abort)(void *self);
    void *guarded;
    /* Of the thread that ticks. */
    double last, elapsed, told; /* of the clock: the last tick, what it counted, the last beat */
    double waited, longest;     /* in this wait, and in the longest of training */
    double deserted;            /* since somebody left who was waited for */
    uint64_t wait_seen;
    unsigned wait_phase;
    struct sl_beat *beats;
    uint64_t *counts; /* of the newest beat of each rank */
    double *ages;
};

/* ---- what the training thread says ---- */

void sl_watchdog_name(struct sl_watchdog *watchdog, const char *const *hosts)
{
    if (watchdog)
        atomic_store(&watchdog->hosts, hosts);
}

void sl_watchdog_enter(struct sl_watchdog *watchdog, enum sl_phase phase, uint64_t step)
{
    if (!watchdog)
        return;
    atomic_store_explicit(&watchdog->phase, phase, memory_order_relaxed);
    atomic_store_explicit(&watchdog->step, step, memory_order_relaxed);
}

void sl_watchdog_call(struct sl_watchdog *watchdog)
{
    if (watchdog)
        atomic_fetch_add_explicit(&watchdog->calls, 1, memory_order_relaxed);
}

void sl_watchdog_wait(struct sl_watchdog *watchdog, double begin)
{
    if (watchdog)
        atomic_store_explicit(&watchdog->wait, (uint64_t)(1e9 * begin), memory_order_relaxed);
}

void sl_watchdog_guard(struct sl_watchdog *watchdog, void (*abort)(void *self), void *self)
{
    if (!watchdog)
        return;
    pthread_mutex_lock(&watchdog->lock);
    watchdog->abort = abort;
    watchdog->guarded = self;
    pthread_mutex_unlock(&watchdog->lock);
}

/* ---- a tick ---- */

static double limit_of(const struct sl_watchdog *watchdog, unsigned phase)
{
    const double least = watchdog->options.step_limit, longest = STEP_FACTOR * watchdog->longest;
    if (phase != SL_PHASE_TRAINING)
        return watchdog->options.start_limit;
    if (least > 0)
        return least;
    return longest > STEP_LIMIT ? longest : STEP_LIMIT;
}

static void count_time(struct sl_watchdog *watchdog)
{
    const double now = sl_clock(), most = 4 * watchdog->period, since = now - watchdog->last;
    watchdog->elapsed = since < most ? since : most;
    watchdog->last = now;
}

/* A wait that has ended counts among those that set the limit of training. */
static void follow_wait(struct sl_watchdog *watchdog)
{
    const uint64_t wait = atomic_load_explicit(&watchdog->wait, memory_order_relaxed);
    if (wait == watchdog->wait_seen) {
        watchdog->waited += wait ? watchdog->elapsed : 0;
        return;
    }
    if (watchdog->wait_phase == SL_PHASE_TRAINING && watchdog->waited > watchdog->longest)
        watchdog->longest = watchdog->waited;
    const double since = wait ? watchdog->last - 1e-9 * (double)wait : 0;
    watchdog->waited = since < watchdog->elapsed ? since : watchdog->elapsed;
    watchdog->wait_seen = wait;
    watchdog->wait_phase = atomic_load_explicit(&watchdog->phase, memory_order_relaxed);
    watchdog->deserted = 0;
}

static struct sl_beat beat_of(const struct sl_watchdog *watchdog)
{
    const double waited = 1e3 * watchdog->waited;
    return (struct sl_beat){
        .step = atomic_load_explicit(&watchdog->step, memory_order_relaxed),
        .calls = atomic_load_explicit(&watchdog->calls, memory_order_relaxed),
        .waited = waited < 1 && watchdog->waited > 0 ? 1 : (uint64_t)waited,
        .count = watchdog->counts[watchdog->wire->rank],
        .phase = atomic_load_explicit(&watchdog->phase, memory_order_relaxed),
    };
}

/* While the training goes on, nobody asks whether this failed: the others fall silent then, and the limits hold. */
static int exchange_beats(struct sl_watchdog *watchdog, uint32_t status, bool now)
{
    const struct sl_wire *wire = watchdog->wire;
    const bool tells = now || watchdog->last - watchdog->told >= watchdog->period;
    watchdog->counts[wire->rank] += tells;
    struct sl_beat mine = beat_of(watchdog);
    mine.status = status;
    int rc = tells ? wire->tell(wire->self, &mine) : SL_OK;
    watchdog->told = tells ? watchdog->last : watchdog->told;
    rc = rc == SL_OK ? wire->hear(wire->self, watchdog->beats) : rc;
    watchdog->beats[wire->rank] = mine;
    for (int i = 0; i < wire->size; i++) {
        const bool fresh = i == wire->rank || watchdog->beats[i].count != watchdog->counts[i];
        watchdog->counts[i] = watchdog->beats[i].count;
        watchdog->ages[i] = fresh ? 0 : watchdog->ages[i] + watchdog->elapsed;
    }
    return rc;
}

/* ---- judging ---- */

static struct sl_roll roll_of(const struct sl_watchdog *watchdog)
{
    enum { BEATS_MISSED = 6 };
    return (struct sl_roll){watchdog->wire->rank, watchdog->wire->size, atomic_load(&watchdog->hosts),
                            watchdog->beats,      watchdog->ages,       BEATS_MISSED * watchdog->period};
}

static void say(const struct sl_watchdog *watchdog, const char *line)
{
    if (watchdog->options.last_words)
        watchdog->options.last_words(watchdog->options.self, line);
    else
        fprintf(stderr, "%s\n", line);
}

/* What is aborted may hang in turn; then the process ends. */
static void abort_guarded(struct sl_watchdog *watchdog)
{
    struct sl_timer *deadline = NULL;
    pthread_mutex_lock(&watchdog->lock);
    if (watchdog->abort) {
        if (sl_timer_deadline(ABORT_LIMIT, "aborting the calls inside the node", &deadline) != SL_OK)
            sl_clear_error();
        watchdog->abort(watchdog->guarded);
        sl_timer_close(deadline);
    }
    pthread_mutex_unlock(&watchdog->lock);
}

static void end_job(struct sl_watchdog *watchdog, int code)
{
    char line[SL_LAST_WORDS_BYTES];
    const struct sl_roll roll = roll_of(watchdog);
    sl_last_words(&roll, line);
    say(watchdog, line);
    abort_guarded(watchdog);
    watchdog->wire->abort(watchdog->wire->self, code);
}

/* The wire has failed, and its detail says why. */
static void end_unheard(const struct sl_watchdog *watchdog, int code)
{
    char line[SL_LAST_WORDS_BYTES], name[320];
    const struct sl_roll roll = roll_of(watchdog);
    sl_roll_name(&roll, roll.rank, name, sizeof name);
    snprintf(line, sizeof line, "%s cannot take leave of the others: %s", name, sl_last_error());
    say(watchdog, line);
    watchdog->wire->abort(watchdog->wire->self, code);
}

/* The worst status of the ranks that have left although they were waited for, SL_IO where they left well; SL_OK: there
 * are none. */
static int desertion(const struct sl_watchdog *watchdog)
{
    const struct sl_roll roll = roll_of(watchdog);
    bool deserted = false;
    int worst = SL_OK;
    for (int i = 0; i < roll.size; i++)
        if (i != roll.rank && sl_roll_has_deserted(&roll, i)) {
            deserted = true;
            worst = (int)roll.beats[i].status > worst ? (int)roll.beats[i].status : worst;
        }
    return deserted && worst == SL_OK ? SL_IO : worst;
}

/* Who left ends the job itself after its grace; if it cannot, this rank does a little later. True: it is over. */
static bool judge(struct sl_watchdog *watchdog)
{
    if (!watchdog->wait_seen)
        return false;
    const int status = desertion(watchdog);
    watchdog->deserted = status == SL_OK ? 0 : watchdog->deserted + watchdog->elapsed;
    const bool alone = watchdog->deserted > 5.0 / 3.0 * watchdog->options.grace;
    if (!alone && watchdog->waited <= limit_of(watchdog, watchdog->wait_phase))
        return false;
    if (atomic_load(&watchdog->wait) != watchdog->wait_seen)
        return false;
    end_job(watchdog, alone ? status : SL_IO);
    return true;
}

/* ---- the thread ---- */

static bool tick(void *self)
{
    struct sl_watchdog *watchdog = self;
    count_time(watchdog);
    follow_wait(watchdog);
    (void)exchange_beats(watchdog, SL_OK, true);
    return !judge(watchdog);
}

static bool all_left(const struct sl_watchdog *watchdog)
{
    for (int i = 0; i < watchdog->wire->size; i++)
        if (!watchdog->beats[i].count || watchdog->beats[i].phase != SL_PHASE_LEAVING)
            return false;
    return true;
}

/* *all: they came in time. SL_IO: the wire has failed. */
static int wait_for_goodbyes(struct sl_watchdog *watchdog, uint32_t status, double limit, bool *all)
{
    static const struct timespec moment = {.tv_nsec = 20000000};
    int rc = SL_OK;
    *all = false;
    watchdog->waited = 0;
    count_time(watchdog);
    for (bool first = true; !*all && watchdog->waited <= limit; first = false) {
        if (!first) {
            nanosleep(&moment, NULL);
            count_time(watchdog);
            watchdog->waited += watchdog->elapsed;
        }
        SL_TRY(exchange_beats(watchdog, status, first));
        *all = all_left(watchdog);
    }
out:
    return rc;
}

bool sl_watchdog_leave(struct sl_watchdog *watchdog, int rc, bool together)
{
    if (!watchdog)
        return true;
    sl_timer_close(watchdog->timer);
    watchdog->timer = NULL;
    sl_watchdog_enter(watchdog, SL_PHASE_LEAVING, atomic_load(&watchdog->step));
    const bool patient = rc == SL_OK || together;
    const double limit = patient ? watchdog->options.start_limit : watchdog->options.grace;
    bool all;
    const int heard = wait_for_goodbyes(watchdog, (uint32_t)rc, limit, &all);
    if (heard != SL_OK)
        end_unheard(watchdog, rc == SL_OK ? heard : rc);
    else if (!all)
        end_job(watchdog, rc == SL_OK ? SL_IO : rc);
    return all;
}

/* ---- opening ---- */

static void fill_options(struct sl_comm_options *options)
{
    options->start_limit = options->start_limit > 0 ? options->start_limit : START_LIMIT;
    options->grace = options->grace > 0 ? options->grace : GRACE;
}

/* Twice a second, or often enough for limits as short as those of tests. */
static double period_of(const struct sl_comm_options *options)
{
    const double step = options->step_limit > 0 ? options->step_limit : STEP_LIMIT;
    const double least = step < options->start_limit ? step : options->start_limit;
    return least / 10 < 0.5 ? least / 10 : 0.5;
}

int sl_watchdog_open(const struct sl_wire *wire, const struct sl_comm_options *options, struct sl_watchdog **watchdog)
{
    int rc = SL_OK;
    const size_t size = (size_t)wire->size;
    struct sl_watchdog *made = calloc(1, sizeof *made);
    if (!made)
        return sl_fail(SL_SYSTEM, "out of memory for a watchdog over %d ranks", wire->size);
    pthread_mutex_init(&made->lock, NULL);
    made->wire = wire;
    made->options = *options;
    fill_options(&made->options);
    made->period = period_of(&made->options);
    made->beats = calloc(size, sizeof *made->beats);
    made->counts = calloc(size, sizeof *made->counts);
    made->ages = calloc(size, sizeof *made->ages);
    if (!made->beats || !made->counts || !made->ages)
        SL_FAIL(SL_SYSTEM, "out of memory for a watchdog over %d ranks", wire->size);
    made->last = sl_clock();
    SL_TRY(sl_timer_open(made->period, tick, made, &made->timer));
    *watchdog = made;
    made = NULL;
out:
    sl_watchdog_close(made);
    return rc;
}

void sl_watchdog_close(struct sl_watchdog *watchdog)
{
    if (!watchdog)
        return;
    sl_timer_close(watchdog->timer);
    free(watchdog->beats);
    free(watchdog->counts);
    free(watchdog->ages);
    pthread_mutex_destroy(&watchdog->lock);
    free(watchdog);
}
