/* Opening and closing what waits over a wire. */
#include "comm/comm_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "comm/timer.h"
#include "comm/watchdog.h"
#include "runtime/base/clock.h"

enum { CLOSE_LIMIT = 600 };

/* ---- opening ---- */

static int count_local(struct sl_comm *comm)
{
    int rc = SL_OK;
    const int rank = comm->wire.rank;
    int *numbers = malloc((size_t)comm->wire.size * sizeof *numbers);
    if (!numbers)
        SL_FAIL(SL_SYSTEM, "out of memory for the hosts of %d ranks", comm->wire.size);
    sl_watchdog_wait(comm->watchdog, sl_clock());
    rc = comm->wire.hosts(comm->wire.self, numbers);
    sl_watchdog_wait(comm->watchdog, 0);
    SL_TRY(rc);
    comm->leader = rank;
    for (int i = comm->wire.size - 1; i >= 0; i--) {
        comm->local_rank += i < rank && numbers[i] == numbers[rank];
        comm->local_size += numbers[i] == numbers[rank];
        comm->leader = i < rank && numbers[i] == numbers[rank] ? i : comm->leader;
    }
out:
    free(numbers);
    return rc;
}

static int learn_hosts(struct sl_comm *comm)
{
    int rc = SL_OK;
    struct host_name mine = {""};
    if (gethostname(mine.text, sizeof mine.text - 1) != 0)
        strcpy(mine.text, "unknown");
    SL_TRY(comm->group.gather(comm, &mine, sizeof mine, comm->names));
    for (int i = 0; i < comm->wire.size; i++)
        comm->names[i].text[HOST_BYTES - 1] = '\0';
    sl_watchdog_name(comm->watchdog, comm->hosts);
    SL_TRY(count_local(comm));
out:
    return rc;
}

static bool is_time(double seconds)
{
    return seconds >= 0 && seconds < INFINITY;
}

static int check_options(const struct sl_comm_options *options)
{
    if (is_time(options->start_limit) && is_time(options->step_limit) && is_time(options->grace))
        return SL_OK;
    return sl_fail(SL_BAD_CONFIG, "limits of %g s at the start, %g s for a step and %g s at the end: not all are times",
                   options->start_limit, options->step_limit, options->grace);
}

static int start_comm(struct sl_comm *comm)
{
    int rc = SL_OK;
    const size_t size = (size_t)comm->wire.size;
    comm->names = calloc(size, sizeof *comm->names);
    comm->hosts = calloc(size, sizeof *comm->hosts);
    comm->lengths = calloc(size, sizeof *comm->lengths);
    if (!comm->names || !comm->hosts || !comm->lengths)
        SL_FAIL(SL_SYSTEM, "out of memory for %d ranks", comm->wire.size);
    for (size_t i = 0; i < size; i++)
        comm->hosts[i] = comm->names[i].text;
    sl_comm_group_open(comm);
    SL_TRY(check_options(&comm->options));
    if (size > 1)
        SL_TRY(sl_watchdog_open(&comm->wire, &comm->options, &comm->watchdog));
    SL_TRY(learn_hosts(comm));
out:
    return rc;
}

int sl_comm_open(struct sl_wire *wire, const struct sl_comm_options *options, struct sl_comm **comm)
{
    struct sl_comm *made = calloc(1, sizeof *made);
    if (!made) {
        if (wire->size > 1)
            wire->abort(wire->self, SL_SYSTEM);
        wire->close(wire->self);
        return sl_fail(SL_SYSTEM, "out of memory for %d ranks", wire->size);
    }
    made->wire = *wire;
    made->options = *options;
    const int rc = start_comm(made);
    if (rc == SL_OK) {
        *comm = made;
        return SL_OK;
    }
    char why[LAST_WORDS_BYTES];
    snprintf(why, sizeof why, "%s", sl_last_error());
    sl_comm_close(made, rc);
    return sl_fail(rc, "%s", why);
}

/* ---- closing ---- */

void sl_comm_free(struct sl_comm *comm)
{
    free(comm->names);
    free(comm->hosts);
    free(comm->lengths);
    free(comm->numbers);
    free(comm);
}

/* Says why a rank fails that cannot wait for the others, since nobody watches over it yet. */
static void end_unwatched(struct sl_comm *comm, int rc)
{
    char line[LAST_WORDS_BYTES];
    snprintf(line, sizeof line, "rank %d: %s", comm->wire.rank, sl_last_error());
    if (comm->options.last_words)
        comm->options.last_words(comm->options.self, line);
    else
        fprintf(stderr, "%s\n", line);
    comm->wire.abort(comm->wire.self, rc);
}

/* A library's end may wait for a rank that was stopped after its goodbye. */
static void close_wire(struct sl_comm *comm)
{
    struct sl_timer *deadline = NULL;
    const double limit = comm->options.start_limit > 0 ? comm->options.start_limit : CLOSE_LIMIT;
    if (comm->wire.size > 1 && sl_timer_deadline(limit, "leaving the other ranks", &deadline) != SL_OK)
        sl_clear_error();
    comm->wire.close(comm->wire.self);
    sl_timer_close(deadline);
}

static void close_comm(struct sl_comm *comm, int rc, bool together)
{
    if (!comm)
        return;
    bool all = true;
    if (comm->watchdog)
        all = sl_watchdog_leave(comm->watchdog, rc, together);
    else if (comm->wire.size > 1)
        end_unwatched(comm, rc);
    /* A library would wait at its end for what the others never begin. */
    if (all && comm->unfinished && comm->wire.size > 1)
        comm->wire.abort(comm->wire.self, rc == SL_OK ? SL_INTERNAL : rc);
    sl_watchdog_close(comm->watchdog);
    close_wire(comm);
    sl_comm_free(comm);
}

void sl_comm_close(struct sl_comm *comm, int rc)
{
    close_comm(comm, rc, false);
}

void sl_comm_close_together(struct sl_comm *comm, int rc)
{
    close_comm(comm, rc, true);
}
