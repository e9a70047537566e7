#include "comm/timer.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

struct sl_timer {
    double seconds;
    bool (*due)(void *self);
    void *self;
    const char *what; /* of a deadline */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stop; /* guarded by the lock */
};

/* False if it is to stop. */
static bool sleep_once(struct sl_timer *timer)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    const double whole = floor(timer->seconds);
    until.tv_sec += (time_t)whole;
    until.tv_nsec += (long)(1e9 * (timer->seconds - whole));
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&timer->lock);
    while (!timer->stop && pthread_cond_timedwait(&timer->wake, &timer->lock, &until) == 0)
        ;
    const bool goes_on = !timer->stop;
    pthread_mutex_unlock(&timer->lock);
    return goes_on;
}

static void *run(void *argument)
{
    struct sl_timer *timer = argument;
    while (sleep_once(timer) && timer->due(timer->self))
        ;
    return NULL;
}

static void free_timer(struct sl_timer *timer)
{
    pthread_cond_destroy(&timer->wake);
    pthread_mutex_destroy(&timer->lock);
    free(timer);
}

static struct sl_timer *make(double seconds)
{
    pthread_condattr_t monotonic;
    struct sl_timer *timer = calloc(1, sizeof *timer);
    if (!timer)
        return NULL;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&timer->lock, NULL);
    pthread_cond_init(&timer->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    timer->seconds = seconds < 1e9 ? seconds : 1e9;
    return timer;
}

/* Starts the thread, and takes the timer if it cannot. */
static int start(struct sl_timer *timer, struct sl_timer **started)
{
    if (pthread_create(&timer->thread, NULL, run, timer) != 0) {
        free_timer(timer);
        return sl_fail(SL_SYSTEM, "the system grants no thread to watch the time; raise the limit (ulimit -u)");
    }
    *started = timer;
    return SL_OK;
}

int sl_timer_open(double seconds, bool (*due)(void *self), void *self, struct sl_timer **timer)
{
    struct sl_timer *made = make(seconds);
    if (!made)
        return sl_fail(SL_SYSTEM, "out of memory for a timer");
    made->due = due;
    made->self = self;
    return start(made, timer);
}

static bool end_process(void *self)
{
    const struct sl_timer *timer = self;
    fprintf(stderr, "%s takes longer than the %.6g s that it may; ending\n", timer->what, timer->seconds);
    _exit(SL_IO);
}

int sl_timer_deadline(double seconds, const char *what, struct sl_timer **timer)
{
    struct sl_timer *made = make(seconds);
    if (!made)
        return sl_fail(SL_SYSTEM, "out of memory for a timer");
    made->due = end_process;
    made->self = made;
    made->what = what;
    return start(made, timer);
}

void sl_timer_close(struct sl_timer *timer)
{
    if (!timer)
        return;
    pthread_mutex_lock(&timer->lock);
    timer->stop = true;
    pthread_cond_signal(&timer->wake);
    pthread_mutex_unlock(&timer->lock);
    pthread_join(timer->thread, NULL);
    free_timer(timer);
}
