/* A group whose ranks are threads of one process, and what the tests let them exchange. */
#ifndef SL_TESTS_THREAD_GROUP_H
#define SL_TESTS_THREAD_GROUP_H

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/group.h"

enum { THREAD_RANKS = 64 };

struct thread_meeting {
    pthread_mutex_t lock;
    pthread_cond_t all_here;
    int size, here;
    uint64_t meetings;
    const void *parts[THREAD_RANKS];
    size_t bytes[THREAD_RANKS];
};

struct thread_rank {
    struct thread_meeting *meeting;
    struct sl_group group;
    pthread_t thread;
    void (*run)(const struct sl_group *group, void *self);
    void *argument;
};

/* Returns once all have come. */
static inline void thread_meet(struct thread_meeting *m)
{
    pthread_mutex_lock(&m->lock);
    const uint64_t meeting = m->meetings;
    if (++m->here == m->size) {
        m->here = 0;
        m->meetings++;
        pthread_cond_broadcast(&m->all_here);
    }
    while (meeting == m->meetings)
        pthread_cond_wait(&m->all_here, &m->lock);
    pthread_mutex_unlock(&m->lock);
}

static inline int thread_gather_parts(void *self, const void *mine, size_t bytes, void **all, size_t *offsets)
{
    const struct thread_rank *r = self;
    struct thread_meeting *m = r->meeting;
    m->parts[r->group.rank] = mine;
    m->bytes[r->group.rank] = bytes;
    thread_meet(m);
    offsets[0] = 0;
    for (int i = 0; i < m->size; i++)
        offsets[i + 1] = offsets[i] + m->bytes[i];
    char *to = malloc(offsets[m->size] + 1);
    if (!to)
        abort();
    for (int i = 0; i < m->size; i++)
        if (m->bytes[i])
            memcpy(to + offsets[i], m->parts[i], m->bytes[i]);
    thread_meet(m); /* until then the parts stay as they are */
    *all = to;
    return SL_OK;
}

static inline int thread_gather(void *self, const void *mine, size_t bytes, void *all)
{
    const struct thread_rank *r = self;
    size_t offsets[THREAD_RANKS + 1];
    void *parts;
    thread_gather_parts(self, mine, bytes, &parts, offsets);
    if (offsets[r->meeting->size] != bytes * (size_t)r->meeting->size)
        abort(); /* not the same call on all ranks */
    memcpy(all, parts, offsets[r->meeting->size]);
    free(parts);
    return SL_OK;
}

static inline void *thread_start(void *self)
{
    struct thread_rank *r = self;
    r->run(&r->group, r->argument);
    return NULL;
}

/* Runs `body` as every rank of a group; returns when all have ended. */
static inline void thread_group_run(int size, void (*body)(const struct sl_group *group, void *self), void *self)
{
    static const char *const hosts[THREAD_RANKS] = {"ant",   "bee",   "cat",   "dog",   "emu",   "fox",  "gnu",
                                                    "hen",   "ibis",  "jay",   "kite",  "lark",  "mole", "newt",
                                                    "otter", "panda", "quail", "raven", "swift", "toad"};
    struct thread_meeting meeting = {.size = size};
    struct thread_rank ranks[THREAD_RANKS];
    pthread_mutex_init(&meeting.lock, NULL);
    pthread_cond_init(&meeting.all_here, NULL);
    for (int i = 0; i < size; i++) {
        ranks[i] = (struct thread_rank){.meeting = &meeting, .run = body, .argument = self};
        ranks[i].group = (struct sl_group){i, size, hosts, &ranks[i], thread_gather, thread_gather_parts};
        if (pthread_create(&ranks[i].thread, NULL, thread_start, &ranks[i]))
            abort();
    }
    for (int i = 0; i < size; i++)
        pthread_join(ranks[i].thread, NULL);
    pthread_cond_destroy(&meeting.all_here);
    pthread_mutex_destroy(&meeting.lock);
}

/* The mean over the ranks, each as often as its weight says; zero where nothing has weight. In double, in rank order.
 */
static inline void thread_group_mean(const struct sl_group *group, struct sl_span span, double weight)
{
    float *all = malloc((size_t)group->size * span.n * sizeof *all);
    double weights[THREAD_RANKS], total = 0;
    if (!all)
        abort();
    group->gather(group->self, &weight, sizeof weight, weights);
    group->gather(group->self, span.at, span.n * sizeof *all, all);
    for (int i = 0; i < group->size; i++)
        total += weights[i];
    for (size_t k = 0; k < span.n; k++) {
        double sum = 0;
        for (int i = 0; i < group->size; i++)
            sum += weights[i] * all[(size_t)i * span.n + k];
        span.at[k] = (float)(total > 0 ? sum / total : 0);
    }
    free(all);
}
#endif
