/* Ranks as threads of one process, joined by memory alone: a group for tests of what is collective. */
#ifndef SL_TESTS_THREAD_GROUP_H
#define SL_TESTS_THREAD_GROUP_H

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/group.h"

enum { THREAD_RANKS = 16 };

struct thread_world {
    int size, waiting;
    unsigned round;
    pthread_mutex_t mutex;
    pthread_cond_t turn;
    const void *mine[THREAD_RANKS]; /* what each says in this round */
    size_t bytes[THREAD_RANKS];
    const char *hosts[THREAD_RANKS];
};

struct thread_rank {
    struct thread_world *world;
    struct sl_group group;
    int (*body)(const struct sl_group *group, void *self);
    void *self;
    int status;
    char error[1024]; /* what the rank's thread said last */
};

/* Until all are here. */
static inline void thread_barrier(struct thread_world *world)
{
    pthread_mutex_lock(&world->mutex);
    const unsigned round = world->round;
    if (++world->waiting == world->size) {
        world->waiting = 0;
        world->round++;
        pthread_cond_broadcast(&world->turn);
    }
    while (round == world->round)
        pthread_cond_wait(&world->turn, &world->mutex);
    pthread_mutex_unlock(&world->mutex);
}

static inline int thread_gather_parts(void *self, const void *mine, size_t bytes, void **all, size_t *offsets)
{
    struct thread_rank *rank = self;
    struct thread_world *world = rank->world;
    world->mine[rank->group.rank] = mine;
    world->bytes[rank->group.rank] = bytes;
    thread_barrier(world);
    offsets[0] = 0;
    for (int i = 0; i < world->size; i++)
        offsets[i + 1] = offsets[i] + world->bytes[i];
    *all = malloc(offsets[world->size] + 1);
    for (int i = 0; i < world->size; i++)
        if (world->bytes[i])
            memcpy((char *)*all + offsets[i], world->mine[i], world->bytes[i]);
    thread_barrier(world);
    return SL_OK;
}

static inline int thread_gather(void *self, const void *mine, size_t bytes, void *all)
{
    void *parts;
    size_t offsets[THREAD_RANKS + 1];
    const int rc = thread_gather_parts(self, mine, bytes, &parts, offsets);
    memcpy(all, parts, offsets[((struct thread_rank *)self)->world->size]);
    free(parts);
    return rc;
}

static inline void *thread_main(void *self)
{
    struct thread_rank *rank = self;
    rank->status = rank->body(&rank->group, rank->self);
    strncpy(rank->error, sl_last_error(), sizeof rank->error - 1);
    return NULL;
}

/* Runs `body` as each rank of a world of `size`, with selves[rank], or NULL if there are none. ranks[size] receives
 * what became of them. The body must not assert: it is not in the test's own thread. */
static inline void thread_run(int size, int (*body)(const struct sl_group *group, void *self), void *const *selves,
                              struct thread_rank *ranks)
{
    struct thread_world world = {.size = size, .mutex = PTHREAD_MUTEX_INITIALIZER, .turn = PTHREAD_COND_INITIALIZER};
    pthread_t threads[THREAD_RANKS];
    assert_in_range(size, 1, THREAD_RANKS);
    for (int i = 0; i < size; i++) {
        world.hosts[i] = "here";
        ranks[i] = (struct thread_rank){
            .world = &world, .body = body, .self = selves ? selves[i] : NULL, .status = SL_INTERNAL};
        ranks[i].group = (struct sl_group){i, size, world.hosts, &ranks[i], thread_gather, thread_gather_parts};
    }
    for (int i = 0; i < size; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, thread_main, &ranks[i]), 0);
    for (int i = 0; i < size; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

/* All ranks ended with that status, and said `part`. */
static inline void assert_all_end(const struct thread_rank *ranks, int size, int status, const char *part)
{
    for (int i = 0; i < size; i++)
        if (ranks[i].status != status || !strstr(ranks[i].error, part))
            fail_msg("rank %d: %d, \"%s\" instead of %d, \"%s\"", i, ranks[i].status, ranks[i].error, status, part);
}
#endif
