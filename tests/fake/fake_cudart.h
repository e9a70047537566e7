/* What the runtime of CUDA that is none (fake_cudart.c) was asked for. */
#ifndef SL_TESTS_FAKE_CUDART_H
#define SL_TESTS_FAKE_CUDART_H

#include <stdbool.h>
#include <stddef.h>

struct fake_cudart {
    int streams, events, graphs, recordings, blocks, pinned; /* that are open */
    char log[1024];   /* "copy@0 " for each call on a stream; streams count from 0 */
    bool cannot_make; /* recordings cannot be made ready */
};

extern struct fake_cudart fake_cudart;

/* Forgets the log and the numbers of the streams. */
void fake_cudart_reset(void);

#endif
