/* Sums over the ranks in rank order: one value everywhere, whatever the timing (an all-reduce of MPI promises none).
 *
 * What is put in, part after part, is one stream of n floats; all ranks put the same parts in the same order. The
 * stream is cut into buckets. Of each bucket every rank sums one slice: an all-to-all brings it that slice of all
 * ranks, an all-gather takes the sums back. A bucket is on its way as soon as it is full, while the caller computes
 * the next ones; whatever is possible without waiting is done in every call. A wire wants the same calls in the same
 * order on all ranks, so between begin and finish nobody else uses it.
 *
 * A rank puts 2 (P-1)/P 4n bytes on the wire, and a header of 64 bytes with each slice. Headers are checked; the floats
 * are as good as the wire. One rank alone has nothing to sum: its parts stay as they are. */
#ifndef SL_COMM_REDUCE_H
#define SL_COMM_REDUCE_H

#include "comm/comm.h"
#include "kernels/exec.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a rank's floats are multiplied by. */
enum sl_reduce_weights {
    SL_REDUCE_SUM,     /* 1 */
    SL_REDUCE_MEAN,    /* 1 / ranks */
    SL_REDUCE_SAMPLES, /* its samples / those of all ranks; without samples its floats are taken for zeros */
};

enum { SL_REDUCE_BUCKET = 1 << 18 };

struct sl_reduce_options {
    struct sl_comm *comm;
    const struct sl_device *device;
    int64_t n;      /* floats of the stream, at least 1 */
    int64_t bucket; /* floats of a bucket; 0: SL_REDUCE_BUCKET */
};

struct sl_reduce;

/* Bytes that it takes open. */
uint64_t sl_reduce_memory(const struct sl_reduce_options *options);

/* Calls of the wire that one sum of n floats in buckets of the usual size makes among so many ranks. */
int64_t sl_reduce_calls(int ranks, int64_t n);

/* SL_SYSTEM, SL_UNAVAILABLE. */
int sl_reduce_open(const struct sl_reduce_options *options, struct sl_reduce **reduce);
void sl_reduce_close(struct sl_reduce *reduce);

/* Begins a sum. `samples` counts for SL_REDUCE_SAMPLES only; it travels with the floats. */
void sl_reduce_begin(struct sl_reduce *reduce, enum sl_reduce_weights weights, int32_t samples);
/* The stream goes on with this part, in the memory of the device; it stays as it is until finish. SL_IO, SL_DISAGREE:
 * a rank sent something else than this one expects. */
int sl_reduce_put(struct sl_reduce *reduce, struct sl_span part);
/* Waits for the others: the parts have become the sums. */
int sl_reduce_finish(struct sl_reduce *reduce);

#ifdef __cplusplus
}
#endif
#endif
