/* The outermost loop of threshold encoding. */
#ifndef SL_KERNELS_THRESHOLD_CHUNKS_H
#define SL_KERNELS_THRESHOLD_CHUNKS_H

#include "kernels/kernels.h"
#include "kernels/threshold/threshold.h"

/* What a row needs whose units are the chunks. */
static inline bool sl_threshold_need(const void *shape, struct sl_need *need)
{
    const int64_t n = ((const struct sl_threshold *)shape)->n;
    need->units = sl_threshold_chunks(n);
    return 1 <= n && n <= INT32_MAX;
}

/* The elements [begin, end) of a chunk. */
static inline int64_t sl_threshold_begin(int64_t chunk)
{
    return chunk * SL_THRESHOLD_CHUNK;
}

static inline int64_t sl_threshold_end(int64_t chunk, int64_t n)
{
    return (chunk + 1) * SL_THRESHOLD_CHUNK < n ? (chunk + 1) * SL_THRESHOLD_CHUNK : n;
}
#endif
