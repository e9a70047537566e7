/* An NCCL whose ranks are threads of one process and whose devices are the host: the n-th calls of all ranks are one
 * meeting, and who comes last does the work, in rank order. Until then a communicator is "in progress". */
#include "tests/fake/fake_nccl.h"

#include <nccl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { RANKS = 8 };
enum verb { JOIN, SUM, COPY, LEAVE };

struct fake_nccl fake_nccl;

struct offer {
    enum verb verb;
    float *at;
    size_t n;
};

struct world {
    struct world *next;
    uint64_t key;
    int size, members, here;
    uint64_t finished, collectives; /* meetings; sums and copies that have begun */
    ncclResult_t failed;
    struct offer offers[RANKS];
};

struct ncclComm {
    struct world *world;
    int rank;
    uint64_t calls;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct world *worlds;
static uint64_t keys;

static void add(float *to, const struct offer *from)
{
    for (size_t k = 0; k < from->n; k++)
        to[k] += from->at[k];
}

static void work(struct world *world)
{
    const struct offer *first = &world->offers[0];
    for (int i = 1; i < world->size; i++) {
        const struct offer *other = &world->offers[i];
        if (other->verb != first->verb || other->n != first->n)
            world->failed = ncclInvalidUsage;
        else if (first->verb == SUM)
            add(first->at, other);
        else if (first->verb == COPY && first->n)
            memcpy(other->at, first->at, first->n * sizeof(float));
    }
}

/* The fault that this call of all ranks meets. */
static bool never_ends(const struct world *world, enum verb verb)
{
    return (fake_nccl.fault == FAKE_HANG && world->collectives >= 3) ||
           (fake_nccl.fault == FAKE_HANG_START && verb == JOIN) ||
           (fake_nccl.fault == FAKE_HANG_LEAVE && verb == LEAVE);
}

static void finish(struct world *world)
{
    const enum verb verb = world->offers[0].verb;
    world->here = 0;
    world->collectives += verb == SUM || verb == COPY;
    if (never_ends(world, verb))
        return;
    work(world);
    world->finished++;
    if (fake_nccl.fault == FAKE_REMOTE && world->collectives >= 3)
        world->failed = ncclRemoteError;
    if (fake_nccl.fault == FAKE_NO_JOIN)
        world->failed = ncclInvalidUsage;
}

static ncclResult_t meet(struct ncclComm *comm, struct offer offer)
{
    pthread_mutex_lock(&lock);
    struct world *world = comm->world;
    const bool busy = comm->calls > world->finished;
    fake_nccl.wrong += busy;
    if (!busy) {
        world->offers[comm->rank] = offer;
        comm->calls++;
        if (++world->here == world->size)
            finish(world);
    }
    pthread_mutex_unlock(&lock);
    return busy ? ncclInvalidUsage : ncclInProgress;
}

ncclResult_t ncclGetVersion(int *version)
{
    *version = fake_nccl.fault == FAKE_OLD ? 21003 : NCCL_VERSION_CODE;
    return ncclSuccess;
}

ncclResult_t ncclGetUniqueId(ncclUniqueId *id)
{
    pthread_mutex_lock(&lock);
    const uint64_t key = ++keys;
    pthread_mutex_unlock(&lock);
    memset(id, 0, sizeof *id);
    memcpy(id, &key, sizeof key);
    return fake_nccl.fault == FAKE_NO_KEY ? ncclSystemError : ncclSuccess;
}

static struct world *find_world(uint64_t key, int size)
{
    struct world *world = worlds;
    while (world && world->key != key)
        world = world->next;
    if (world)
        return world;
    if (!(world = calloc(1, sizeof *world)))
        abort();
    world->key = key;
    world->size = size;
    world->next = worlds;
    return worlds = world;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t *comm, int size, ncclUniqueId id, int rank, ncclConfig_t *config)
{
    uint64_t key;
    if (config->blocking != 0 || size > RANKS)
        return ncclInvalidArgument;
    if (fake_nccl.fault == FAKE_NO_START && rank == 1)
        return ncclSystemError;
    struct ncclComm *made = calloc(1, sizeof *made);
    if (!made)
        abort();
    memcpy(&key, &id, sizeof key);
    pthread_mutex_lock(&lock);
    made->world = find_world(key, size);
    made->world->members++;
    pthread_mutex_unlock(&lock);
    made->rank = rank;
    *comm = made;
    return meet(made, (struct offer){.verb = JOIN});
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t *state)
{
    pthread_mutex_lock(&lock);
    const struct world *world = comm->world;
    const ncclResult_t progress = comm->calls > world->finished ? ncclInProgress : ncclSuccess;
    *state = world->failed != ncclSuccess ? world->failed : progress;
    pthread_mutex_unlock(&lock);
    return ncclSuccess;
}

ncclResult_t ncclReduce(const void *from, void *to, size_t n, ncclDataType_t type, ncclRedOp_t op, int root,
                        ncclComm_t comm, cudaStream_t stream)
{
    (void)stream;
    if (from != to || type != ncclFloat32 || op != ncclSum || root != 0)
        return ncclInvalidArgument;
    return meet(comm, (struct offer){SUM, to, n});
}

ncclResult_t ncclBroadcast(const void *from, void *to, size_t n, ncclDataType_t type, int root, ncclComm_t comm,
                           cudaStream_t stream)
{
    (void)stream;
    if (from != to || type != ncclFloat32 || root != 0)
        return ncclInvalidArgument;
    return meet(comm, (struct offer){COPY, to, n});
}

ncclResult_t ncclCommFinalize(ncclComm_t comm)
{
    return meet(comm, (struct offer){.verb = LEAVE});
}

static void drop(struct ncclComm *comm, int *count)
{
    pthread_mutex_lock(&lock);
    struct world *world = comm->world, **at = &worlds;
    ++*count;
    if (--world->members == 0) {
        while (*at != world)
            at = &(*at)->next;
        *at = world->next;
        free(world);
    }
    pthread_mutex_unlock(&lock);
    free(comm);
}

ncclResult_t ncclCommDestroy(ncclComm_t comm)
{
    drop(comm, &fake_nccl.destroyed);
    return ncclSuccess;
}

ncclResult_t ncclCommAbort(ncclComm_t comm)
{
    drop(comm, &fake_nccl.aborted);
    return ncclSuccess;
}

const char *ncclGetErrorString(ncclResult_t result)
{
    return result == ncclRemoteError ? "remote process exited or there was a network error" : "it cannot";
}

const char *ncclGetLastError(ncclComm_t comm)
{
    (void)comm;
    return "says the fake";
}
