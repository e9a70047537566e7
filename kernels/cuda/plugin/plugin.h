/* The inside of the plug-in. */
#ifndef SL_KERNELS_CUDA_PLUGIN_PLUGIN_H
#define SL_KERNELS_CUDA_PLUGIN_PLUGIN_H

#include "kernels/cuda/module.h"

/* The program's, which remembers errors. */
extern struct sl_cuda_host sl_cuda_host;

/* SL_OK, or SL_UNAVAILABLE with what CUDA says of `error` (a cudaError_t). */
int sl_cuda_check(int error, const char *what);

int sl_cuda_device_open(int index, uint64_t memory, struct sl_device *device);
int sl_cuda_self_test(const struct sl_device *device);
#endif
