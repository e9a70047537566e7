/* Some of the ranks as a comm of their own. */
#include <stdlib.h>

#include "comm/comm_internal.h"
#include "comm/watchdog.h"
#include "runtime/base/clock.h"

int sl_comm_number(const struct sl_comm *comm, int rank)
{
    return comm->numbers ? comm->numbers[rank] : rank;
}

void sl_comm_pass(struct sl_comm *comm, int64_t calls)
{
    for (int64_t i = 0; i < calls; i++)
        sl_watchdog_call(comm->watchdog);
}

/* A part with room for all ranks of the whole; it has no wire yet. NULL: out of memory. */
static struct sl_comm *new_part(struct sl_comm *whole)
{
    const size_t size = (size_t)whole->wire.size;
    struct sl_comm *part = calloc(1, sizeof *part);
    if (!part)
        return NULL;
    part->whole = whole;
    part->watchdog = whole->watchdog;
    part->hosts = calloc(size, sizeof *part->hosts);
    part->lengths = calloc(size, sizeof *part->lengths);
    part->numbers = calloc(size, sizeof *part->numbers);
    if (part->hosts && part->lengths && part->numbers)
        return part;
    sl_comm_free(part);
    return NULL;
}

static void number_members(const struct sl_comm *whole, const bool *members, struct sl_comm *part)
{
    int count = 0;
    for (int i = 0; i < whole->wire.size; i++)
        if (members[i]) {
            part->numbers[count] = i;
            part->hosts[count++] = whole->hosts[i];
        }
}

static int split_wire(struct sl_comm *whole, bool member, struct sl_comm *part)
{
    struct sl_wire none;
    sl_watchdog_wait(whole->watchdog, sl_clock());
    const int rc = whole->wire.split(whole->wire.self, member, part ? &part->wire : &none);
    sl_watchdog_wait(whole->watchdog, 0);
    return rc;
}

int sl_comm_split(struct sl_comm *comm, bool member, struct sl_comm **part)
{
    int rc = SL_OK;
    const struct sl_group *group = &comm->group;
    bool *members = calloc((size_t)group->size, sizeof *members);
    struct sl_comm *made = member ? new_part(comm) : NULL;
    *part = NULL;
    if (!members || (member && !made))
        rc = sl_fail(SL_SYSTEM, "out of memory for a part of %d ranks", group->size);
    SL_TRY(sl_group_settle(group, rc));
    SL_TRY(group->gather(group->self, &member, sizeof member, members));
    SL_TRY(sl_group_settle(group, split_wire(comm, member, made)));
    if (made) {
        number_members(comm, members, made);
        sl_comm_group_open(made);
    }
    *part = made;
    made = NULL;
out:
    free(members);
    sl_comm_close_part(made);
    return rc;
}

/* What the wire may still read or write, after a failure, is left to it: the job ends. */
void sl_comm_close_part(struct sl_comm *part)
{
    if (!part)
        return;
    part->whole->unfinished += part->unfinished;
    if (part->wire.close && !part->unfinished)
        part->wire.close(part->wire.self);
    sl_comm_free(part);
}
