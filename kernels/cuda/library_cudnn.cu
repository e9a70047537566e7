/* cuDNN as a library that may be missing: loaded at run time, with one handle for each device. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/cudnn.h"

struct sl_cudnn sl_cudnn;
sl_cudnn_fail_fn *sl_cudnn_fail;

static bool there;
static char text[256] = "cuDNN was not looked for";

/* ---- loading ---- */

static const struct {
    const char *name;
    size_t at;
} functions[] = {
    {"cudnnGetVersion", offsetof(struct sl_cudnn, version)},
    {"cudnnGetErrorString", offsetof(struct sl_cudnn, error_text)},
    {"cudnnCreate", offsetof(struct sl_cudnn, create)},
    {"cudnnDestroy", offsetof(struct sl_cudnn, destroy)},
    {"cudnnSetStream", offsetof(struct sl_cudnn, set_stream)},
    {"cudnnBackendCreateDescriptor", offsetof(struct sl_cudnn, create_descriptor)},
    {"cudnnBackendDestroyDescriptor", offsetof(struct sl_cudnn, destroy_descriptor)},
    {"cudnnBackendSetAttribute", offsetof(struct sl_cudnn, set_attribute)},
    {"cudnnBackendGetAttribute", offsetof(struct sl_cudnn, get_attribute)},
    {"cudnnBackendFinalize", offsetof(struct sl_cudnn, finalize)},
    {"cudnnBackendExecute", offsetof(struct sl_cudnn, execute)},
    {"cudnnCreateTensorDescriptor", offsetof(struct sl_cudnn, create_tensor)},
    {"cudnnDestroyTensorDescriptor", offsetof(struct sl_cudnn, destroy_tensor)},
    {"cudnnSetTensor4dDescriptorEx", offsetof(struct sl_cudnn, set_tensor)},
    {"cudnnSoftmaxForward", offsetof(struct sl_cudnn, softmax)},
};

static void *open_library(void)
{
    const char *path = getenv("SL_CUDNN_PATH");
    if (path && *path)
        return dlopen(path, RTLD_NOW | RTLD_LOCAL);
    void *library = dlopen("libcudnn.so.9", RTLD_NOW | RTLD_LOCAL);
    return library ? library : dlopen("libcudnn.so", RTLD_NOW | RTLD_LOCAL);
}

static void load(void)
{
    constexpr size_t OLDEST = 90000;
    void *library = open_library();
    if (!library) {
        snprintf(text, sizeof text, "%s; SL_CUDNN_PATH may name it", dlerror());
        return;
    }
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        void *symbol = dlsym(library, functions[i].name);
        if (!symbol) {
            snprintf(text, sizeof text, "cuDNN is older than 9.0: it has no %s", functions[i].name);
            return;
        }
        memcpy(reinterpret_cast<char *>(&sl_cudnn) + functions[i].at, &symbol, sizeof symbol);
    }
    const size_t version = sl_cudnn.version();
    there = version >= OLDEST;
    if (there)
        snprintf(text, sizeof text, "%zu.%zu.%zu", version / 10000, version / 100 % 100, version % 100);
    else
        snprintf(text, sizeof text, "cuDNN is older than 9.0: its version is %zu", version);
}

bool sl_cudnn_load(sl_cudnn_fail_fn *fail)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    sl_cudnn_fail = fail;
    pthread_once(&once, load);
    return there;
}

const char *sl_cudnn_text(void)
{
    return text;
}

/* ---- errors ---- */

int sl_cudnn_check(int status, const char *what)
{
    return status == 0 ? SL_OK : SL_CUDNN_CANNOT("cuDNN cannot %s: %s", what, sl_cudnn.error_text(status));
}

static int noted; /* the first since it was asked for */

void sl_cudnn_note(int status)
{
    int none = 0;
    if (status != 0)
        __atomic_compare_exchange_n(&noted, &none, status, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

int sl_cudnn_noted(void)
{
    return sl_cudnn_check(__atomic_exchange_n(&noted, 0, __ATOMIC_RELAXED), "run a plan");
}

/* ---- handles ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

constexpr int DEVICES = 32;

static struct holding {
    const struct sl_device *device;
    void *handle; /* NULL: a free place */
    int holders;
} holdings[DEVICES];

/* The device's place, else a free one, else NULL. */
static struct holding *find_holding(const struct sl_device *device)
{
    struct holding *found = nullptr;
    for (struct holding &h : holdings) {
        if (h.handle && h.device == device)
            return &h;
        if (!h.handle && !found)
            found = &h;
    }
    return found;
}

int sl_cudnn_hold(const struct sl_device *device, void **handle)
{
    int rc = SL_OK;
    pthread_mutex_lock(&lock);
    struct holding *h = find_holding(device);
    if (!h)
        rc = SL_CUDNN_CANNOT("cuDNN has handles for %d devices, and no more", DEVICES);
    else if (!h->handle && (rc = sl_cudnn_check(sl_cudnn.create(&h->handle), "use the device")) != SL_OK)
        h->handle = nullptr;
    if (rc == SL_OK) {
        h->device = device;
        h->holders++;
        *handle = h->handle;
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

void sl_cudnn_release(void *handle)
{
    pthread_mutex_lock(&lock);
    for (struct holding &h : holdings) {
        if (!handle || h.handle != handle || --h.holders > 0)
            continue;
        sl_cudnn.destroy(handle);
        h = {};
        break;
    }
    pthread_mutex_unlock(&lock);
}
