/* What lets the host go ahead of a GPU: copies beside its work, marks, recordings, names for a profiler. */
#include <cuda_runtime.h>
#if __has_include(<nvtx3/nvToolsExt.h>) /* a part of CUDA that may be left out */
#include <nvtx3/nvToolsExt.h>
#define SL_HAS_NVTX 1
#else
#define SL_HAS_NVTX 0
#endif

#include <cstdlib>

#include "kernels/cuda/plugin/gpu.cuh"

/* What was recorded, and the scratch that it uses. */
struct recording {
    cudaGraphExec_t graph;
    const void *scratch;
};

/* ---- streams ---- */

int sl_gpu_open_streams(struct gpu *gpu)
{
    int rc = sl_cuda_check(cudaStreamCreateWithFlags(&gpu->stream, cudaStreamNonBlocking), "make a stream");
    if (rc == SL_OK)
        rc = sl_cuda_check(cudaStreamCreateWithFlags(&gpu->copies, cudaStreamNonBlocking), "make a stream");
    if (rc == SL_OK)
        rc = sl_cuda_check(cudaEventCreateWithFlags(&gpu->sent, cudaEventDisableTiming), "make an event");
    for (int i = 0; rc == SL_OK && i < SL_DEVICE_MARKS; i++)
        rc = sl_cuda_check(cudaEventCreateWithFlags(&gpu->marks[i], cudaEventDisableTiming), "make an event");
    return rc;
}

void sl_gpu_close_streams(struct gpu *gpu)
{
    if (gpu->stream)
        cudaStreamDestroy(gpu->stream);
    if (gpu->copies)
        cudaStreamDestroy(gpu->copies);
    if (gpu->sent)
        cudaEventDestroy(gpu->sent);
    for (cudaEvent_t mark : gpu->marks)
        if (mark)
            cudaEventDestroy(mark);
}

/* ---- copies and marks ---- */

static int gpu_send(void *self, void *to, const void *from, size_t bytes)
{
    const struct gpu *gpu = static_cast<const struct gpu *>(self);
    return sl_cuda_check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, gpu->copies), "send ahead");
}

static int gpu_sent(void *self)
{
    const struct gpu *gpu = static_cast<const struct gpu *>(self);
    const int rc = sl_cuda_check(cudaEventRecord(gpu->sent, gpu->copies), "note what was sent");
    return rc == SL_OK ? sl_cuda_check(cudaStreamWaitEvent(gpu->stream, gpu->sent, 0), "wait for what was sent") : rc;
}

static int gpu_mark(void *self, int number)
{
    const struct gpu *gpu = static_cast<const struct gpu *>(self);
    return sl_cuda_check(cudaEventRecord(gpu->marks[number], gpu->stream), "set a mark");
}

static int gpu_reach(void *self, int number)
{
    const struct gpu *gpu = static_cast<const struct gpu *>(self);
    return sl_cuda_check(cudaEventSynchronize(gpu->marks[number]), "finish what was started");
}

/* ---- recordings: CUDA's graphs ---- */

static int gpu_record_begin(void *self)
{
    struct gpu *gpu = static_cast<struct gpu *>(self);
    const int rc =
        sl_cuda_check(cudaStreamBeginCapture(gpu->stream, cudaStreamCaptureModeThreadLocal), "begin a recording");
    gpu->recording = rc == SL_OK;
    return rc;
}

static void gpu_forget(void *, void *memory)
{
    struct recording *recording = static_cast<struct recording *>(memory);
    if (recording && recording->graph)
        cudaGraphExecDestroy(recording->graph);
    free(recording);
}

static int make_ready(const struct gpu *gpu, cudaGraph_t graph, void **memory)
{
    struct recording *recording = static_cast<struct recording *>(calloc(1, sizeof *recording));
    if (!recording)
        return sl_cuda_host.fail(SL_SYSTEM, "out of memory for a recording");
    recording->scratch = gpu->scratch;
    int rc = sl_cuda_check(cudaGraphInstantiate(&recording->graph, graph, 0), "make a recording ready");
    if (rc == SL_OK)
        rc = sl_cuda_check(cudaGraphUpload(recording->graph, gpu->stream), "load a recording");
    if (rc == SL_OK)
        *memory = recording;
    else
        gpu_forget(nullptr, recording);
    return rc;
}

static int gpu_record_end(void *self, void **recording)
{
    struct gpu *gpu = static_cast<struct gpu *>(self);
    cudaGraph_t graph = nullptr;
    const cudaError_t error = cudaStreamEndCapture(gpu->stream, &graph);
    gpu->recording = false;
    int rc = recording ? sl_cuda_check(error, "end a recording") : SL_OK;
    if (rc == SL_OK && recording)
        rc = make_ready(gpu, graph, recording);
    if (graph)
        cudaGraphDestroy(graph);
    cudaGetLastError(); /* is not to be met again later */
    return rc;
}

static int gpu_replay(void *self, void *memory, bool *run)
{
    const struct gpu *gpu = static_cast<const struct gpu *>(self);
    const struct recording *recording = static_cast<const struct recording *>(memory);
    *run = recording->scratch == gpu->scratch;
    return *run ? sl_cuda_check(cudaGraphLaunch(recording->graph, gpu->stream), "replay a recording") : SL_OK;
}

/* ---- names for a profiler: one look at a pointer where there is none ---- */

#if SL_HAS_NVTX
static void gpu_range_push(void *, const char *name)
{
    nvtxRangePushA(name);
}

static void gpu_range_pop(void *)
{
    nvtxRangePop();
}
#endif

void sl_gpu_work_ahead(struct sl_device *device)
{
    device->send = gpu_send;
    device->sent = gpu_sent;
    device->mark = gpu_mark;
    device->reach = gpu_reach;
    device->record_begin = gpu_record_begin;
    device->record_end = gpu_record_end;
    device->replay = gpu_replay;
    device->forget = gpu_forget;
#if SL_HAS_NVTX
    device->range_push = gpu_range_push;
    device->range_pop = gpu_range_pop;
#endif
}
