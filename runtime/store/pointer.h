/* RUN/last-good and RUN/best: one line that names a checkpoint of the same folder. */
#ifndef SL_RUNTIME_STORE_POINTER_H
#define SL_RUNTIME_STORE_POINTER_H

#include "kernels/base.h"

/* Is this file such a line, and which step does it name? */
bool sl_store_pointer_read(const char *path, uint64_t *step);

/* Writes RUN/NAME, whatever stands there but a folder; nothing is done where it says so already. SL_CANNOT_CREATE,
 * SL_IO, SL_SYSTEM. */
int sl_store_pointer_write(const char *run, const char *name, uint64_t step);

#endif
