/* A device with memory of its own, as far as an exchange can tell: the processor's rows, in memory that is the host's
 * as well, so that ranks that are threads can sum in it. Copies from and to pinned memory are late: they happen before
 * the next fork or fill, at a sync, or when a look finds all done. So who touches such memory too early shows. */
#ifndef SL_TESTS_APART_DEVICE_H
#define SL_TESTS_APART_DEVICE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/device/parallel.h"

enum { APART_ROOMS = 64, APART_COPIES = 256, APART_LOOKS = 3 };

struct apart_device {
    struct sl_device cpu;
    int looks; /* until what was started is done */
    bool busy; /* forked since the last sync */
    struct {
        char *at;
        size_t bytes;
    } rooms[APART_ROOMS]; /* pinned; at NULL: free */
    struct {
        void *to;
        const void *from;
        size_t bytes;
    } late[APART_COPIES];
    int count;
};

static inline void apart_must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "apart device: %s\n", what);
    abort();
}

/* -1: not pinned. */
static inline int apart_room(const struct apart_device *apart, const void *at)
{
    for (int i = 0; i < APART_ROOMS; i++)
        if (apart->rooms[i].at && (uintptr_t)at - (uintptr_t)apart->rooms[i].at < apart->rooms[i].bytes)
            return i;
    return -1;
}

static inline void apart_finish(struct apart_device *apart)
{
    for (int i = 0; i < apart->count; i++)
        memcpy(apart->late[i].to, apart->late[i].from, apart->late[i].bytes);
    apart->count = 0;
}

static inline int apart_copy(void *self, void *to, const void *from, size_t bytes)
{
    struct apart_device *apart = self;
    const bool to_pinned = apart_room(apart, to) >= 0, pinned = to_pinned || apart_room(apart, from) >= 0;
    apart_must(!to_pinned || !apart->busy, "read before it is done");
    if (apart->count == APART_COPIES || !pinned)
        apart_finish(apart);
    if (pinned) {
        apart->late[apart->count].to = to;
        apart->late[apart->count].from = from;
        apart->late[apart->count++].bytes = bytes;
        if (to_pinned)
            memset(to, 0xff, bytes);
    } else if (bytes) {
        memcpy(to, from, bytes);
    }
    return SL_OK;
}

static inline int apart_fill(void *self, void *to, int byte, size_t bytes)
{
    apart_finish(self);
    memset(to, byte, bytes);
    return SL_OK;
}

static inline int apart_fork(void *self, int64_t units, size_t scratch_bytes, sl_task_fn *task, void *task_self)
{
    struct apart_device *apart = self;
    apart_finish(apart);
    apart->looks = APART_LOOKS;
    apart->busy = true;
    return apart->cpu.fork(apart->cpu.self, units, scratch_bytes, task, task_self);
}

static inline int apart_sync(void *self)
{
    struct apart_device *apart = self;
    apart_finish(apart);
    apart->looks = 0;
    apart->busy = false;
    return SL_OK;
}

static inline int apart_test(void *self, bool *done)
{
    struct apart_device *apart = self;
    *done = apart->looks == 0;
    apart->looks -= !*done;
    return *done ? apart_sync(apart) : SL_OK;
}

static inline int apart_alloc(void *self, size_t bytes, void **memory)
{
    struct apart_device *apart = self;
    const int rc = apart->cpu.alloc(apart->cpu.self, bytes, memory);
    if (rc == SL_OK)
        memset(*memory, 0xff, bytes);
    return rc;
}

static inline void apart_free(void *self, void *memory)
{
    struct apart_device *apart = self;
    apart_finish(apart);
    apart->cpu.free(apart->cpu.self, memory);
}

static inline int apart_alloc_pinned(void *self, size_t bytes, void **memory)
{
    struct apart_device *apart = self;
    int i = 0;
    while (i < APART_ROOMS && apart->rooms[i].at)
        i++;
    apart_must(i < APART_ROOMS, "it has no room for so many pinned pieces");
    *memory = apart->rooms[i].at = malloc(bytes + 1);
    apart->rooms[i].bytes = bytes + 1;
    apart_must(*memory, "out of memory");
    memset(*memory, 0xff, bytes);
    return SL_OK;
}

static inline void apart_free_pinned(void *self, void *memory)
{
    struct apart_device *apart = self;
    const int i = apart_room(apart, memory);
    apart_must(i >= 0 && apart->rooms[i].at == memory, "what is freed is not pinned");
    for (int k = 0; k < apart->count; k++)
        apart_must(apart_room(apart, apart->late[k].to) != i && apart_room(apart, apart->late[k].from) != i,
                   "freed before a copy is done");
    free(memory);
    apart->rooms[i].at = NULL;
}

static inline void apart_close(void *self)
{
    struct apart_device *apart = self;
    for (int i = 0; i < APART_ROOMS; i++)
        apart_must(!apart->rooms[i].at, "pinned memory is left");
    apart->cpu.close(apart->cpu.self);
    free(apart);
}

static inline void apart_device_open(struct sl_device *device)
{
    struct apart_device *apart = calloc(1, sizeof *apart);
    apart_must(apart && sl_device_cpu_open(1, &apart->cpu) == SL_OK, "out of memory");
    *device = apart->cpu;
    device->name = "apart";
    device->host_memory = false;
    device->self = apart;
    device->alloc = apart_alloc;
    device->free = apart_free;
    device->copy = apart_copy;
    device->fill = apart_fill;
    device->fork = apart_fork;
    device->sync = apart_sync;
    device->test = apart_test;
    device->close = apart_close;
    device->alloc_pinned = apart_alloc_pinned;
    device->free_pinned = apart_free_pinned;
}
#endif
