/* A runtime of CUDA whose device is the host: what is put on a stream is done at once, or noted while the stream is
 * captured. Kernels are emulated blocks (kernels/cuda/emulated_launch.h), which know no stream. */
#include "tests/fake/fake_cudart.h"

#include <cuda_runtime_api.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/emulated_launch.h"

struct fake_cudart fake_cudart;

static cudaError_t last;
static int named; /* streams so far */

/* NULL: nothing is captured. */
static struct CUgraph_st *captured;
static bool spoilt;

struct CUstream_st {
    int number;
};

struct CUevent_st {
    int set;
};

enum { PIECES = 512 };

struct piece {
    struct sl_emulated_launch launch; /* body NULL: a fill */
    void *to;
    int byte;
    size_t bytes;
};

struct CUgraph_st {
    size_t count;
    struct piece pieces[PIECES];
};

struct CUgraphExec_st {
    struct CUgraph_st graph;
};

static cudaError_t note(cudaError_t error)
{
    if (error != cudaSuccess)
        last = error;
    return error;
}

static void say(const char *what, cudaStream_t stream)
{
    const size_t n = strlen(fake_cudart.log);
    snprintf(fake_cudart.log + n, sizeof fake_cudart.log - n, "%s@%d ", what, stream ? stream->number : -1);
}

void fake_cudart_reset(void)
{
    fake_cudart.log[0] = '\0';
    named = 0;
}

/* ---- the device ---- */

cudaError_t cudaDriverGetVersion(int *version)
{
    *version = CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *version)
{
    *version = CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int *count)
{
    *count = 1;
    return cudaSuccess;
}

cudaError_t cudaDeviceCanAccessPeer(int *reaches, int device, int other)
{
    *reaches = device != other;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *properties, int device)
{
    memset(properties, 0, sizeof *properties);
    snprintf(properties->name, sizeof properties->name, "Fake 100");
    return device == 0 ? cudaSuccess : note(cudaErrorInvalidDevice);
}

cudaError_t cudaSetDevice(int device)
{
    return device == 0 ? cudaSuccess : note(cudaErrorInvalidDevice);
}

cudaError_t cudaMemGetInfo(size_t *available, size_t *total)
{
    *available = *total = (size_t)1 << 30;
    return cudaSuccess;
}

const char *cudaGetErrorString(cudaError_t error)
{
    return error == cudaSuccess ? "no error" : "as the test wants it";
}

cudaError_t cudaGetLastError(void)
{
    const cudaError_t error = last;
    last = cudaSuccess;
    return error;
}

/* ---- memory ---- */

cudaError_t cudaMalloc(void **memory, size_t bytes)
{
    const size_t line = 256;
    *memory = aligned_alloc(line, (bytes + line - 1) / line * line);
    fake_cudart.blocks += *memory != NULL;
    return *memory ? cudaSuccess : note(cudaErrorMemoryAllocation);
}

cudaError_t cudaFree(void *memory)
{
    fake_cudart.blocks -= memory != NULL;
    free(memory);
    return cudaSuccess;
}

cudaError_t cudaHostAlloc(void **memory, size_t bytes, unsigned flags)
{
    (void)flags;
    *memory = malloc(bytes);
    fake_cudart.pinned += *memory != NULL;
    return *memory ? cudaSuccess : note(cudaErrorMemoryAllocation);
}

cudaError_t cudaFreeHost(void *memory)
{
    fake_cudart.pinned -= memory != NULL;
    free(memory);
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind, cudaStream_t stream)
{
    (void)kind;
    say("copy", stream);
    spoilt |= captured != NULL;
    if (captured)
        return note(cudaErrorStreamCaptureUnsupported);
    memcpy(to, from, bytes);
    return cudaSuccess;
}

static cudaError_t capture(struct piece piece)
{
    if (captured->count == PIECES)
        return note(cudaErrorMemoryAllocation);
    captured->pieces[captured->count++] = piece;
    return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void *to, int byte, size_t bytes, cudaStream_t stream)
{
    say("fill", stream);
    if (captured)
        return capture((struct piece){.to = to, .byte = byte, .bytes = bytes});
    memset(to, byte, bytes);
    return cudaSuccess;
}

/* ---- streams and events ---- */

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags)
{
    *stream = malloc(sizeof **stream);
    (*stream)->number = named++;
    fake_cudart.streams++;
    return flags == cudaStreamNonBlocking ? cudaSuccess : note(cudaErrorInvalidValue);
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    fake_cudart.streams--;
    free(stream);
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    say("sync", stream);
    spoilt |= captured != NULL;
    return captured ? note(cudaErrorStreamCaptureUnsupported) : cudaSuccess;
}

cudaError_t cudaStreamQuery(cudaStream_t stream)
{
    say("query", stream);
    return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags)
{
    say("wait", stream);
    return event->set && flags == 0 ? cudaSuccess : note(cudaErrorInvalidValue);
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags)
{
    *event = calloc(1, sizeof **event);
    fake_cudart.events++;
    return flags == cudaEventDisableTiming ? cudaSuccess : note(cudaErrorInvalidValue);
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    fake_cudart.events--;
    free(event);
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    say("event", stream);
    event->set = 1;
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    (void)event;
    return cudaSuccess;
}

/* ---- graphs ---- */

static void capture_launch(void *self, const struct sl_emulated_launch *launch)
{
    const size_t line = 64;
    struct piece piece = {.launch = *launch};
    (void)self;
    piece.launch.self = aligned_alloc(line, (launch->bytes + line) / line * line);
    memcpy(piece.launch.self, launch->self, launch->bytes);
    capture(piece);
}

static void drop(struct CUgraph_st *graph)
{
    for (size_t i = 0; i < graph->count; i++)
        free(graph->pieces[i].launch.self);
    graph->count = 0;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode mode)
{
    say("capture", stream);
    captured = calloc(1, sizeof *captured);
    spoilt = false;
    fake_cudart.graphs++;
    sl_emulated_note(capture_launch, NULL);
    return mode == cudaStreamCaptureModeThreadLocal ? cudaSuccess : note(cudaErrorInvalidValue);
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph)
{
    say("captured", stream);
    sl_emulated_note(NULL, NULL);
    *graph = captured;
    captured = NULL;
    if (!spoilt)
        return cudaSuccess;
    cudaGraphDestroy(*graph);
    *graph = NULL;
    return note(cudaErrorStreamCaptureInvalidated);
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    fake_cudart.graphs--;
    drop(graph);
    free(graph);
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long flags)
{
    if (fake_cudart.cannot_make || flags)
        return note(cudaErrorInvalidValue);
    *exec = malloc(sizeof **exec);
    (*exec)->graph = *graph;
    graph->count = 0; /* it has them now */
    fake_cudart.recordings++;
    return cudaSuccess;
}

cudaError_t cudaGraphUpload(cudaGraphExec_t exec, cudaStream_t stream)
{
    (void)exec;
    say("upload", stream);
    return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream)
{
    say("graph", stream);
    for (size_t i = 0; i < exec->graph.count; i++) {
        const struct piece *piece = &exec->graph.pieces[i];
        if (piece->launch.body)
            sl_emulated_run(&piece->launch);
        else
            memset(piece->to, piece->byte, piece->bytes);
    }
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
    fake_cudart.recordings--;
    drop(&exec->graph);
    free(exec);
    return cudaSuccess;
}
