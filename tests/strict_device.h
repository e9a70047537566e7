/* A device whose memory nobody can touch but its own copy, fill and fork: whoever follows such a pointer on the host
 * dies of it. The processor does the work; all of the runtime must run on it as it does on a GPU. */
#ifndef SL_TESTS_STRICT_DEVICE_H
#define SL_TESTS_STRICT_DEVICE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "runtime/device/parallel.h"

enum { STRICT_BLOCKS = 64 };

struct strict_device {
    struct sl_device cpu;
    struct {
        void *at;
        size_t bytes;
    } blocks[STRICT_BLOCKS]; /* at NULL: free */
};

static inline void strict_protect(const struct strict_device *strict, int protection)
{
    for (int i = 0; i < STRICT_BLOCKS; i++)
        if (strict->blocks[i].at && mprotect(strict->blocks[i].at, strict->blocks[i].bytes, protection))
            abort();
}

static inline int strict_alloc(void *self, size_t bytes, void **memory)
{
    struct strict_device *strict = self;
    int i = 0;
    while (i < STRICT_BLOCKS && strict->blocks[i].at)
        i++;
    if (i == STRICT_BLOCKS)
        return sl_fail(SL_INTERNAL, "the strict device has room for %d allocations", STRICT_BLOCKS);
    bytes = (bytes + 4096) / 4096 * 4096;
    *memory = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (*memory == MAP_FAILED)
        return sl_fail(SL_UNAVAILABLE, "out of memory for the strict device");
    strict->blocks[i].at = *memory;
    strict->blocks[i].bytes = bytes;
    return SL_OK;
}

static inline void strict_free(void *self, void *memory)
{
    struct strict_device *strict = self;
    for (int i = 0; memory && i < STRICT_BLOCKS; i++)
        if (strict->blocks[i].at == memory) {
            munmap(memory, strict->blocks[i].bytes);
            strict->blocks[i].at = NULL;
        }
}

static inline int strict_copy(void *self, void *to, const void *from, size_t bytes)
{
    strict_protect(self, PROT_READ | PROT_WRITE);
    memcpy(to, from, bytes);
    strict_protect(self, PROT_NONE);
    return SL_OK;
}

static inline int strict_fill(void *self, void *to, int byte, size_t bytes)
{
    strict_protect(self, PROT_READ | PROT_WRITE);
    memset(to, byte, bytes);
    strict_protect(self, PROT_NONE);
    return SL_OK;
}

static inline int strict_fork(void *self, int64_t units, size_t scratch_bytes, sl_task_fn *task, void *task_self)
{
    struct strict_device *strict = self;
    strict_protect(strict, PROT_READ | PROT_WRITE);
    const int rc = strict->cpu.fork(strict->cpu.self, units, scratch_bytes, task, task_self);
    strict_protect(strict, PROT_NONE);
    return rc;
}

static inline int strict_sync(void *self)
{
    (void)self;
    return SL_OK;
}

/* Everything must have been freed. */
static inline void strict_close(void *self)
{
    struct strict_device *strict = self;
    for (int i = 0; i < STRICT_BLOCKS; i++)
        assert_null(strict->blocks[i].at);
    strict->cpu.close(strict->cpu.self);
    free(strict);
}

static inline void strict_device_open(int threads, struct sl_device *device)
{
    struct strict_device *strict = calloc(1, sizeof *strict);
    assert_non_null(strict);
    assert_int_equal(sl_device_cpu_open(threads, &strict->cpu), SL_OK);
    *device = strict->cpu;
    device->name = "strict";
    device->host_memory = false;
    device->self = strict;
    device->alloc = strict_alloc;
    device->free = strict_free;
    device->copy = strict_copy;
    device->fill = strict_fill;
    device->fork = strict_fork;
    device->sync = strict_sync;
    device->close = strict_close;
}
#endif
