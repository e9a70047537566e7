/* An NCCL whose ranks are threads or processes of one machine, and whose devices are the host: the n-th calls of all
 * ranks are one meeting, in memory that they share. Each brings its floats, who comes last adds them up in rank order,
 * and each takes the result when it looks. Until then a communicator is "in progress". */
#include "tests/fake/fake_nccl.h"

#include <fcntl.h>
#include <nccl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { RANKS = 8, MOST_FLOATS = 1 << 21, PATH_BYTES = 64 };
enum verb { NOTHING, JOIN, SUM, COPY, LEAVE };

struct fake_nccl fake_nccl;

struct offer {
    enum verb verb;
    size_t n;
};

/* Shared, in a file that is gone as soon as all ranks have it. */
struct world {
    pthread_mutex_t lock;
    int size, joined, members, here;
    uint64_t finished, collectives; /* meetings; sums and copies that have begun */
    ncclResult_t failed;
    struct offer offers[RANKS];
    float brought[RANKS][MOST_FLOATS], result[MOST_FLOATS];
};

struct ncclComm {
    struct world *world;
    uint64_t key;
    int rank;
    uint64_t calls;
    struct offer pending; /* until its result was taken */
    float *at;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of what is counted in this process */

static void count(int *counter)
{
    pthread_mutex_lock(&lock);
    ++*counter;
    pthread_mutex_unlock(&lock);
}

/* ---- worlds ---- */

static void name_world(uint64_t key, char path[PATH_BYTES])
{
    snprintf(path, PATH_BYTES, "/dev/shm/fake-nccl-%016llx", (unsigned long long)key);
}

static struct world *map_world(uint64_t key, int flags)
{
    char path[PATH_BYTES];
    name_world(key, path);
    const int fd = open(path, O_RDWR | flags, 0600);
    if (fd < 0)
        return NULL;
    if (flags && ftruncate(fd, sizeof(struct world)) != 0)
        abort();
    void *at = mmap(NULL, sizeof(struct world), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return at == MAP_FAILED ? NULL : at;
}

static void make_world(uint64_t key)
{
    pthread_mutexattr_t shared;
    struct world *world = map_world(key, O_CREAT | O_EXCL);
    if (!world)
        abort();
    pthread_mutexattr_init(&shared);
    pthread_mutexattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&world->lock, &shared);
    pthread_mutexattr_destroy(&shared);
    munmap(world, sizeof *world);
}

static void remove_world(uint64_t key)
{
    char path[PATH_BYTES];
    name_world(key, path);
    unlink(path);
}

/* ---- meetings ---- */

static void add(float *to, const float *from, size_t n)
{
    for (size_t k = 0; k < n; k++)
        to[k] += from[k];
}

static void work(struct world *world)
{
    const struct offer first = world->offers[0];
    memcpy(world->result, world->brought[0], first.n * sizeof(float));
    for (int i = 1; i < world->size; i++)
        if (world->offers[i].verb != first.verb || world->offers[i].n != first.n)
            world->failed = ncclInvalidUsage;
        else if (first.verb == SUM)
            add(world->result, world->brought[i], first.n);
}

/* The fault that this call of all ranks meets. */
static bool never_ends(const struct world *world, enum verb verb)
{
    return (fake_nccl.fault == FAKE_HANG && world->collectives >= 3) ||
           (fake_nccl.fault == FAKE_ONE_JOIN && verb == JOIN) || (fake_nccl.fault == FAKE_HANG_START && verb == JOIN) ||
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

static ncclResult_t meet(struct ncclComm *comm, struct offer offer, float *at)
{
    struct world *world = comm->world;
    if (offer.n > MOST_FLOATS)
        return ncclInvalidArgument;
    pthread_mutex_lock(&world->lock);
    const bool busy = comm->pending.verb != NOTHING;
    if (!busy) {
        if (offer.n)
            memcpy(world->brought[comm->rank], at, offer.n * sizeof *at);
        world->offers[comm->rank] = comm->pending = offer;
        comm->at = at;
        comm->calls++;
        if (++world->here == world->size)
            finish(world);
    }
    pthread_mutex_unlock(&world->lock);
    if (busy)
        count(&fake_nccl.wrong);
    return busy ? ncclInvalidUsage : ncclInProgress;
}

/* All have brought theirs: this rank takes what is its. The next result is made when it has. */
static void take(struct ncclComm *comm)
{
    const struct offer pending = comm->pending;
    const bool takes = pending.verb == (comm->rank == 0 ? SUM : COPY);
    if (takes && pending.n && comm->world->failed == ncclSuccess)
        memcpy(comm->at, comm->world->result, pending.n * sizeof *comm->at);
    comm->pending.verb = NOTHING;
}

/* ---- the library ---- */

ncclResult_t ncclGetVersion(int *version)
{
    *version = fake_nccl.fault == FAKE_OLD ? 21003 : NCCL_VERSION_CODE;
    return ncclSuccess;
}

ncclResult_t ncclGetUniqueId(ncclUniqueId *id)
{
    static uint64_t keys;
    if (fake_nccl.fault == FAKE_NO_KEY)
        return ncclSystemError;
    pthread_mutex_lock(&lock);
    const uint64_t key = (uint64_t)getpid() << 32 | ++keys;
    pthread_mutex_unlock(&lock);
    memset(id, 0, sizeof *id);
    memcpy(id, &key, sizeof key);
    make_world(key);
    return ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t *comm, int size, ncclUniqueId id, int rank, ncclConfig_t *config)
{
    if (config->blocking != 0 || size > RANKS)
        return ncclInvalidArgument;
    if (fake_nccl.fault == FAKE_NO_START && rank == 1)
        return ncclSystemError;
    struct ncclComm *made = calloc(1, sizeof *made);
    if (!made)
        abort();
    memcpy(&made->key, &id, sizeof made->key);
    made->rank = rank;
    if (!(made->world = map_world(made->key, 0)))
        abort();
    pthread_mutex_lock(&made->world->lock);
    made->world->size = size;
    made->world->members++;
    if (++made->world->joined == size)
        remove_world(made->key);
    pthread_mutex_unlock(&made->world->lock);
    *comm = made;
    return meet(made, (struct offer){.verb = JOIN}, NULL);
}

static ncclResult_t progress_of(const struct ncclComm *comm)
{
    const struct world *world = comm->world;
    if (fake_nccl.fault != FAKE_ONE_JOIN)
        return ncclInProgress;
    if (comm->rank == 1)
        return ncclSystemError;
    return world->members < world->joined ? ncclRemoteError : ncclInProgress;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t *state)
{
    struct world *world = comm->world;
    pthread_mutex_lock(&world->lock);
    const bool done = comm->calls <= world->finished;
    if (done)
        take(comm);
    *state = world->failed != ncclSuccess ? world->failed : done ? ncclSuccess : progress_of(comm);
    pthread_mutex_unlock(&world->lock);
    return ncclSuccess;
}

ncclResult_t ncclReduce(const void *from, void *to, size_t n, ncclDataType_t type, ncclRedOp_t op, int root,
                        ncclComm_t comm, cudaStream_t stream)
{
    (void)stream;
    if (from != to || type != ncclFloat32 || op != ncclSum || root != 0)
        return ncclInvalidArgument;
    return meet(comm, (struct offer){SUM, n}, to);
}

ncclResult_t ncclBroadcast(const void *from, void *to, size_t n, ncclDataType_t type, int root, ncclComm_t comm,
                           cudaStream_t stream)
{
    (void)stream;
    if (from != to || type != ncclFloat32 || root != 0)
        return ncclInvalidArgument;
    return meet(comm, (struct offer){COPY, n}, to);
}

ncclResult_t ncclCommFinalize(ncclComm_t comm)
{
    return meet(comm, (struct offer){.verb = LEAVE}, NULL);
}

static void drop(struct ncclComm *comm, int *counter)
{
    struct world *world = comm->world;
    pthread_mutex_lock(&world->lock);
    const bool last = --world->members == 0;
    pthread_mutex_unlock(&world->lock);
    if (last)
        remove_world(comm->key);
    munmap(world, sizeof *world);
    free(comm);
    count(counter);
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
