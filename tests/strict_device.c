#include "tests/strict_device.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "kernels/activation/activation.h"
#include "kernels/conv/conv.h"
#include "kernels/convert/convert.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/image/image.h"
#include "kernels/norm/norm.h"
#include "kernels/optimizer/optimizer.h"
#include "kernels/pool/pool.h"
#include "kernels/softmax/softmax.h"
#include "kernels/step/step.h"
#include "kernels/threshold/threshold.h"
#include "runtime/device/parallel.h"

enum { STRICT_POISON = 1 << 16, STRICT_HUGE = 1 << 21 };

/* The one that is open: a row knows no device. */
static struct strict_device *strict_open;

bool strict_owns(const struct strict_device *strict, const void *at)
{
    const uintptr_t address = (uintptr_t)at;
    for (int i = 0; i < STRICT_BLOCKS; i++) {
        const uintptr_t begin = (uintptr_t)strict->blocks[i].at;
        if (begin && begin <= address && address - begin < strict->blocks[i].bytes)
            return true;
    }
    return false;
}

/* ---- rows ---- */

/* Pointers are told from numbers by their size: no length or double of the tests looks like an address. A float before
 * padding may, as padding holds anything; so what begins like 0, or like a number from 2^-20 to 2, is none. */
bool strict_is_address(uintptr_t word)
{
    float number;
    memcpy(&number, &word, sizeof number);
    const bool is_number = (uint32_t)word == 0 || (number >= 0x1p-20f && number < 2.0f);
    return word >> 32 && word >> 47 == 0 && !is_number;
}

/* Every pointer among the arguments leads to the device's memory. */
static void strict_check(const char *symbol, const void *args, size_t bytes)
{
    for (size_t at = 0; at + sizeof(uintptr_t) <= bytes; at += sizeof(uintptr_t)) {
        uintptr_t word;
        memcpy(&word, (const char *)args + at, sizeof word);
        if (strict_is_address(word) && !strict_owns(strict_open, (const void *)word)) {
            fprintf(stderr, "%s: the pointer at byte %zu of its arguments is the host's\n", symbol, at);
            abort();
        }
    }
}

#define SL_OP(op, shape, args) enum { STRICT_ARGS_##op = sizeof(struct args) };
#include "kernels/ops.def"
#undef SL_OP

#define SL_KERNEL(op, how, needs)                                                                        \
    static void strict_run_##op##_##how(const void *shape, const void *args, const struct sl_work *work) \
    {                                                                                                    \
        strict_check("sl_" #op "_" #how, args, STRICT_ARGS_##op);                                        \
        sl_##op##_##how.run(shape, args, work);                                                          \
    }                                                                                                    \
    static void strict_pack_##op##_##how(const void *shape, const float *weights, void *packed,          \
                                         const struct sl_work *work)                                     \
    {                                                                                                    \
        const void *const pointers[] = {weights, packed};                                                \
        strict_check("the packing of sl_" #op "_" #how, pointers, sizeof pointers);                      \
        sl_##op##_##how.pack(shape, weights, packed, work);                                              \
    }
#include "kernels/kernels.def"
#undef SL_KERNEL

static const struct {
    void (*run)(const void *, const void *, const struct sl_work *);
    void (*pack)(const void *, const float *, void *, const struct sl_work *);
} strict_checked[] = {
#define SL_KERNEL(op, how, needs) {strict_run_##op##_##how, strict_pack_##op##_##how},
#include "kernels/kernels.def"
#undef SL_KERNEL
};
enum { STRICT_ROWS = sizeof strict_checked / sizeof *strict_checked };

/* The processor's rows, each behind the check. */
static const struct sl_kernel_row *strict_rows(void)
{
    static struct sl_kernel kernels[STRICT_ROWS];
    static struct sl_kernel_row rows[STRICT_ROWS];
    assert_int_equal(sl_kernel_row_count, STRICT_ROWS);
    for (int i = 0; i < STRICT_ROWS; i++) {
        kernels[i] = *sl_kernel_rows[i].kernel;
        kernels[i].run = strict_checked[i].run;
        kernels[i].pack = kernels[i].pack ? strict_checked[i].pack : NULL;
        rows[i] = sl_kernel_rows[i];
        rows[i].kernel = &kernels[i];
    }
    return rows;
}

/* ---- the device ---- */

void strict_protect(const struct strict_device *strict, int protection)
{
    for (int i = 0; i < STRICT_BLOCKS; i++)
        if (strict->blocks[i].at && mprotect(strict->blocks[i].at, strict->blocks[i].bytes, protection))
            abort();
}

/* Large blocks lie on huge pages: small ones take most of a test's time to be protected and opened for each fork. */
static void *strict_map(size_t bytes)
{
    const size_t more = bytes < STRICT_HUGE ? 0 : STRICT_HUGE;
    char *at = mmap(NULL, bytes + more, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED || !more)
        return at;
    const size_t before = -(uintptr_t)at % STRICT_HUGE;
    if ((before && munmap(at, before)) || munmap(at + before + bytes, more - before))
        abort();
    (void)madvise(at + before, bytes, MADV_HUGEPAGE);
    return at + before;
}

int strict_alloc(void *self, size_t bytes, void **memory)
{
    struct strict_device *strict = self;
    int i = 0;
    while (i < STRICT_BLOCKS && strict->blocks[i].at)
        i++;
    if (i == STRICT_BLOCKS)
        return sl_fail(SL_INTERNAL, "the strict device has room for %d allocations", STRICT_BLOCKS);
    const size_t page = bytes < STRICT_HUGE ? 4096 : STRICT_HUGE;
    bytes = (bytes + page) / page * page;
    *memory = strict_map(bytes);
    if (*memory == MAP_FAILED)
        return sl_fail(SL_UNAVAILABLE, "out of memory for the strict device");
    memset(*memory, 0xff, bytes < STRICT_POISON ? bytes : STRICT_POISON);
    if (mprotect(*memory, bytes, PROT_NONE))
        abort();
    strict->blocks[i].at = *memory;
    strict->blocks[i].bytes = bytes;
    return SL_OK;
}

void strict_free(void *self, void *memory)
{
    struct strict_device *strict = self;
    int i = 0;
    if (!memory)
        return;
    while (i < STRICT_BLOCKS && strict->blocks[i].at != memory)
        i++;
    if (i == STRICT_BLOCKS || munmap(memory, strict->blocks[i].bytes))
        abort();
    strict->blocks[i].at = NULL;
}

static int strict_copy(void *self, void *to, const void *from, size_t bytes)
{
    const struct strict_device *strict = self;
    if (strict->busy && !strict_owns(strict, to)) {
        fprintf(stderr, "%zu bytes are read before the device is done with them\n", bytes);
        abort();
    }
    strict_protect(self, PROT_READ | PROT_WRITE);
    memcpy(to, from, bytes);
    strict_protect(self, PROT_NONE);
    return SL_OK;
}

static int strict_fill(void *self, void *to, int byte, size_t bytes)
{
    strict_protect(self, PROT_READ | PROT_WRITE);
    memset(to, byte, bytes);
    strict_protect(self, PROT_NONE);
    return SL_OK;
}

static int strict_fork(void *self, int64_t units, size_t scratch_bytes, sl_task_fn *task, void *task_self)
{
    struct strict_device *strict = self;
    strict->busy = true;
    strict_protect(strict, PROT_READ | PROT_WRITE);
    const int rc = strict->cpu.fork(strict->cpu.self, units, scratch_bytes, task, task_self);
    strict_protect(strict, PROT_NONE);
    return rc;
}

int strict_sync(void *self)
{
    ((struct strict_device *)self)->busy = false;
    return SL_OK;
}

/* Everything must have been freed. */
void strict_close(void *self)
{
    struct strict_device *strict = self;
    for (int i = 0; i < STRICT_BLOCKS; i++)
        assert_null(strict->blocks[i].at);
    strict->cpu.close(strict->cpu.self);
    free(strict);
    strict_open = NULL;
}

void strict_device_open(int threads, struct sl_device *device)
{
    struct strict_device *strict = calloc(1, sizeof *strict);
    assert_non_null(strict);
    assert_null(strict_open);
    strict_open = strict;
    assert_int_equal(sl_device_cpu_open(threads, &strict->cpu), SL_OK);
    *device = strict->cpu;
    device->name = "strict";
    device->host_memory = false;
    device->rows = strict_rows();
    device->row_count = STRICT_ROWS;
    device->self = strict;
    device->alloc = strict_alloc;
    device->free = strict_free;
    device->copy = strict_copy;
    device->fill = strict_fill;
    device->fork = strict_fork;
    device->sync = strict_sync;
    device->close = strict_close;
}
