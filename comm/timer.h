/* A thread that does something every so often, and one that ends the process where something takes too long that
 * nobody can interrupt. By a clock that never goes back. */
#ifndef SL_COMM_TIMER_H
#define SL_COMM_TIMER_H

#include "kernels/base.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sl_timer;

/* Calls `due` from a thread of its own each time so many seconds have passed, until it returns false. SL_SYSTEM. */
int sl_timer_open(double seconds, bool (*due)(void *self), void *self, struct sl_timer **timer);

/* Ends the process with SL_IO unless it is closed within so many seconds, and says on stderr that `what`, which stays
 * the caller's, takes longer. For the start and the end of a library that can neither be asked nor aborted. SL_SYSTEM.
 */
int sl_timer_deadline(double seconds, const char *what, struct sl_timer **timer);

/* Returns when the thread has ended; not from within `due`. NULL is closed already. */
void sl_timer_close(struct sl_timer *timer);

#ifdef __cplusplus
}
#endif
#endif
