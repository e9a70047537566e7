/* The outermost loop of operations on flat runs: chunks of SL_FLAT_CHUNK elements, the last one shorter. */
#ifndef SL_KERNELS_ELEMENTWISE_FLAT_H
#define SL_KERNELS_ELEMENTWISE_FLAT_H

#include "kernels/kernels.h"

enum {
    SL_FLAT_CHUNK = 2048, /* a million parameters fill a node of many cores */
    SL_FLAT_AHEAD = 2048, /* how many elements ahead passes over activations prefetch what they read and write */
};

static inline int64_t sl_flat_units(int64_t n)
{
    return (n + SL_FLAT_CHUNK - 1) / SL_FLAT_CHUNK;
}

/* What a row needs at any shape whose first member is `int64_t n`. */
static inline bool sl_flat_need(const void *shape, struct sl_need *need)
{
    need->units = sl_flat_units(*(const int64_t *)shape);
    return true;
}

/* The elements [begin, end) of a slice. */
static inline int64_t sl_flat_begin(const struct sl_work *work)
{
    return work->begin * SL_FLAT_CHUNK;
}

static inline int64_t sl_flat_end(const struct sl_work *work, int64_t n)
{
    return work->end * SL_FLAT_CHUNK < n ? work->end * SL_FLAT_CHUNK : n;
}
#endif
