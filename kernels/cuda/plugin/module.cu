/* The plug-in's one door, and what it tells of the machine's GPUs. */
#include <cuda_runtime.h>

#include <cstdio>
#include <cstring>

#include "kernels/activation/activation.h"
#include "kernels/cuda/cudnn.h"
#include "kernels/cuda/plugin/plugin.h"
#include "kernels/cuda/rows.h"
#include "kernels/kernels.h"

struct sl_cuda_host sl_cuda_host;

static int count(int *devices)
{
    int driver = 0, runtime = 0;
    *devices = 0;
    cudaDriverGetVersion(&driver);
    cudaRuntimeGetVersion(&runtime);
    if (driver == 0)
        return sl_cuda_host.fail(SL_UNAVAILABLE, "no NVIDIA driver is loaded");
    if (driver / 1000 < runtime / 1000)
        return sl_cuda_host.fail(SL_UNAVAILABLE, "the driver knows CUDA %d.%d, this plug-in needs %d.%d or newer",
                                 driver / 1000, driver % 1000 / 10, runtime / 1000, 0);
    const cudaError_t error = cudaGetDeviceCount(devices);
    if (error == cudaErrorNoDevice || (error == cudaSuccess && *devices == 0))
        return sl_cuda_host.fail(SL_UNAVAILABLE, "there is no NVIDIA device, or CUDA_VISIBLE_DEVICES hides it");
    return sl_cuda_check(error, "count the devices");
}

/* A device that cannot be asked is none. */
static uint64_t find_peers(int index)
{
    uint64_t peers = 0;
    int devices = 0;
    if (cudaGetDeviceCount(&devices) != cudaSuccess)
        devices = 0;
    for (int i = 0; i < devices && i < 64; i++) {
        int reaches = 0;
        if (i != index && cudaDeviceCanAccessPeer(&reaches, index, i) == cudaSuccess && reaches)
            peers |= (uint64_t)1 << i;
    }
    cudaGetLastError(); /* is not to be met again later */
    return peers;
}

static int describe(int index, struct sl_cuda_device_info *info)
{
    struct cudaDeviceProp properties;
    size_t available, total;
    *info = {};
    int rc = sl_cuda_check(cudaGetDeviceProperties(&properties, index), "describe the device");
    if (rc == SL_OK)
        rc = sl_cuda_check(cudaSetDevice(index), "use the device");
    if (rc == SL_OK)
        rc = sl_cuda_check(cudaMemGetInfo(&available, &total), "ask for the free memory");
    if (rc != SL_OK)
        return rc;
    snprintf(info->name, sizeof info->name, "%.63s", properties.name);
    info->major = properties.major;
    info->minor = properties.minor;
    info->processors = properties.multiProcessorCount;
    info->memory_total = total;
    info->memory_free = available;
    info->peers = find_peers(index);
    snprintf(info->cudnn, sizeof info->cudnn, "%s", sl_cudnn_text());
    return SL_OK;
}

/* What the self-test computes: y = x >= 0 ? x : x/2. */
struct self_test {
    struct sl_leaky_relu shape;
    struct sl_leaky_relu_fwd args;
};

static void run_self_test(void *self, const struct sl_work *work)
{
    const struct self_test *test = static_cast<const struct self_test *>(self);
    sl_leaky_relu_fwd_cuda.run(&test->shape, &test->args, work);
}

/* n numbers to the device, through one kernel, and back. */
static int compute_self_test(const struct sl_device *device, float *numbers, int64_t n, void *memory)
{
    struct self_test test = {.shape = {.n = n, .slope = 0.5f, .element = SL_ELEMENT_F32},
                             .args = {.x = static_cast<float *>(memory), .y = static_cast<float *>(memory)}};
    const size_t bytes = (size_t)n * sizeof *numbers;
    int rc = device->copy(device->self, memory, numbers, bytes);
    if (rc == SL_OK)
        rc = device->fork(device->self, 1, 0, run_self_test, &test);
    if (rc == SL_OK)
        rc = device->sync(device->self);
    if (rc == SL_OK)
        rc = device->copy(device->self, numbers, memory, bytes);
    return rc == SL_OK ? device->sync(device->self) : rc;
}

int sl_cuda_self_test(const struct sl_device *device)
{
    constexpr int N = 300;
    const char *missing = sl_cuda_missing_operation(device->rows, device->row_count, device->isa);
    if (missing)
        return sl_cuda_host.fail(SL_UNAVAILABLE, "%s: the plug-in has no kernel for %s", device->name, missing);
    float numbers[N];
    void *memory = nullptr;
    for (int i = 0; i < N; i++)
        numbers[i] = (float)(i - N / 2);
    int rc = device->alloc(device->self, sizeof numbers, &memory);
    if (rc == SL_OK)
        rc = compute_self_test(device, numbers, N, memory);
    device->free(device->self, memory);
    for (int i = 0; rc == SL_OK && i < N; i++) {
        const float x = (float)(i - N / 2), y = x >= 0.0f ? x : 0.5f * x;
        if (numbers[i] != y)
            rc = sl_cuda_host.fail(SL_UNAVAILABLE, "%s: its self-test made %g of %g", device->name, (double)numbers[i],
                                   (double)x);
    }
    return rc;
}

extern "C" __attribute__((visibility("default"))) int sl_cuda_module_open(const struct sl_cuda_host *host,
                                                                          struct sl_cuda_module *module)
{
    if (strncmp(host->abi, SL_KERNELS_ABI, sizeof host->abi))
        return host->fail(SL_UNAVAILABLE, "the CUDA plug-in is of another build (%s, this program is of %.*s)",
                          SL_KERNELS_ABI, SL_CUDA_ABI_BYTES, host->abi);
    sl_cuda_host = *host;
    sl_cudnn_load(host->fail);
    *module = {.abi = SL_KERNELS_ABI,
               .count = count,
               .describe = describe,
               .open = sl_cuda_device_open,
               .self_test = sl_cuda_self_test};
    return SL_OK;
}
