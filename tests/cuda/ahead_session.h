/* What the tests of a device that works ahead share: runs in every way, and what they leave behind. */
#ifndef SL_TESTS_CUDA_AHEAD_SESSION_H
#define SL_TESTS_CUDA_AHEAD_SESSION_H

#include "tests/cuda/ahead_device.h"

#include <math.h>

#include "tests/cuda/tiny_session.h"
#include "tests/net.h"

/* What training leaves behind. */
struct trace {
    double losses[STEPS], validation;
    float *weights, *statistics, *moments;
    int64_t trained, state;
};

static inline void close_trace(struct trace *trace)
{
    free(trace->weights);
    free(trace->statistics);
    free(trace->moments);
}

static inline struct sl_session_options options_of(const struct sl_device *device)
{
    struct sl_session_options options = tiny_options(device);
    options.schedule = (struct sl_schedule){.count = 3, .epochs = {0, 1, 2}, .rates = {1e-3, 5e-4, 2e-4}};
    return options;
}

/* The steps of a run; with `ahead`, each starts the next one where there is one. */
static inline void train(struct sl_session *session, int from, int to, bool ahead, double losses[])
{
    for (int i = from; i < to; i++) {
        session->goes_on = ahead && i + 1 < to;
        take_steps(session, 1, &losses[i]);
    }
}

static inline double validate(struct sl_session *session)
{
    struct sl_metrics metrics;
    assert_ok(sl_metrics_open(&metrics, CLASSES, 2));
    assert_ok(sl_session_validate(session, &metrics, NULL));
    const double loss = sl_metrics_mean_loss(&metrics);
    sl_metrics_close(&metrics);
    return loss;
}

static inline void take_trace(struct sl_session *session, struct trace *trace)
{
    const struct sl_weights *w = session->weights;
    trace->trained = w->trained;
    trace->state = w->state;
    trace->weights = copy_back(session, w->values, w->trained);
    trace->statistics = copy_back(session, w->statistics, w->state);
    trace->moments = copy_back(session, session->updater->state[0], w->trained);
}

/* Half of the steps, a validation whose plan shares the arena, and the rest. */
static inline void run_all(struct sl_session *session, bool ahead, struct trace *trace)
{
    enum { HALF = 9 };
    train(session, 0, HALF, ahead, trace->losses);
    trace->validation = validate(session);
    train(session, HALF, STEPS, ahead, trace->losses);
    take_trace(session, trace);
}

static inline void assert_same(const char *what, const struct trace *got, const struct trace *wanted)
{
    for (int i = 0; i < STEPS; i++)
        if (memcmp(&got->losses[i], &wanted->losses[i], sizeof *got->losses))
            fail_msg("%s: the loss of step %d is %.17g, not %.17g", what, i, got->losses[i], wanted->losses[i]);
    assert_true(got->validation == wanted->validation);
    assert_memory_equal(got->weights, wanted->weights, (size_t)wanted->trained * sizeof(float));
    assert_memory_equal(got->statistics, wanted->statistics, (size_t)wanted->state * sizeof(float));
    assert_memory_equal(got->moments, wanted->moments, (size_t)wanted->trained * sizeof(float));
}

struct told {
    char text[2048];
};

static inline void note(void *self, const char *line)
{
    struct told *told = self;
    const size_t n = strlen(told->text);
    snprintf(told->text + n, sizeof told->text - n, "%s\n", line);
}

enum where { KEPT, NOT_DECODED, NO_ROOM };

/* What a session takes in all. */
static inline struct sl_session_memory memory_of(const struct sl_device *device, enum sl_element precision)
{
    struct sl_session session;
    struct sl_session_options options = options_of(device);
    options.precision = precision;
    assert_ok(sl_session_open(&options, build_tiny, NULL, &session));
    const struct sl_session_memory memory = session.memory;
    sl_session_close(&session);
    return memory;
}

static inline void open_where(struct sl_device *device, enum where where, enum sl_element precision,
                              struct sl_session *session)
{
    static const char *const said[] = {
        [KEPT] = "images of train stay with emulated (0.0 MB): a step sends their places alone",
        [NOT_DECODED] = "images of train are sent to emulated batch by batch: there is no room to keep all of them",
        [NO_ROOM] = "images of train are sent to emulated batch by batch: it has no room for all of them",
    };
    struct told told = {""};
    struct sl_session_options options = options_of(device);
    options.precision = precision;
    options.say = note;
    options.say_self = &told;
    const struct sl_session_memory m = memory_of(device, precision);
    if (where == NOT_DECODED)
        options.memory_limit = m.loading + m.shards;
    if (where == NO_ROOM) /* but for what stays free */
        device->memory = m.weights + m.training + m.inference + m.scratch + m.held;
    assert_ok(sl_session_open(&options, build_tiny, NULL, session));
    if (!strstr(told.text, said[where]))
        fail_msg("\"%s\" was not said, but: %s", said[where], told.text);
    assert_int_equal(sl_loader_cache(session->train) == NULL, where == NOT_DECODED);
    session->options.say = NULL;
}

/* This device does nothing ahead, whatever the caller allows. */
static inline void trace_one_after_the_other(const struct sl_device *device, enum sl_element precision,
                                             struct trace *trace)
{
    struct sl_session session;
    struct sl_session_options options = options_of(device);
    options.precision = precision;
    assert_ok(sl_session_open(&options, build_tiny, NULL, &session));
    run_all(&session, true, trace);
    assert_false(session.ahead.there);
    sl_session_close(&session);
}
#endif
