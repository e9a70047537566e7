/* What a kernel may borrow, and the device interface. The interface lies at the ground so that `comm`
 * can fork over cores or copy from a GPU without knowing `runtime`, which implements it. */
#ifndef SL_KERNELS_EXEC_H
#define SL_KERNELS_EXEC_H

#include "kernels/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One slice of a kernel's outermost loop: units [begin, end). `scratch` belongs to this slice alone
 * while it runs, is 64-byte aligned and as large as the row asked for; its content is undefined. A CUDA launcher gets
 * all units at once and a stream. */
struct sl_work {
    int64_t begin, end;
    void *scratch;
    void *stream;
    const void *state; /* what the row's open() made of the shape; NULL where it has none */
};

enum { SL_DEVICE_MARKS = 2 };

typedef void sl_task_fn(void *self, const struct sl_work *work);

struct sl_kernel_row;
struct sl_choice;

/* Told of every launch on a device: before it, and once it has returned, when a device may still be working on it. */
struct sl_launch_listener {
    void (*before)(void *self);
    void (*after)(void *self, const struct sl_choice *choice, const struct sl_kernel_row *row, bool pack);
    void *self;
};

/* A device: where memory lives and where slices run. All functions return an sl_status. */
struct sl_device {
    const char *name; /* "cpu", "cuda" */
    uint32_t isa;     /* rows whose needs are a subset of this may run here */
    int threads;      /* slices that run at once */
    bool host_memory; /* what alloc gives can be read and written without copy */
    uint64_t memory;  /* bytes that alloc gives from, where they are not the host's; 0: not known */
    /* The device's own rows, best first (kernels.h): no row of another device is ever chosen for it. */
    const struct sl_kernel_row *rows;
    size_t row_count;
    const struct sl_launch_listener *listener; /* NULL: nobody is told */
    void *self;
    int (*alloc)(void *self, size_t bytes, void **memory); /* 64-byte aligned, not cleared */
    void (*free)(void *self, void *memory);
    /* In turn with what was forked before. Either side may be the host's, who may change it as soon as copy returns;
     * before a copy to the host comes a sync. */
    int (*copy)(void *self, void *to, const void *from, size_t bytes);
    int (*fill)(void *self, void *to, int byte, size_t bytes);
    /* Cuts [0, units) into slices and runs them all; returns when they are done (CPU) or enqueued. */
    int (*fork)(void *self, int64_t units, size_t scratch_bytes, sl_task_fn *task, void *task_self);
    int (*sync)(void *self);
    void (*close)(void *self);
    /* What a device has that works on while the host does something else; NULL where there is none.
     * Is all done that was started? A look, without waiting. */
    int (*test)(void *self, bool *done);
    /* Memory of the host that the device reads and writes by itself (pinned), 64-byte aligned, not cleared. A copy to
     * or from it returns at once; it may be touched again when a mark behind the copy is reached. */
    int (*alloc_pinned)(void *self, size_t bytes, void **memory);
    void (*free_pinned)(void *self, void *memory);
    /* A copy from pinned memory beside what is forked, for memory that nothing at work uses; and the order: what is
     * started after `sent` waits for all that was sent before. Who has one of these four has all, and pinned memory. */
    int (*send)(void *self, void *to, const void *from, size_t bytes);
    int (*sent)(void *self);
    /* A mark behind all that was started so far, one of SL_DEVICE_MARKS; and waiting until the device comes to where it
     * was set last. */
    int (*mark)(void *self, int number);
    int (*reach)(void *self, int number);
    /* A row of forks and fills as one piece of work; record_begin is NULL where nothing is to be recorded. Between
     * record_begin and record_end they are noted and not run: with the arguments that they have then, and nothing but
     * them. record_end with NULL forgets them. A replay runs them in turn; *run is false where memory has moved that
     * they use, and they have to be recorded again. */
    int (*record_begin)(void *self);
    int (*record_end)(void *self, void **recording);
    int (*replay)(void *self, void *recording, bool *run);
    void (*forget)(void *self, void *recording);
    /* Names for a profiler: what is started until the pop belongs to them. */
    void (*range_push)(void *self, const char *name);
    void (*range_pop)(void *self);
};

static inline void sl_range_push(const struct sl_device *device, const char *name)
{
    if (device->range_push)
        device->range_push(device->self, name);
}

static inline void sl_range_pop(const struct sl_device *device)
{
    if (device->range_pop)
        device->range_pop(device->self);
}

#ifdef __cplusplus
}
#endif
#endif
