/* The one allocation of a device, given away in extents: first fit. A run has a few dozen of them. */
#ifndef SL_KERNELS_CUDA_PLUGIN_EXTENTS_H
#define SL_KERNELS_CUDA_PLUGIN_EXTENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { SL_EXTENTS = 256, SL_EXTENT_ALIGNMENT = 256 };

struct sl_extents {
    uint64_t bytes, used;
    int count;
    struct {
        uint64_t at, bytes;
    } taken[SL_EXTENTS]; /* in order */
};

/* Where `bytes` more fit. False: nowhere. */
static inline bool sl_extents_take(struct sl_extents *e, uint64_t bytes, uint64_t *at)
{
    if (bytes > e->bytes || e->count == SL_EXTENTS)
        return false;
    bytes = ((bytes ? bytes : 1) + SL_EXTENT_ALIGNMENT - 1) / SL_EXTENT_ALIGNMENT * SL_EXTENT_ALIGNMENT;
    uint64_t from = 0;
    int i = 0;
    for (; i < e->count && e->taken[i].at - from < bytes; i++)
        from = e->taken[i].at + e->taken[i].bytes;
    if (i == e->count && (from > e->bytes || e->bytes - from < bytes))
        return false;
    memmove(&e->taken[i + 1], &e->taken[i], (size_t)(e->count - i) * sizeof *e->taken);
    e->taken[i].at = *at = from;
    e->taken[i].bytes = bytes;
    e->count++;
    e->used += bytes;
    return true;
}

/* False: nothing begins there. */
static inline bool sl_extents_give(struct sl_extents *e, uint64_t at)
{
    int i = 0;
    while (i < e->count && e->taken[i].at != at)
        i++;
    if (i == e->count)
        return false;
    e->used -= e->taken[i].bytes;
    e->count--;
    memmove(&e->taken[i], &e->taken[i + 1], (size_t)(e->count - i) * sizeof *e->taken);
    return true;
}
#endif
