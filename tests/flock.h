/* Ranks as threads, each with a comm and a device of its own. */
#ifndef SL_TESTS_FLOCK_H
#define SL_TESTS_FLOCK_H

#include <stdlib.h>
#include <string.h>

#include "comm/team.h"
#include "runtime/device/parallel.h"
#include "tests/rank_checks.h"

struct flock_rank {
    int number, size;
    struct sl_comm *comm;
    struct sl_device device;
    const struct sl_team *team; /* NULL: every rank is a node */
};

struct flock {
    void (*body)(struct flock_rank *rank, void *self);
    void *self;
    /* NULL: none. What a test wants otherwise: another wire, another device. */
    void (*wire)(struct sl_wire *wire, void *self);
    void (*device)(int rank, struct sl_device *device, void *self);
};

static inline void flock_start(struct sl_wire *wire, void *self)
{
    const struct flock *flock = self;
    struct flock_rank made = {.number = wire->rank, .size = wire->size};
    if (flock->wire)
        flock->wire(wire, flock->self);
    CHECK_OK(sl_comm_open(wire, &(struct sl_comm_options){0}, &made.comm));
    if (sl_device_cpu_open(1, &made.device) != SL_OK)
        abort();
    if (flock->device)
        flock->device(made.number, &made.device, flock->self);
    flock->body(&made, flock->self);
    made.device.close(made.device.self);
    sl_comm_close(made.comm, SL_OK);
}

static inline void flock_fly(int size, struct flock flock)
{
    run_ranks(size, flock_start, &flock);
}

/* ---- numbers ---- */

/* Well-mixed bits of three numbers. */
static inline uint64_t flock_mix(uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t x = a * UINT64_C(0x9E3779B97F4A7C15) ^ (b + 1) * UINT64_C(0xC2B2AE3D27D4EB4F) ^
                 (c + 1) * UINT64_C(0x165667B19E3779F9);
    for (int i = 0; i < 3; i++) {
        x ^= x >> 31;
        x *= UINT64_C(0xBF58476D1CE4E5B9);
    }
    return x ^ x >> 29;
}

/* In [-1, 1), most of them small: the fifth power of a uniform number. */
static inline float flock_float(uint64_t a, uint64_t b, uint64_t c)
{
    const double u = (double)(int64_t)flock_mix(a, b, c) * 0x1p-63;
    return (float)(u * u * u * u * u);
}

/* Floats of the device from and to the host. */
static inline void flock_copy(const struct sl_device *device, void *to, const void *from, size_t floats)
{
    if (device->sync(device->self) != SL_OK || device->copy(device->self, to, from, floats * sizeof(float)) != SL_OK)
        abort();
}

static inline float *flock_alloc(const struct sl_device *device, size_t floats)
{
    void *memory;
    if (device->alloc(device->self, (floats + 1) * sizeof(float), &memory) != SL_OK)
        abort();
    return memory;
}
#endif
