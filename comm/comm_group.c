/* What ranks gather from each other, by lengths that all of them know. */
#include <stdio.h>
#include <stdlib.h>

#include "comm/comm_internal.h"

static int gather_lengths(struct sl_comm *comm, const void *mine, void *all)
{
    struct sl_request *request = NULL;
    const int rc = sl_comm_all_gather(comm, mine, all, comm->lengths, &request);
    return rc == SL_OK ? sl_comm_wait(comm, &request) : rc;
}

static int remember_failure(struct sl_comm *comm, int rc)
{
    if (rc != SL_OK && comm->failed == SL_OK) {
        comm->failed = rc;
        snprintf(comm->why, sizeof comm->why, "%s", sl_last_error());
    }
    return rc;
}

static int gather_same(struct sl_comm *comm, const void *mine, size_t bytes, void *all)
{
    for (int i = 0; i < comm->wire.size; i++)
        comm->lengths[i] = bytes;
    return gather_lengths(comm, mine, all);
}

static int gather(void *self, const void *mine, size_t bytes, void *all)
{
    struct sl_comm *comm = self;
    if (comm->failed != SL_OK)
        return sl_fail(comm->failed, "%s", comm->why);
    return remember_failure(comm, gather_same(comm, mine, bytes, all));
}

/* The lengths that all ranks announced become offsets. All see the same ones, so all refuse alike. */
static int add_lengths(const struct sl_comm *comm, const uint64_t *announced, size_t *offsets)
{
    static const uint64_t most = (uint64_t)1 << 34;
    uint64_t total = 0;
    for (int i = 0; i < comm->wire.size; i++) {
        offsets[i] = (size_t)total;
        if (announced[i] > most - total)
            return sl_fail(SL_IO,
                           "rank %d on %s announces %llu bytes, which with the %llu before is more than a gather takes",
                           i, comm->hosts[i], (unsigned long long)announced[i], (unsigned long long)total);
        total += announced[i];
        comm->lengths[i] = (size_t)announced[i];
    }
    offsets[comm->wire.size] = (size_t)total;
    return SL_OK;
}

static int gather_unequal(struct sl_comm *comm, const void *mine, size_t bytes, void **all, size_t *offsets)
{
    int rc = SL_OK;
    const int size = comm->wire.size;
    const uint64_t announced = bytes;
    uint64_t *lengths = malloc((size_t)size * sizeof *lengths);
    void *parts = NULL;
    if (!lengths)
        SL_FAIL(SL_SYSTEM, "out of memory for the lengths of %d ranks", size);
    SL_TRY(gather_same(comm, &announced, sizeof announced, lengths));
    SL_TRY(add_lengths(comm, lengths, offsets));
    if (!(parts = malloc(offsets[size] ? offsets[size] : 1)))
        SL_FAIL(SL_SYSTEM, "out of memory for %zu bytes of %d ranks", offsets[size], size);
    SL_TRY(gather_lengths(comm, mine, parts));
    *all = parts;
    parts = NULL;
out:
    free(parts);
    free(lengths);
    return rc;
}

static int gather_parts(void *self, const void *mine, size_t bytes, void **all, size_t *offsets)
{
    struct sl_comm *comm = self;
    if (comm->failed != SL_OK)
        return sl_fail(comm->failed, "%s", comm->why);
    return remember_failure(comm, gather_unequal(comm, mine, bytes, all, offsets));
}

void sl_comm_group_open(struct sl_comm *comm)
{
    comm->group = (struct sl_group){comm->wire.rank, comm->wire.size, comm->hosts, comm, gather, gather_parts};
}
