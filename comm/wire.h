/* What carries bytes between ranks: a few verbs, each started at once and finished later, so that nobody waits inside a
 * library (a blocking wait of MPI spins on the core that computes). Two wires exist: MPI, in a plug-in, and a loop
 * between the threads of one process.
 *
 * Collective calls are made by all ranks in the same order, and by one thread at a time; tell, hear and abort may come
 * from another thread meanwhile. All return an sl_status; SL_IO is final. */
#ifndef SL_COMM_WIRE_H
#define SL_COMM_WIRE_H

#include "kernels/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A sign of life: what a rank is doing. Numbers only, little-endian hosts. */
struct sl_beat {
    uint64_t step;
    uint64_t calls;  /* collective calls it has started: who has fewer than the others is who they wait for */
    uint64_t waited; /* milliseconds that it has been in its wait; 0: it computes */
    uint64_t count;  /* grows with every beat; 0: none has come yet */
    uint32_t phase;  /* enum sl_phase of comm_options.h */
    uint32_t status; /* of a rank that is leaving */
};

struct sl_request; /* the wire's own; freed by the test that finds it done, or that fails */

struct sl_wire {
    const char *name; /* "loop", "openmpi", "mpich" */
    int rank, size;
    void *self;
    /* Part j of `send` goes to rank j, and part j of `receive` comes from it; `bytes` is the length of each part. */
    int (*all_to_all)(void *self, const void *send, void *receive, size_t bytes, struct sl_request **request);
    /* `all` becomes the parts of all ranks end to end; bytes[i] is the length of rank i's, known to everybody.
     * `mine` lies outside `all`. Over MPI a call takes less than 2 GiB in all; a longer one is SL_UNAVAILABLE on all
     * ranks. */
    int (*all_gather)(void *self, const void *mine, void *all, const size_t *bytes, struct sl_request **request);
    /* Makes progress. Buffers and `bytes` stay as they are until it says done. */
    int (*test)(void *self, struct sl_request *request, bool *done);
    /* hosts[i]: the number of the host of rank i, counted from 0 in the order of first appearance. Collective; waits.
     */
    int (*hosts)(void *self, int *hosts);
    /* A wire between those ranks that are members, numbered in their order, for all_to_all, all_gather and test alone;
     * elsewhere *part stays as it is. Collective; waits. The part's ranks close it before this one, and the end of the
     * job ends its calls as well. */
    int (*split)(void *self, bool member, struct sl_wire *part);
    /* Signs of life, beside the collective calls: sends mine to everybody; all[i] becomes the newest that has come from
     * rank i. Neither waits for anybody. */
    int (*tell)(void *self, const struct sl_beat *mine);
    int (*hear)(void *self, struct sl_beat *all);
    /* Ends the job, all ranks of it, with that exit code. Of a loop: every call of every rank fails from now on. */
    void (*abort)(void *self, int code);
    /* Collective; the wire is gone afterwards. */
    void (*close)(void *self);
};

#ifdef __cplusplus
}
#endif
#endif
