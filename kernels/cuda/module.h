/* What the CUDA plug-in (libstarling_cuda.so) and the program that loads it must agree on. The plug-in exports one
 * function and uses nothing of the program's but what it is handed. */
#ifndef SL_KERNELS_CUDA_MODULE_H
#define SL_KERNELS_CUDA_MODULE_H

#include "kernels/exec.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { SL_CUDA_ABI_BYTES = 33 };

/* `abi` is a hash of all headers of kernels/, which the build makes: shapes and arguments are those of one version. Its
 * place never changes. */
struct sl_cuda_host {
    char abi[SL_CUDA_ABI_BYTES];
    int (*fail)(int status, const char *format, ...) __attribute__((format(printf, 2, 3))); /* sl_fail */
};

struct sl_cuda_device_info {
    char name[64];
    int major, minor;                   /* compute capability */
    int processors;                     /* streaming multiprocessors */
    uint64_t memory_total, memory_free; /* bytes */
    uint64_t peers;  /* bit i: it reads and writes the memory of device i by itself; of the first 64 */
    char cudnn[256]; /* its version, or why it cannot be used */
};

struct sl_cuda_module {
    char abi[SL_CUDA_ABI_BYTES];
    /* SL_UNAVAILABLE: no driver, one that is too old, no device. */
    int (*count)(int *devices);
    int (*describe)(int index, struct sl_cuda_device_info *info);
    /* Takes `memory` bytes of the device (0: nine tenths of what is free) and gives from them. SL_UNAVAILABLE. */
    int (*open)(int index, uint64_t memory, struct sl_device *device);
    /* Every operation has a row; one kernel on known numbers. SL_UNAVAILABLE: one has none and is named, the kernel
     * could not run, or its numbers are wrong. */
    int (*self_test)(const struct sl_device *device);
};

#define SL_CUDA_MODULE_OPEN "sl_cuda_module_open"

/* SL_UNAVAILABLE: a plug-in of another build. */
typedef int sl_cuda_module_open_fn(const struct sl_cuda_host *host, struct sl_cuda_module *module);

#ifdef __cplusplus
}
#endif
#endif
