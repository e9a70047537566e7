/* A wire made safe to wait on: who waits sleeps, is watched, and fails by name instead of hanging.
 *
 * A thread of its own tells the other ranks twice a second what this one does, and hears them. When a wait lasts longer
 * than the phase's limit, it says who has waited for whom, since when, and what each of those was last heard doing, and
 * ends the job with SL_IO (74). */
#ifndef SL_COMM_COMM_H
#define SL_COMM_COMM_H

#include "comm/comm_options.h"
#include "comm/wire.h"
#include "kernels/group.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sl_comm;

/* Takes the wire, also if it fails, which ends the job. Collective: learns the hosts' names. SL_BAD_CONFIG: a limit
 * that is no time. SL_IO, SL_SYSTEM. */
int sl_comm_open(struct sl_wire *wire, const struct sl_comm_options *options, struct sl_comm **comm);

/* Says goodbye. With SL_OK it waits until all have come here; a rank that failed gives the others `grace`, then ends
 * the job with its status: who has something to say about the failure says it before. Returns only if all came, or
 * where the wire's abort returns (a loop). A NULL comm is closed already. */
void sl_comm_close(struct sl_comm *comm, int rc);

/* The same with a status that all ranks have, settled or agreed: whoever still has something to write or to print is
 * waited for, as with SL_OK. */
void sl_comm_close_together(struct sl_comm *comm, int rc);

const struct sl_group *sl_comm_group(const struct sl_comm *comm);
const struct sl_wire *sl_comm_wire(const struct sl_comm *comm);

/* Ranks on the host of this one, and which of them this is. */
int sl_comm_local_size(const struct sl_comm *comm);
int sl_comm_local_rank(const struct sl_comm *comm);
/* The lowest rank on the host of this one. */
int sl_comm_leader(const struct sl_comm *comm);

/* The ranks that are members as a comm of their own, numbered in their order, for calls of its wire and its group: this
 * comm's watchdog watches its waits and ends the job; what is sent and waited is counted apart. Collective. *part is
 * NULL on the other ranks. SL_IO, SL_SYSTEM: on all of them. */
int sl_comm_split(struct sl_comm *comm, bool member, struct sl_comm **part);
/* Before the whole is closed. NULL is closed already. */
void sl_comm_close_part(struct sl_comm *part);

/* A rank of this comm in the whole that it is a part of, for messages; of a whole, the rank itself. */
int sl_comm_number(const struct sl_comm *comm, int rank);

/* What this rank is doing from now on. */
void sl_comm_enter(struct sl_comm *comm, enum sl_phase phase, uint64_t step);

/* Starts a collective call of the wire and counts its bytes. */
int sl_comm_all_to_all(struct sl_comm *comm, const void *send, void *receive, size_t bytes,
                       struct sl_request **request);
int sl_comm_all_gather(struct sl_comm *comm, const void *mine, void *all, const size_t *bytes,
                       struct sl_request **request);
/* One look; *request becomes NULL when it is done or failed. A NULL request is done. */
int sl_comm_test(struct sl_comm *comm, struct sl_request **request);
/* Looks and sleeps until it is done. SL_IO: the wire failed. */
int sl_comm_wait(struct sl_comm *comm, struct sl_request **request);

/* A collective call of something else than the wire: looks and sleeps until its `test` says done or fails. All ranks
 * wait as often, so that the watchdog can tell who is behind. */
int sl_comm_wait_for(struct sl_comm *comm, int (*test)(void *self, bool *done), void *self);
/* This rank has no part in so many calls of a part, for whose end it is going to wait: it has come as far as those who
 * make them. */
void sl_comm_pass(struct sl_comm *comm, int64_t calls);
/* What the watchdog aborts before it ends the job (watchdog.h). */
void sl_comm_guard(struct sl_comm *comm, void (*abort)(void *self), void *self);

/* Bytes that this rank has put on the wire: what went to the others, not to itself. Signs of life are not counted. */
uint64_t sl_comm_bytes_sent(const struct sl_comm *comm);
/* Seconds spent in sl_comm_wait. */
double sl_comm_seconds_waited(const struct sl_comm *comm);

#ifdef __cplusplus
}
#endif
#endif
