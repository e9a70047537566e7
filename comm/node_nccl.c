/* The ranks of a node over NCCL: the only file that knows it, a module of its own. The library is found when the module
 * is opened, and its communicators never block: a call returns at once, and test asks how it goes. */
#include <dlfcn.h>
#include <nccl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "comm/node_module.h"

/* The first whose communicators need not block, and which can be left in order. */
enum { OLDEST = NCCL_VERSION(2, 14, 3) };

_Static_assert(SL_NODE_KEY_BYTES == sizeof(ncclUniqueId), "a key is NCCL's");

/* What is used of the library. */
#define LIBRARY(X)                            \
    X(get_version, ncclGetVersion)            \
    X(get_unique_id, ncclGetUniqueId)         \
    X(init, ncclCommInitRankConfig)           \
    X(get_async_error, ncclCommGetAsyncError) \
    X(reduce, ncclReduce)                     \
    X(broadcast, ncclBroadcast)               \
    X(finalize, ncclCommFinalize)             \
    X(destroy, ncclCommDestroy)               \
    X(abort, ncclCommAbort)                   \
    X(error_text, ncclGetErrorString)         \
    X(last_error, ncclGetLastError)

/* Filled once for all threads, who then only read. */
static struct {
    pthread_mutex_t lock;
    int version;
#define X(member, symbol) __typeof__(&symbol) member;
    LIBRARY(X)
#undef X
} library = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int (*fail)(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

struct nccl {
    const struct sl_device *device;
    pthread_mutex_t lock; /* over the communicator, which another thread may abort */
    ncclComm_t comm;      /* NULL: there is none yet, or none any more */
    bool aborted;
    bool joined, leaving, left;
    const char *call; /* the one on its way, for messages */
};

/* ---- outcomes ---- */

/* The one place where NCCL's codes become ours. What is on its way is well so far. */
static int check(ncclResult_t result, int status, const char *call)
{
    if (result == ncclSuccess || result == ncclInProgress)
        return SL_OK;
    const char *why = library.last_error(NULL);
    return fail(status, "NCCL: %s: %s%s%s", call, library.error_text(result), why && *why ? ": " : "", why ? why : "");
}

static int outcome(const struct nccl *nccl, bool aborted, ncclResult_t result)
{
    if (aborted)
        return fail(SL_IO, "NCCL: %s was aborted: ranks of this host did not come, or failed", nccl->call);
    return check(result, nccl->joined ? SL_IO : SL_UNAVAILABLE, nccl->call);
}

/* ---- calls ---- */

struct call {
    struct nccl *nccl;
    struct sl_span span;
    ncclResult_t (*start)(struct nccl *nccl, struct sl_span span, cudaStream_t stream);
    ncclResult_t result;
    bool aborted;
};

static ncclResult_t start_reduce(struct nccl *nccl, struct sl_span span, cudaStream_t stream)
{
    return library.reduce(span.at, span.at, span.n, ncclFloat32, ncclSum, 0, nccl->comm, stream);
}

static ncclResult_t start_broadcast(struct nccl *nccl, struct sl_span span, cudaStream_t stream)
{
    return library.broadcast(span.at, span.at, span.n, ncclFloat32, 0, nccl->comm, stream);
}

/* Where the device's stream is at hand. */
static void run_call(void *self, const struct sl_work *work)
{
    struct call *call = self;
    struct nccl *nccl = call->nccl;
    pthread_mutex_lock(&nccl->lock);
    call->aborted = nccl->aborted;
    if (!nccl->aborted)
        call->result = call->start(nccl, call->span, work->stream);
    pthread_mutex_unlock(&nccl->lock);
}

static int run(struct call *call, const char *name)
{
    const struct sl_device *device = call->nccl->device;
    call->nccl->call = name;
    const int rc = device->fork(device->self, 1, 0, run_call, call);
    return rc == SL_OK ? outcome(call->nccl, call->aborted, call->result) : rc;
}

static int reduce(void *self, struct sl_span span)
{
    return run(&(struct call){.nccl = self, .span = span, .start = start_reduce}, "the sum over the ranks of a host");
}

static int broadcast(void *self, struct sl_span span)
{
    return run(&(struct call){.nccl = self, .span = span, .start = start_broadcast},
               "the broadcast to the ranks of a host");
}

static int leave(void *self)
{
    struct nccl *nccl = self;
    ncclResult_t result = ncclSuccess;
    nccl->call = "leaving the ranks of a host";
    pthread_mutex_lock(&nccl->lock);
    const bool aborted = nccl->aborted;
    if (!aborted)
        result = library.finalize(nccl->comm);
    pthread_mutex_unlock(&nccl->lock);
    nccl->leaving = true;
    return outcome(nccl, aborted, result);
}

/* First the communicator, which may still be starting the call; then the device, which runs it. */
static int test(void *self, bool *done)
{
    int rc = SL_OK;
    struct nccl *nccl = self;
    const struct sl_device *device = nccl->device;
    ncclResult_t asked = ncclSuccess, state = ncclSuccess;
    *done = false;
    pthread_mutex_lock(&nccl->lock);
    const bool aborted = nccl->aborted;
    if (!aborted)
        asked = library.get_async_error(nccl->comm, &state);
    pthread_mutex_unlock(&nccl->lock);
    SL_TRY(outcome(nccl, aborted, asked == ncclSuccess ? state : asked));
    if (state == ncclInProgress)
        goto out;
    *done = true;
    if (device->test)
        SL_TRY(device->test(device->self, done));
    nccl->joined |= *done;
    nccl->left |= *done && nccl->leaving;
out:
    return rc;
}

static void end(void *self)
{
    struct nccl *nccl = self;
    pthread_mutex_lock(&nccl->lock);
    if (!nccl->aborted && nccl->comm)
        library.abort(nccl->comm);
    nccl->aborted = true;
    nccl->comm = NULL;
    pthread_mutex_unlock(&nccl->lock);
}

static void close_node(void *self)
{
    struct nccl *nccl = self;
    if (nccl->left && !nccl->aborted)
        library.destroy(nccl->comm);
    else
        end(nccl);
    pthread_mutex_destroy(&nccl->lock);
    free(nccl);
}

/* ---- opening ---- */

static int make_key(char key[SL_NODE_KEY_BYTES])
{
    ncclUniqueId id;
    const int rc = check(library.get_unique_id(&id), SL_UNAVAILABLE, "a key for the ranks of a host");
    memcpy(key, id.internal, sizeof id.internal);
    return rc;
}

static int join(const struct sl_device *device, const char key[SL_NODE_KEY_BYTES], int rank, int size,
                struct sl_node *node)
{
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    ncclUniqueId id;
    struct nccl *nccl = calloc(1, sizeof *nccl);
    if (!nccl)
        return fail(SL_SYSTEM, "out of memory for the ranks of a host");
    config.blocking = 0;
    memcpy(id.internal, key, sizeof id.internal);
    nccl->device = device;
    nccl->call = "joining the ranks of a host";
    pthread_mutex_init(&nccl->lock, NULL);
    const int rc = outcome(nccl, false, library.init(&nccl->comm, size, id, rank, &config));
    if (rc != SL_OK) {
        close_node(nccl);
        return rc;
    }
    *node = (struct sl_node){.name = "nccl",
                             .rank = rank,
                             .size = size,
                             .self = nccl,
                             .reduce = reduce,
                             .broadcast = broadcast,
                             .leave = leave,
                             .test = test,
                             .abort = end,
                             .close = close_node};
    return SL_OK;
}

/* ---- the library ---- */

static int find_symbols(void *handle, const char *name)
{
    void *symbol;
#define X(member, wanted)                                                                  \
    if (!(symbol = dlsym(handle, #wanted)))                                                \
        return fail(SL_UNAVAILABLE, "%s is too old: there is no %s in it", name, #wanted); \
    memcpy(&library.member, &symbol, sizeof symbol);
    LIBRARY(X)
#undef X
    return SL_OK;
}

/* It stays, since it has threads of its own. */
static int load_library(void)
{
    const char *forced = getenv("SL_NCCL_LIBRARY"), *name = forced && *forced ? forced : "libnccl.so.2";
    void *handle = dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!handle)
        return fail(SL_UNAVAILABLE, "NCCL is not there (%s); install it, or set SL_NCCL_LIBRARY to its path",
                    dlerror());
    int rc = find_symbols(handle, name);
    if (rc == SL_OK)
        rc = check(library.get_version(&library.version), SL_UNAVAILABLE, "asking for its version");
    if (rc == SL_OK && library.version < OLDEST)
        rc = fail(SL_UNAVAILABLE, "%s is NCCL of version code %d, and %d or newer is needed", name, library.version,
                  OLDEST);
    return rc;
}

__attribute__((visibility("default"))) sl_node_module_open_fn sl_node_module_open;

int sl_node_module_open(const struct sl_node_host *host, struct sl_node_module *module)
{
    if (host->abi != SL_NODE_ABI || strncmp(host->build, SL_KERNELS_ABI, sizeof host->build) != 0)
        return host->fail(SL_UNAVAILABLE, "the plug-in for NCCL is of another build than this program");
    pthread_mutex_lock(&library.lock);
    fail = host->fail;
    const int rc = load_library();
    *module = (struct sl_node_module){library.version, make_key, join};
    pthread_mutex_unlock(&library.lock);
    return rc;
}
