/* A GPU as a device: one allocation, a stream for its work and one for what the host sends ahead. */
#include <cuda_runtime.h>

#include <cstdio>
#include <cstdlib>

#include "kernels/cuda/cudnn.h"
#include "kernels/cuda/plugin/gpu.cuh"
#include "kernels/cuda/rows.h"

int sl_cuda_check(int error, const char *what)
{
    if (error == cudaSuccess)
        return SL_OK;
    return sl_cuda_host.fail(SL_UNAVAILABLE, "CUDA cannot %s: %s", what, cudaGetErrorString((cudaError_t)error));
}

static int gpu_alloc(void *self, size_t bytes, void **memory)
{
    struct gpu *gpu = static_cast<struct gpu *>(self);
    uint64_t at;
    if (!sl_extents_take(&gpu->extents, bytes, &at))
        return sl_cuda_host.fail(SL_UNAVAILABLE,
                                 "%s: %.1f MB of device memory refused, %.1f of %.1f MB are taken; raise "
                                 "--device-memory-limit or lower --batch-size",
                                 gpu->name, (double)bytes / 1e6, (double)gpu->extents.used / 1e6,
                                 (double)gpu->extents.bytes / 1e6);
    *memory = gpu->memory + at;
    return SL_OK;
}

static void gpu_free(void *self, void *memory)
{
    struct gpu *gpu = static_cast<struct gpu *>(self);
    if (memory)
        sl_extents_give(&gpu->extents, (uint64_t)(static_cast<char *>(memory) - gpu->memory));
}

/* From pageable memory CUDA returns when it has made a copy of its own; to it, it waits. */
static int gpu_copy(void *self, void *to, const void *from, size_t bytes)
{
    struct gpu *gpu = static_cast<struct gpu *>(self);
    const int rc = sl_gpu_refuse_in_recording(gpu, "copy");
    if (rc != SL_OK)
        return rc;
    return sl_cuda_check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, gpu->stream), "copy");
}

static int gpu_fill(void *self, void *to, int byte, size_t bytes)
{
    struct gpu *gpu = static_cast<struct gpu *>(self);
    return sl_cuda_check(cudaMemsetAsync(to, byte, bytes, gpu->stream), "fill memory");
}

/* What is still running may use the scratch that is too small now. */
static int reserve_scratch(struct gpu *gpu, size_t bytes)
{
    if (bytes <= gpu->scratch_bytes)
        return SL_OK;
    int rc = sl_gpu_refuse_in_recording(gpu, "allocate");
    if (rc == SL_OK)
        rc = sl_cuda_check(cudaStreamSynchronize(gpu->stream), "wait");
    if (rc != SL_OK)
        return rc;
    gpu_free(gpu, gpu->scratch);
    gpu->scratch = nullptr;
    gpu->scratch_bytes = 0;
    if ((rc = gpu_alloc(gpu, bytes, &gpu->scratch)) == SL_OK)
        gpu->scratch_bytes = bytes;
    return rc;
}

/* One slice: the launcher starts its kernels on the stream, and this returns. */
static int gpu_fork(void *self, int64_t units, size_t scratch_bytes, sl_task_fn *task, void *task_self)
{
    struct gpu *gpu = static_cast<struct gpu *>(self);
    const int rc = reserve_scratch(gpu, scratch_bytes);
    if (rc != SL_OK)
        return rc;
    const struct sl_work work = {.begin = 0, .end = units, .scratch = gpu->scratch, .stream = gpu->stream};
    task(task_self, &work);
    const int started = sl_cuda_check(cudaGetLastError(), "start a kernel"); /* once: the next row is not to blame */
    return started == SL_OK ? sl_cudnn_noted() : started;
}

static int gpu_sync(void *self)
{
    struct gpu *gpu = static_cast<struct gpu *>(self);
    return sl_cuda_check(cudaStreamSynchronize(gpu->stream), "finish what was started");
}

static int gpu_test(void *self, bool *done)
{
    const struct gpu *gpu = static_cast<const struct gpu *>(self);
    const cudaError_t error = cudaStreamQuery(gpu->stream);
    *done = error == cudaSuccess;
    return error == cudaErrorNotReady ? SL_OK : sl_cuda_check(error, "look whether all is done");
}

static int gpu_alloc_pinned(void *self, size_t bytes, void **memory)
{
    const struct gpu *gpu = static_cast<const struct gpu *>(self);
    const cudaError_t error = cudaHostAlloc(memory, bytes ? bytes : 1, cudaHostAllocDefault);
    if (error == cudaSuccess)
        return SL_OK;
    cudaGetLastError(); /* is not to be met again later */
    return sl_cuda_host.fail(SL_UNAVAILABLE, "%s: %.1f MB of pinned host memory refused: %s", gpu->name,
                             (double)bytes / 1e6, cudaGetErrorString(error));
}

static void gpu_free_pinned(void *, void *memory)
{
    cudaFreeHost(memory);
}

/* ---- opening ---- */

static void gpu_close(void *self)
{
    struct gpu *gpu = static_cast<struct gpu *>(self);
    if (!gpu)
        return;
    sl_gpu_close_streams(gpu);
    cudaFree(gpu->memory);
    free(gpu);
}

static int take_memory(struct gpu *gpu, uint64_t memory)
{
    size_t available, total;
    const int rc = sl_cuda_check(cudaMemGetInfo(&available, &total), "ask for the free memory");
    if (rc != SL_OK)
        return rc;
    gpu->extents.bytes = memory ? memory : available / 10 * 9;
    if (cudaMalloc(reinterpret_cast<void **>(&gpu->memory), gpu->extents.bytes) == cudaSuccess)
        return SL_OK;
    cudaGetLastError(); /* is not to be met again later */
    return sl_cuda_host.fail(SL_UNAVAILABLE,
                             "%s has %.1f MB free of %.1f MB, %.1f are wanted; lower --device-memory-limit", gpu->name,
                             (double)available / 1e6, (double)total / 1e6, (double)gpu->extents.bytes / 1e6);
}

/* Its name, with the model, because measurements of kernels are kept by it; and what its tensor cores can. */
static int describe(struct gpu *gpu)
{
    struct cudaDeviceProp properties;
    const int rc = sl_cuda_check(cudaGetDeviceProperties(&properties, gpu->index), "describe the device");
    if (rc == SL_OK)
        snprintf(gpu->name, sizeof gpu->name, "cuda:%d (%.63s)", gpu->index, properties.name);
    if (rc == SL_OK && properties.major == 9 && properties.minor == 0)
        gpu->isa |= SL_WGMMA;
    return rc;
}

int sl_cuda_device_open(int index, uint64_t memory, struct sl_device *device)
{
    struct gpu *gpu = static_cast<struct gpu *>(calloc(1, sizeof *gpu));
    if (!gpu)
        return sl_cuda_host.fail(SL_SYSTEM, "out of memory for a device");
    gpu->index = index;
    gpu->isa = SL_CUDA;
    int rc = describe(gpu);
    if (rc == SL_OK)
        rc = sl_cuda_check(cudaSetDevice(index), "use the device");
    if (rc == SL_OK)
        rc = sl_gpu_open_streams(gpu);
    if (rc == SL_OK)
        rc = take_memory(gpu, memory);
    if (rc != SL_OK) {
        gpu_close(gpu);
        return rc;
    }
    *device = {.name = gpu->name,
               .isa = sl_cudnn_load(sl_cuda_host.fail) ? gpu->isa | SL_CUDNN : gpu->isa,
               .threads = 0,
               .host_memory = false,
               .memory = gpu->extents.bytes,
               .rows = sl_cuda_rows,
               .row_count = sl_cuda_row_count,
               .listener = nullptr,
               .self = gpu,
               .alloc = gpu_alloc,
               .free = gpu_free,
               .copy = gpu_copy,
               .fill = gpu_fill,
               .fork = gpu_fork,
               .sync = gpu_sync,
               .close = gpu_close,
               .test = gpu_test,
               .alloc_pinned = gpu_alloc_pinned,
               .free_pinned = gpu_free_pinned};
    sl_gpu_work_ahead(device);
    return SL_OK;
}
