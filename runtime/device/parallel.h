/* The only threads of compute: cuts a kernel's outermost loop into slices and runs them. */
#ifndef SL_RUNTIME_DEVICE_PARALLEL_H
#define SL_RUNTIME_DEVICE_PARALLEL_H

#include "kernels/exec.h"
#include "kernels/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Threads a run gets by default (sl_machine_threads). */
int sl_parallel_default_threads(void);

/* Opens the CPU device with `threads` compute threads (0: default). SL_SYSTEM if memory or threads are
 * refused, SL_BAD_CONFIG if SL_ISA or SL_KERNEL is misspelt. */
int sl_device_cpu_open(int threads, struct sl_device *device);

/* Bytes that the device takes for kernels that want `bytes` of scratch each. */
uint64_t sl_parallel_scratch(const struct sl_device *device, size_t bytes);

#ifdef __cplusplus
}
#endif
#endif
