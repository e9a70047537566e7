/* Waiting and gathering over a wire. Who watches the waits is watchdog.c. */
#include "comm/comm.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/clock.h"

enum { HOST_BYTES = 256 };

struct host_name {
    char text[HOST_BYTES];
};

struct sl_comm {
    struct sl_wire wire;
    struct sl_group group;
    struct host_name *names;
    const char **hosts;
    size_t *lengths; /* of the parts of a gather */
    int local_rank, local_size;
    uint64_t sent;
    double waited;
};

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

uint64_t sl_comm_bytes_sent(const struct sl_comm *comm)
{
    return comm->sent;
}

double sl_comm_seconds_waited(const struct sl_comm *comm)
{
    return comm->waited;
}

/* ---- calls ---- */

int sl_comm_all_to_all(struct sl_comm *comm, const void *send, void *receive, size_t bytes, struct sl_request **request)
{
    const struct sl_wire *wire = &comm->wire;
    comm->sent += (uint64_t)bytes * (uint64_t)(wire->size - 1);
    return wire->all_to_all(wire->self, send, receive, bytes, request);
}

int sl_comm_all_gather(struct sl_comm *comm, const void *mine, void *all, const size_t *bytes,
                       struct sl_request **request)
{
    const struct sl_wire *wire = &comm->wire;
    comm->sent += (uint64_t)bytes[wire->rank] * (uint64_t)(wire->size - 1);
    return wire->all_gather(wire->self, mine, all, bytes, request);
}

int sl_comm_test(struct sl_comm *comm, struct sl_request **request)
{
    bool done = false;
    if (!*request)
        return SL_OK;
    const int rc = comm->wire.test(comm->wire.self, *request, &done);
    if (done || rc != SL_OK)
        *request = NULL;
    return rc;
}

/* A few looks at once, since much is done in a moment; then one after each short sleep. */
int sl_comm_wait(struct sl_comm *comm, struct sl_request **request)
{
    enum { LOOKS = 4 };
    static const struct timespec moment = {.tv_nsec = 50000};
    int rc = sl_comm_test(comm, request);
    if (rc != SL_OK || !*request)
        return rc;
    const double begin = sl_clock();
    for (int look = 0; rc == SL_OK && *request; look++) {
        if (look >= LOOKS)
            nanosleep(&moment, NULL);
        rc = sl_comm_test(comm, request);
    }
    comm->waited += sl_clock() - begin;
    return rc;
}

/* ---- the group ---- */

static int gather_lengths(struct sl_comm *comm, const void *mine, void *all)
{
    struct sl_request *request = NULL;
    const int rc = sl_comm_all_gather(comm, mine, all, comm->lengths, &request);
    return rc == SL_OK ? sl_comm_wait(comm, &request) : rc;
}

static int gather(void *self, const void *mine, size_t bytes, void *all)
{
    struct sl_comm *comm = self;
    for (int i = 0; i < comm->wire.size; i++)
        comm->lengths[i] = bytes;
    return gather_lengths(comm, mine, all);
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

static int gather_parts(void *self, const void *mine, size_t bytes, void **all, size_t *offsets)
{
    int rc = SL_OK;
    struct sl_comm *comm = self;
    const int size = comm->wire.size;
    const uint64_t announced = bytes;
    uint64_t *lengths = malloc((size_t)size * sizeof *lengths);
    void *parts = NULL;
    if (!lengths)
        SL_FAIL(SL_SYSTEM, "out of memory for the lengths of %d ranks", size);
    SL_TRY(gather(self, &announced, sizeof announced, lengths));
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

/* ---- opening ---- */

static int count_local(struct sl_comm *comm)
{
    int rc = SL_OK;
    const int rank = comm->wire.rank;
    int *numbers = malloc((size_t)comm->wire.size * sizeof *numbers);
    if (!numbers)
        SL_FAIL(SL_SYSTEM, "out of memory for the hosts of %d ranks", comm->wire.size);
    SL_TRY(comm->wire.hosts(comm->wire.self, numbers));
    for (int i = 0; i < comm->wire.size; i++) {
        comm->local_rank += i < rank && numbers[i] == numbers[rank];
        comm->local_size += numbers[i] == numbers[rank];
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
    SL_TRY(gather(comm, &mine, sizeof mine, comm->names));
    for (int i = 0; i < comm->wire.size; i++)
        comm->names[i].text[HOST_BYTES - 1] = '\0';
    SL_TRY(count_local(comm));
out:
    return rc;
}

static void free_comm(struct sl_comm *comm)
{
    comm->wire.close(comm->wire.self);
    free(comm->names);
    free(comm->hosts);
    free(comm->lengths);
    free(comm);
}

int sl_comm_open(struct sl_wire *wire, const struct sl_comm_options *options, struct sl_comm **comm)
{
    int rc = SL_OK;
    const size_t size = (size_t)wire->size;
    struct sl_comm *made = calloc(1, sizeof *made);
    (void)options;
    if (!made) {
        wire->close(wire->self);
        return sl_fail(SL_SYSTEM, "out of memory for %d ranks", wire->size);
    }
    made->wire = *wire;
    made->names = calloc(size, sizeof *made->names);
    made->hosts = calloc(size, sizeof *made->hosts);
    made->lengths = calloc(size, sizeof *made->lengths);
    if (!made->names || !made->hosts || !made->lengths)
        SL_FAIL(SL_SYSTEM, "out of memory for %d ranks", wire->size);
    for (size_t i = 0; i < size; i++)
        made->hosts[i] = made->names[i].text;
    made->group = (struct sl_group){wire->rank, wire->size, made->hosts, made, gather, gather_parts};
    SL_TRY(learn_hosts(made));
    *comm = made;
    made = NULL;
out:
    if (made)
        free_comm(made);
    return rc;
}

void sl_comm_close(struct sl_comm *comm, int rc)
{
    (void)rc;
    if (comm)
        free_comm(comm);
}

void sl_comm_enter(struct sl_comm *comm, enum sl_phase phase, uint64_t step)
{
    (void)comm, (void)phase, (void)step;
}
