/* The messages of all ranks in one step, the own one among them: what is applied is what the others read. */
#ifndef SL_COMM_INBOX_H
#define SL_COMM_INBOX_H

#include "comm/comm.h"
#include "comm/message.h"
#include "kernels/exec.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sl_inbox;

enum { SL_INBOX_CALLS = 2 }; /* of the wire, by which it brings the messages of a step */

/* Bytes that the messages of `ranks` ranks take, each with no more than `most` of n elements. */
uint64_t sl_inbox_memory(const struct sl_device *device, int ranks, int64_t n, int64_t most);

/* SL_SYSTEM, SL_UNAVAILABLE. */
int sl_inbox_open(struct sl_comm *comm, const struct sl_device *device, int64_t n, struct sl_inbox **inbox);
void sl_inbox_close(struct sl_inbox *inbox);

/* Brings the messages of all ranks and reads them; collective. SL_IO names the rank whose message is damaged. */
int sl_inbox_gather(struct sl_inbox *inbox, const void *mine, size_t bytes, uint64_t step);

/* sum[n], in the memory of the device, becomes `scale` times what all ranks sent. */
int sl_inbox_decode(struct sl_inbox *inbox, float scale, float *sum);

/* Entries of a rank's message with an index in [begin, end). */
int64_t sl_inbox_count(const struct sl_inbox *inbox, int rank, int64_t begin, int64_t end);

#ifdef __cplusplus
}
#endif
#endif
