/* What became of the ranks of a thread group: each one's status, and the error it ended with. */
#ifndef SL_TESTS_THREAD_OUTCOME_H
#define SL_TESTS_THREAD_OUTCOME_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/thread_group.h"

enum { THREAD_ERROR = 1024 };

struct thread_outcome {
    /* Must not assert: it is not in the test's own thread. */
    int (*body)(const struct sl_group *group, void *self);
    void *selves[THREAD_RANKS]; /* of each rank */
    int size, status[THREAD_RANKS];
    char error[THREAD_RANKS][THREAD_ERROR];
};

static inline void thread_note(const struct sl_group *group, void *self)
{
    struct thread_outcome *outcome = self;
    sl_clear_error();
    outcome->status[group->rank] = outcome->body(group, outcome->selves[group->rank]);
    snprintf(outcome->error[group->rank], THREAD_ERROR, "%s", sl_last_error());
}

/* Runs the body as each of `size` ranks; returns rank 0's status. */
static inline int thread_outcome_run(struct thread_outcome *outcome, int size)
{
    outcome->size = size;
    thread_group_run(size, thread_note, outcome);
    return outcome->status[0];
}

/* All ranks ended with that status, and said `part`. */
static inline void assert_all_end(const struct thread_outcome *outcome, int status, const char *part)
{
    for (int i = 0; i < outcome->size; i++)
        if (outcome->status[i] != status || !strstr(outcome->error[i], part))
            fail_msg("rank %d: %d, \"%s\" instead of %d, \"%s\"", i, outcome->status[i], outcome->error[i], status,
                     part);
}
#endif
