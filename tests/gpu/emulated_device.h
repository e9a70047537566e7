/* A device whose threads are the processor's (kernels/cuda/emulated.cuh), with memory that is copied to and from as a
 * GPU's is. */
#ifndef SL_TESTS_GPU_EMULATED_DEVICE_H
#define SL_TESTS_GPU_EMULATED_DEVICE_H

#include <stdlib.h>
#include <string.h>

#include "kernels/exec.h"
#ifdef SL_GPU_EMULATED
#include "kernels/cuda/cudnn.h"
#include "kernels/cuda/rows.h"

static int emulated_alloc(void *self, size_t bytes, void **memory)
{
    (void)self;
    *memory = aligned_alloc(64, (bytes + 64) / 64 * 64);
    return *memory ? SL_OK : sl_fail(SL_UNAVAILABLE, "out of memory for the emulated device");
}

static void emulated_free(void *self, void *memory)
{
    (void)self;
    free(memory);
}

static int emulated_copy(void *self, void *to, const void *from, size_t bytes)
{
    (void)self;
    memcpy(to, from, bytes);
    return SL_OK;
}

static int emulated_fill(void *self, void *to, int byte, size_t bytes)
{
    (void)self;
    memset(to, byte, bytes);
    return SL_OK;
}

static int emulated_fork(void *self, int64_t units, size_t scratch_bytes, sl_task_fn *task, void *task_self)
{
    void *scratch;
    const int rc = emulated_alloc(self, scratch_bytes, &scratch);
    if (rc != SL_OK)
        return rc;
    const struct sl_work work = {.begin = 0, .end = units, .scratch = scratch};
    task(task_self, &work);
    free(scratch);
    return SL_OK;
}

static int emulated_sync(void *self)
{
    (void)self;
    return SL_OK;
}

static void emulated_close(void *self)
{
    (void)self;
}

/* With rows of cuDNN over a fake that computes on the processor: cuDNN itself wants the memory of a GPU. */
static inline int emulated_device_open(struct sl_device *device)
{
    const bool fake = getenv("SL_CUDNN_PATH") && sl_cudnn_load(sl_fail);
    *device = (struct sl_device){.name = "emulated blocks",
                                 .isa = SL_CUDA | SL_WGMMA | SL_TF32 | (fake ? SL_CUDNN : 0u),
                                 .rows = sl_cuda_rows,
                                 .row_count = sl_cuda_row_count,
                                 .alloc = emulated_alloc,
                                 .free = emulated_free,
                                 .copy = emulated_copy,
                                 .fill = emulated_fill,
                                 .fork = emulated_fork,
                                 .sync = emulated_sync,
                                 .close = emulated_close};
    return SL_OK;
}
#else
static inline int emulated_device_open(struct sl_device *device)
{
    (void)device;
    return sl_fail(SL_UNAVAILABLE, "this build has no emulated blocks");
}
#endif
#endif
