/* Seconds of a clock that never goes back; only differences mean something. */
#ifndef SL_RUNTIME_CLOCK_H
#define SL_RUNTIME_CLOCK_H

#include <time.h>

static inline double sl_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
#endif
