/* A GPU that is none: the rows of a GPU, run block by block on the processor (kernels/cuda/emulated.cuh), in memory
 * that the host cannot touch (strict_device.h). It runs a task once, with all units, as a GPU does. */
#ifndef SL_TESTS_CUDA_EMULATED_DEVICE_H
#define SL_TESTS_CUDA_EMULATED_DEVICE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "kernels/cuda/rows.h"
#include "tests/strict_device.h"

/* Scratch is the device's own: nothing of an earlier task is in it. */
static inline int emulated_fork(void *self, int64_t units, size_t scratch_bytes, sl_task_fn *task, void *task_self)
{
    enum { ALIGNMENT = 64 };
    struct strict_device *strict = self;
    const size_t bytes = (scratch_bytes + ALIGNMENT) / ALIGNMENT * ALIGNMENT;
    void *scratch = aligned_alloc(ALIGNMENT, bytes);
    assert_non_null(scratch);
    memset(scratch, 0xff, bytes);
    const struct sl_work work = {.begin = 0, .end = units, .scratch = scratch};
    strict->busy = true;
    strict_protect(strict, PROT_READ | PROT_WRITE);
    task(task_self, &work);
    strict_protect(strict, PROT_NONE);
    free(scratch);
    return SL_OK;
}

/* `more` than SL_CUDA that it has, as SL_TF32 and SL_WGMMA. */
static inline void emulated_device_open(uint32_t more, struct sl_device *device)
{
    strict_device_open(1, device);
    device->name = "emulated";
    device->isa = SL_CUDA | more;
    device->threads = 0;
    device->rows = sl_cuda_rows;
    device->row_count = sl_cuda_row_count;
    device->fork = emulated_fork;
}
#endif
