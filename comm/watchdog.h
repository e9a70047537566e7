/* The thread that turns a hang into a named failure: tells the other ranks twice a second what this one does, hears
 * them, and ends the job where a wait takes too long. The training thread leaves it a few atomic numbers a step.
 *
 * A NULL watchdog, that of a rank alone, watches nothing. */
#ifndef SL_COMM_WATCHDOG_H
#define SL_COMM_WATCHDOG_H

#include "comm/comm_options.h"
#include "comm/wire.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sl_watchdog;

/* Begins to watch; the wire stays the caller's, and lives longer. SL_SYSTEM. */
int sl_watchdog_open(const struct sl_wire *wire, const struct sl_comm_options *options, struct sl_watchdog **watchdog);

/* Hosts' names for messages, as soon as they are known; they live longer than the watchdog. */
void sl_watchdog_name(struct sl_watchdog *watchdog, const char *const *hosts);

/* What the training thread does: a phase, a collective call, a wait since `begin` (0: it ended). */
void sl_watchdog_enter(struct sl_watchdog *watchdog, enum sl_phase phase, uint64_t step);
void sl_watchdog_call(struct sl_watchdog *watchdog);
void sl_watchdog_wait(struct sl_watchdog *watchdog, double begin);

/* Something beside the wire that waits for other ranks: `abort` is called by the watchdog's thread, before it ends the
 * job, and makes that wait fail. NULL takes it back; it is not running any more when this returns. */
void sl_watchdog_guard(struct sl_watchdog *watchdog, void (*abort)(void *self), void *self);

/* Says goodbye with `rc`, and waits for the goodbyes of the others: with a failure that they do not share (`together`)
 * for the grace only. False: they did not come, and the job was ended. Nothing but close may follow. */
bool sl_watchdog_leave(struct sl_watchdog *watchdog, int rc, bool together);

void sl_watchdog_close(struct sl_watchdog *watchdog);

#ifdef __cplusplus
}
#endif
#endif
