/* How the CPU device cuts units into slices, and slices into a share for each thread: evenly, by nothing but numbers.
 */
#ifndef SL_RUNTIME_DEVICE_SLICES_H
#define SL_RUNTIME_DEVICE_SLICES_H

#include <stdint.h>

/* Where piece `number` of n things begins that are cut into so many even pieces; the last one ends at n. */
static inline int64_t sl_cut(int64_t n, int64_t number, int64_t pieces)
{
    return n * number / pieces;
}

/* A few slices a thread: large enough to be cheap, small enough to level out unequal cores. */
static inline int64_t sl_slices(int64_t units, int threads)
{
    enum { SLICES_PER_THREAD = 8 };
    const int64_t most = (int64_t)threads * SLICES_PER_THREAD;
    return units < most ? units : most;
}
#endif
