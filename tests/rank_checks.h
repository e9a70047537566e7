/* Checks within ranks that are threads, where cmocka's assertions may not jump: the first thing that is wrong is
 * written down, and looked at when all have ended. */
#ifndef SL_TESTS_RANK_CHECKS_H
#define SL_TESTS_RANK_CHECKS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#include "comm/comm.h"
#include "tests/ranks.h"

static char rank_wrong[1024];
static pthread_mutex_t rank_lock = PTHREAD_MUTEX_INITIALIZER;

static inline void rank_check(bool right, const char *file, int line, const char *condition)
{
    if (right)
        return;
    pthread_mutex_lock(&rank_lock);
    if (!rank_wrong[0])
        snprintf(rank_wrong, sizeof rank_wrong, "%s:%d: rank %d: %.200s; last error: %.600s", file, line, ranks_here,
                 condition, sl_last_error());
    pthread_mutex_unlock(&rank_lock);
}

#define CHECK(condition) rank_check((condition), __FILE__, __LINE__, #condition)
#define CHECK_OK(call) CHECK((call) == SL_OK)

static inline void run_ranks(int size, void (*body)(struct sl_wire *wire, void *self), void *self)
{
    rank_wrong[0] = '\0';
    ranks_run(size, body, self);
    assert_string_equal(rank_wrong, "");
}

static inline void pause_for(double seconds)
{
    const struct timespec time = {(time_t)seconds, (long)(1e9 * (seconds - (double)(time_t)seconds))};
    nanosleep(&time, NULL);
}

#endif
