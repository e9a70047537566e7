/* Ranks as threads of the test: each runs the same body over its own end of a loop. */
#ifndef SL_TESTS_RANKS_H
#define SL_TESTS_RANKS_H

#include <pthread.h>
#include <stdlib.h>

#include "comm/wire_loop.h"

enum { RANKS_MOST = 8 };

/* The rank that this thread is. */
static _Thread_local int ranks_here;

struct ranks_thread {
    struct sl_wire wire;
    void (*body)(struct sl_wire *wire, void *self);
    void *self;
};

static inline void *ranks_start(void *argument)
{
    struct ranks_thread *thread = argument;
    ranks_here = thread->wire.rank;
    thread->body(&thread->wire, thread->self);
    return NULL;
}

/* Opens a loop of that size and runs `body` on each rank, which closes its wire (sl_comm_open takes it). cmocka's
 * assertions jump, and may not in these threads: a body notes what it finds in `self`, or aborts. */
static inline void ranks_run(int size, void (*body)(struct sl_wire *wire, void *self), void *self)
{
    struct sl_wire wires[RANKS_MOST];
    struct ranks_thread threads[RANKS_MOST];
    pthread_t handles[RANKS_MOST];
    if (size > RANKS_MOST || sl_wire_loop_open(size, wires) != SL_OK)
        abort();
    for (int i = 0; i < size; i++) {
        threads[i] = (struct ranks_thread){wires[i], body, self};
        if (pthread_create(&handles[i], NULL, ranks_start, &threads[i]) != 0)
            abort();
    }
    for (int i = 0; i < size; i++)
        pthread_join(handles[i], NULL);
}

#endif
