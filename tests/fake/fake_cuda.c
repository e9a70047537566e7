/* CUDA plug-ins that are not: each is built from this file with another FAKE, to meet what real machines do. */
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/module.h"

enum fake { GOOD, OLD, WITHOUT_DRIVER, WITHOUT_DEVICE, WRONG_NUMBERS, WITHOUT_MEMORY };

static struct sl_cuda_host host;

static int count(int *devices)
{
    *devices = 2;
    if (FAKE == WITHOUT_DRIVER)
        return host.fail(SL_UNAVAILABLE, "no NVIDIA driver is loaded");
    if (FAKE == WITHOUT_DEVICE)
        return host.fail(SL_UNAVAILABLE, "there is no NVIDIA device, or CUDA_VISIBLE_DEVICES hides it");
    return SL_OK;
}

static int describe(int index, struct sl_cuda_device_info *info)
{
    *info = (struct sl_cuda_device_info){.name = "Fake 100",
                                         .major = 9,
                                         .processors = 132,
                                         .memory_total = 80000,
                                         .memory_free = 1000,
                                         .peers = index ? 0 : 2,
                                         .cudnn = "9.1.2"};
    return SL_OK;
}

static void close_device(void *self)
{
    free(self);
}

static int record_begin(void *self)
{
    (void)self;
    return SL_OK;
}

static int open_device(int index, uint64_t memory, struct sl_device *device)
{
    if (FAKE == WITHOUT_MEMORY)
        return host.fail(SL_UNAVAILABLE, "cuda:%d has 1.0 MB free, %.1f are wanted", index, (double)memory / 1e6);
    *device = (struct sl_device){.name = index ? "cuda:1" : "cuda:0",
                                 .isa = SL_CUDA,
                                 .memory = memory,
                                 .self = malloc(1),
                                 .close = close_device,
                                 .record_begin = record_begin};
    return SL_OK;
}

static int self_test(const struct sl_device *device)
{
    return FAKE == WRONG_NUMBERS ? host.fail(SL_UNAVAILABLE, "%s: its self-test made 3 of 2", device->name) : SL_OK;
}

int sl_cuda_module_open(const struct sl_cuda_host *from, struct sl_cuda_module *module);
int sl_cuda_module_open(const struct sl_cuda_host *from, struct sl_cuda_module *module)
{
    if (FAKE == OLD)
        return from->fail(SL_UNAVAILABLE, "the CUDA plug-in is of another build (0123, this program is of %.*s)",
                          SL_CUDA_ABI_BYTES, from->abi);
    host = *from;
    *module =
        (struct sl_cuda_module){.count = count, .describe = describe, .open = open_device, .self_test = self_test};
    memcpy(module->abi, from->abi, sizeof module->abi);
    return SL_OK;
}
