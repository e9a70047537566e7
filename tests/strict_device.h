/* A device whose memory nobody can touch but its own copy, fill and fork: whoever follows such a pointer on the host
 * dies of it. Nor does it read the host's memory: its rows refuse arguments that point anywhere else. Fresh memory
 * begins with NaN, and what its forks have made is copied to the host only after sync. The processor does the work; all
 * of the runtime must run on it as it does on a GPU. */
#ifndef SL_TESTS_STRICT_DEVICE_H
#define SL_TESTS_STRICT_DEVICE_H

#include "kernels/exec.h"

enum { STRICT_BLOCKS = 64 };

struct strict_device {
    struct sl_device cpu;
    bool busy; /* forked since the last sync */
    struct {
        void *at;
        size_t bytes;
    } blocks[STRICT_BLOCKS]; /* at NULL: free */
};

/* Forks compute with as many threads. One can be open at a time. */
void strict_device_open(int threads, struct sl_device *device);

/* --- for devices that are made of it; `self` is its struct strict_device --- */

bool strict_owns(const struct strict_device *strict, const void *at);
/* Lets the host at its memory, or not: PROT_READ | PROT_WRITE, PROT_NONE. */
void strict_protect(const struct strict_device *strict, int protection);
int strict_alloc(void *self, size_t bytes, void **memory);
void strict_free(void *self, void *memory);
int strict_sync(void *self);
void strict_close(void *self);

/* Is a word among the arguments of a row a pointer? */
bool strict_is_address(uintptr_t word);
#endif
