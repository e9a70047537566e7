/* What the device of the plug-in is made of. */
#ifndef SL_KERNELS_CUDA_PLUGIN_GPU_CUH
#define SL_KERNELS_CUDA_PLUGIN_GPU_CUH

#include <cuda_runtime.h>

#include "kernels/cuda/plugin/extents.h"
#include "kernels/cuda/plugin/plugin.h"

struct gpu {
    int index;
    char name[88]; /* "cuda:0 (NVIDIA H100 80GB HBM3)" */
    uint32_t isa;
    cudaStream_t stream, copies;
    cudaEvent_t sent, marks[SL_DEVICE_MARKS];
    char *memory;
    struct sl_extents extents;
    void *scratch;
    size_t scratch_bytes;
    bool recording;
};

/* What cannot be replayed is not taken into a recording. */
static inline int sl_gpu_refuse_in_recording(const struct gpu *gpu, const char *what)
{
    return gpu->recording ? sl_cuda_host.fail(SL_INTERNAL, "%s: a recording cannot %s", gpu->name, what) : SL_OK;
}

int sl_gpu_open_streams(struct gpu *gpu);
void sl_gpu_close_streams(struct gpu *gpu);

/* The functions of a device that lets the host go ahead. */
void sl_gpu_work_ahead(struct sl_device *device);
#endif
