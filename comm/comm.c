/* Waiting over a wire. Who watches the waits is watchdog.c; opening and closing is comm_open.c, what a group gathers
 * comm_group.c, parts are comm_part.c. */
#include "comm/comm_internal.h"

#include <sched.h>
#include <time.h>

#include "comm/watchdog.h"
#include "runtime/base/clock.h"

const struct sl_group *sl_comm_group(const struct sl_comm *comm)
{
    return &comm->group;
}

const struct sl_wire *sl_comm_wire(const struct sl_comm *comm)
{
    return &comm->wire;
}

int sl_comm_local_size(const struct sl_comm *comm)
{
    return comm->local_size;
}

int sl_comm_local_rank(const struct sl_comm *comm)
{
    return comm->local_rank;
}

int sl_comm_leader(const struct sl_comm *comm)
{
    return comm->leader;
}

uint64_t sl_comm_bytes_sent(const struct sl_comm *comm)
{
    return comm->sent;
}

double sl_comm_seconds_waited(const struct sl_comm *comm)
{
    return comm->waited;
}

void sl_comm_enter(struct sl_comm *comm, enum sl_phase phase, uint64_t step)
{
    sl_watchdog_enter(comm->watchdog, phase, step);
}

void sl_comm_guard(struct sl_comm *comm, void (*abort)(void *self), void *self)
{
    sl_watchdog_guard(comm->watchdog, abort, self);
}

/* ---- calls ---- */

int sl_comm_all_to_all(struct sl_comm *comm, const void *send, void *receive, size_t bytes, struct sl_request **request)
{
    const struct sl_wire *wire = &comm->wire;
    comm->sent += (uint64_t)bytes * (uint64_t)(wire->size - 1);
    sl_watchdog_call(comm->watchdog);
    const int rc = wire->all_to_all(wire->self, send, receive, bytes, request);
    comm->unfinished += rc == SL_OK;
    return rc;
}

int sl_comm_all_gather(struct sl_comm *comm, const void *mine, void *all, const size_t *bytes,
                       struct sl_request **request)
{
    const struct sl_wire *wire = &comm->wire;
    comm->sent += (uint64_t)bytes[wire->rank] * (uint64_t)(wire->size - 1);
    sl_watchdog_call(comm->watchdog);
    const int rc = wire->all_gather(wire->self, mine, all, bytes, request);
    comm->unfinished += rc == SL_OK;
    return rc;
}

int sl_comm_test(struct sl_comm *comm, struct sl_request **request)
{
    bool done = false;
    if (!*request)
        return SL_OK;
    const int rc = comm->wire.test(comm->wire.self, *request, &done);
    if (done || rc != SL_OK)
        *request = NULL;
    comm->unfinished -= done && rc == SL_OK;
    return rc;
}

/* A few looks at once, since much is done in a moment; more for `eager` seconds; then one after each short sleep. */
static int wait_watched(struct sl_comm *comm, double eager, int (*test)(void *self, bool *done), void *self)
{
    enum { LOOKS = 4 };
    static const struct timespec moment = {.tv_nsec = 50000};
    bool done = false;
    int rc = test(self, &done);
    if (rc != SL_OK || done)
        return rc;
    const double begin = sl_clock();
    sl_watchdog_wait(comm->watchdog, begin);
    for (int look = 0; rc == SL_OK && !done; look++) {
        if (look >= LOOKS && sl_clock() - begin < eager)
            sched_yield();
        else if (look >= LOOKS)
            nanosleep(&moment, NULL);
        rc = test(self, &done);
    }
    sl_watchdog_wait(comm->watchdog, 0);
    comm->waited += sl_clock() - begin;
    return rc;
}

struct looked_for {
    struct sl_comm *comm;
    struct sl_request **request;
};

static int look(void *self, bool *done)
{
    const struct looked_for *call = self;
    const int rc = sl_comm_test(call->comm, call->request);
    *done = !*call->request;
    return rc;
}

int sl_comm_wait(struct sl_comm *comm, struct sl_request **request)
{
    return wait_watched(comm, 0.0, look, &(struct looked_for){comm, request});
}

int sl_comm_wait_for(struct sl_comm *comm, int (*test)(void *self, bool *done), void *self)
{
    const double eager = 2e-4; /* devices of one host are done before a sleep would be over */
    sl_watchdog_call(comm->watchdog);
    return wait_watched(comm, eager, test, self);
}
