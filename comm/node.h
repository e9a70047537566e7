/* The ranks of one host whose devices sum among themselves, before one of them speaks for all to the other hosts. Two
 * ways exist: alone, a rank that is a node by itself, and NCCL, in a plug-in. */
#ifndef SL_COMM_NODE_H
#define SL_COMM_NODE_H

#include "comm/comm.h"
#include "kernels/exec.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Calls are made by all ranks of the node in the same order, and by one thread; abort may come from another one
 * meanwhile. One call is on its way at a time: reduce, broadcast and leave return at once, and test says when it is
 * done. All return an sl_status; SL_IO is final. */
struct sl_node {
    const char *name; /* "alone", "nccl" */
    int rank, size;   /* in the node; rank 0 speaks for it */
    void *self;
    /* In turn with what the device was given before; the span, of equal length on all ranks, is in its memory. Rank 0's
     * becomes the sum of all; its bits are the same in every run on the same machine. The others stay as they are. */
    int (*reduce)(void *self, struct sl_span span);
    /* Every rank's span becomes that of rank 0. */
    int (*broadcast)(void *self, struct sl_span span);
    /* The last call: nothing but test and close may follow. */
    int (*leave)(void *self);
    /* One look. SL_IO: a call failed, here or elsewhere, or was aborted. */
    int (*test)(void *self, bool *done);
    /* Ends what is on its way; every call fails from now on. */
    void (*abort)(void *self);
    /* Waits for nobody who has left; without a leave that is done it aborts. */
    void (*close)(void *self);
};

/* Collective over all ranks of comm. A rank alone on its host is a node by itself, and so are the ranks of a host where
 * the device of any works in the memory of the host; else they join by NCCL, and comm's watchdog aborts that.
 * SL_UNAVAILABLE on all ranks, with rank and host: there is no plug-in, no NCCL, or it cannot be used by one of them.
 * SL_IO, SL_SYSTEM. */
int sl_node_open(struct sl_comm *comm, const struct sl_device *device, struct sl_node *node);

static inline bool sl_node_is_alone(const struct sl_node *node)
{
    return !node->self;
}

/* For a report: "NCCL 2.28.9 by FILE", the plug-in's. SL_UNAVAILABLE: why there is none. */
int sl_node_look(char *text, size_t bytes);

/* Start and wait; all ranks of comm make these calls, those alone as well. A failure names rank and host. */
int sl_node_reduce(struct sl_comm *comm, const struct sl_node *node, struct sl_span span);
int sl_node_broadcast(struct sl_comm *comm, const struct sl_node *node, struct sl_span span);

/* Before comm is closed, with the same status: with SL_OK it waits until all ranks of the node leave, else it aborts.
 * A node that is all zeros is closed already. */
int sl_node_close(struct sl_comm *comm, struct sl_node *node, int rc);

#ifdef __cplusplus
}
#endif
#endif
