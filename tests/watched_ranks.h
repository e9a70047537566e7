/* Ranks that are threads, under the watchdog of their comm: what the first of them that ended the job said, and with
 * what. */
#ifndef SL_TESTS_WATCHED_RANKS_H
#define SL_TESTS_WATCHED_RANKS_H

#include <string.h>

#include "tests/rank_checks.h"

static struct {
    pthread_mutex_t lock;
    int code, ends;
    char words[2048];
} seen = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void (*abort_of_the_loop)(void *self, int code);

static inline void note_words(void *self, const char *line)
{
    (void)self;
    pthread_mutex_lock(&seen.lock);
    if (!seen.words[0])
        snprintf(seen.words, sizeof seen.words, "%s", line);
    pthread_mutex_unlock(&seen.lock);
}

static inline void note_end(void *self, int code)
{
    pthread_mutex_lock(&seen.lock);
    seen.code = seen.ends++ ? seen.code : code;
    pthread_mutex_unlock(&seen.lock);
    abort_of_the_loop(self, code);
}

static inline bool has_ended(void)
{
    pthread_mutex_lock(&seen.lock);
    const bool ended = seen.ends > 0;
    pthread_mutex_unlock(&seen.lock);
    return ended;
}

static inline void run_watched(int size, void (*body)(struct sl_wire *wire, void *self), void *self)
{
    seen.code = seen.ends = 0;
    seen.words[0] = '\0';
    run_ranks(size, body, self);
}

static inline struct sl_comm *open_within(struct sl_wire *wire, double start_limit, double step_limit)
{
    struct sl_comm *comm = NULL;
    const struct sl_comm_options options = {
        .start_limit = start_limit, .step_limit = step_limit, .grace = 0.3, .last_words = note_words};
    pthread_mutex_lock(&seen.lock);
    abort_of_the_loop = wire->abort;
    pthread_mutex_unlock(&seen.lock);
    wire->abort = note_end;
    CHECK_OK(sl_comm_open(wire, &options, &comm));
    return comm;
}

static inline struct sl_comm *open_watched(struct sl_wire *wire, double step_limit)
{
    return open_within(wire, 20, step_limit);
}

static inline void assert_in(const char *text, const char *words)
{
    if (!strstr(text, words))
        fail_msg("wanted \"%s\" in: %s", words, text);
}

static inline void assert_said(const char *words)
{
    assert_in(seen.words, words);
}

#endif
