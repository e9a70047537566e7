/* Which device computes: the processor, or a GPU through the CUDA plug-in. */
#ifndef SL_RUNTIME_DEVICE_BACKEND_H
#define SL_RUNTIME_DEVICE_BACKEND_H

#include "kernels/exec.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { SL_BACKEND_BY_RANK = -1 }; /* instead of a GPU's index: processes of one host take one each, in turn */

struct sl_backend_options {
    const char *name;           /* "auto", "cpu" or "cuda"; NULL: auto */
    int index;                  /* of the GPU: 0 is the first; SL_BACKEND_BY_RANK */
    int local_rank, local_size; /* of this process among those of its host that compute; 0, 0: it is alone */
    uint64_t device_memory;     /* bytes to take of the GPU's memory; 0: nine tenths of what is free, or of this
                                   process's share of the whole where it has company there */
    int threads;                /* of the processor; 0: as many as this process may use */
    bool tf32; /* products of floats may be rounded to tf32, where the device can: a processor cannot */
    /* Told which backend is used, and of each that "auto" passed over, why: one line. NULL: nobody. */
    void (*report)(void *self, const char *line);
    void *self;
};

/* Opens the backend of that name, or, for "auto", of all that load and pass their self-test the one of the highest
 * priority: SL_BACKEND_PRIORITY_CUDA (100 unless set), SL_BACKEND_PRIORITY_CPU (0). One whose priority is negative is
 * left out. SL_UNAVAILABLE: it cannot be used, or none can; the message says why. SL_BAD_CONFIG: a name or a priority
 * that is none. SL_SYSTEM. */
int sl_backend_open(const struct sl_backend_options *options, struct sl_device *device);

/* For a report: the names in the table's order; NULL past the end. And what a backend of that name finds here, told a
 * line for each device; SL_UNAVAILABLE: why there is none. */
const char *sl_backend_name(size_t index);
int sl_backend_describe(const char *name, void (*tell)(void *self, const char *line), void *self);

#ifdef __cplusplus
}
#endif
#endif
