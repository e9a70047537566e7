/* The cuDNN of this machine, asked for a GPU that is not there: it builds graphs, suggests engines and makes plans for
 * the properties of an H200, and runs nothing. A library between it and the rows, loaded by SL_CUDNN_PATH: where a
 * handle is wanted it gives those properties instead. Without a cuDNN of 9.8 or newer its version is 0. */
#include <dlfcn.h>
#include <stdint.h>
#include <string.h>

#include "kernels/cuda/cudnn.h"
#include "tests/fake/cudnn_functions.h"

/* cuDNN's own values, of what the rows do not use. */
enum {
    TYPE_CHAR = 24,
    DEVICEPROP = 38,
    ENGINEHEUR_DEVICEPROP = 204,
    EXECUTION_PLAN_DEVICEPROP = 407,
    DEVICEPROP_JSON = 2702,
    OLDEST = 90800
};

static const char h200[] =
    "{\"cudaDeviceId\":0,\"deviceVer\":900,\"driverVer\":13000,\"maxGridSize\":[2147483647,65535,65535],"
    "\"maxBlockSize\":[1024,1024,64],\"regsPerBlock\":65536,\"multiProcessorCount\":132,\"warpSize\":32,"
    "\"maxSharedMemoryPerBlock\":49152,\"maxSharedMemoryPerBlockOptin\":232448,\"reservedSharedMemoryPerBlock\":1024,"
    "\"sharedMemPerSM\":233472,\"maxSharedMemoryPerSM\":233472,\"maxRegistersPerSM\":65536,\"maxCtasPerSM\":32,"
    "\"maxThreadsPerBlock\":1024,\"maxThreadsPerSM\":2048,\"pciDeviceId\":4660,\"isTccDriver\":0,"
    "\"supportCoopLaunch\":1,\"smClockRateKHz\":1980000,\"memClockRateKHz\":3201000,\"l2CacheSize\":62914560,"
    "\"totalGlobalMem\":150110011392,\"deviceName\":\"NVIDIA H200\"}";

static struct sl_cudnn real;
static void *properties;

static void find(void *library, const char *name, void *to)
{
    void *symbol = dlsym(library, name);
    if (symbol)
        memcpy(to, &symbol, sizeof symbol);
}

/* Once. False: there is no cuDNN that knows GPUs by their properties. */
static bool load(void)
{
    void *library = properties ? NULL : dlopen("libcudnn.so.9", RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return properties;
    find(library, "cudnnGetVersion", &real.version);
    find(library, "cudnnGetErrorString", &real.error_text);
    find(library, "cudnnBackendCreateDescriptor", &real.create_descriptor);
    find(library, "cudnnBackendDestroyDescriptor", &real.destroy_descriptor);
    find(library, "cudnnBackendSetAttribute", &real.set_attribute);
    find(library, "cudnnBackendGetAttribute", &real.get_attribute);
    find(library, "cudnnBackendFinalize", &real.finalize);
    find(library, "cudnnCreateTensorDescriptor", &real.create_tensor);
    find(library, "cudnnDestroyTensorDescriptor", &real.destroy_tensor);
    find(library, "cudnnSetTensor4dDescriptorEx", &real.set_tensor);
    if (!real.version || real.version() < OLDEST || real.create_descriptor(DEVICEPROP, &properties) != 0)
        return false;
    if (real.set_attribute(properties, DEVICEPROP_JSON, TYPE_CHAR, sizeof h200 - 1, h200) != 0 ||
        real.finalize(properties) != 0)
        properties = NULL;
    return properties;
}

size_t cudnnGetVersion(void)
{
    return load() ? real.version() : 0;
}

const char *cudnnGetErrorString(int status)
{
    return real.error_text(status);
}

int cudnnCreate(void **handle)
{
    *handle = &properties;
    return 0;
}

int cudnnDestroy(void *handle)
{
    (void)handle;
    return 0;
}

int cudnnSetStream(void *handle, void *stream)
{
    (void)handle, (void)stream;
    return 0;
}

int cudnnBackendCreateDescriptor(int type, void **descriptor)
{
    const int status = real.create_descriptor(type, descriptor);
    return status == 0 && type == SL_CUDNN_ENGINEHEUR
               ? real.set_attribute(*descriptor, ENGINEHEUR_DEVICEPROP, SL_CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                                    &properties)
               : status;
}

int cudnnBackendDestroyDescriptor(void *descriptor)
{
    return real.destroy_descriptor(descriptor);
}

int cudnnBackendSetAttribute(void *descriptor, int name, int type, int64_t count, const void *values)
{
    if (name == SL_CUDNN_EXECUTION_PLAN_HANDLE)
        return real.set_attribute(descriptor, EXECUTION_PLAN_DEVICEPROP, SL_CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                                  &properties);
    return type == SL_CUDNN_TYPE_HANDLE ? 0 : real.set_attribute(descriptor, name, type, count, values);
}

int cudnnBackendGetAttribute(void *descriptor, int name, int type, int64_t room, int64_t *count, void *values)
{
    return real.get_attribute(descriptor, name, type, room, count, values);
}

int cudnnBackendFinalize(void *descriptor)
{
    return real.finalize(descriptor);
}

int cudnnBackendExecute(void *handle, void *plan, void *pack)
{
    (void)handle, (void)plan, (void)pack;
    return 1;
}

int cudnnCreateTensorDescriptor(void **tensor)
{
    return real.create_tensor(tensor);
}

int cudnnDestroyTensorDescriptor(void *tensor)
{
    return real.destroy_tensor(tensor);
}

int cudnnSetTensor4dDescriptorEx(void *tensor, int type, int n, int c, int h, int w, int by_n, int by_c, int by_h,
                                 int by_w)
{
    return real.set_tensor(tensor, type, n, c, h, w, by_n, by_c, by_h, by_w);
}

int cudnnSoftmaxForward(void *handle, int algorithm, int mode, const void *alpha, void *x_tensor, const void *x,
                        const void *beta, void *y_tensor, void *y)
{
    (void)handle, (void)algorithm, (void)mode, (void)alpha, (void)x_tensor, (void)x, (void)beta, (void)y_tensor,
        (void)y;
    return 1;
}
