/* One process at a time writes into a run folder. */
#ifndef SL_RUNTIME_STORE_LOCK_H
#define SL_RUNTIME_STORE_LOCK_H

#include "kernels/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Takes RUN/lock; *fd holds it until sl_store_unlock. SL_CANNOT_CREATE: in use, the message says by whom; or the file
 * cannot be made. SL_IO, SL_SYSTEM. */
int sl_store_lock(const char *run, int *fd);
void sl_store_unlock(int fd);

/* Is this the text of a lock file? */
bool sl_store_lock_text(const char *text);

#ifdef __cplusplus
}
#endif
#endif
