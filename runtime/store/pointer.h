/* RUN/last-good and RUN/best: one line that names a checkpoint of the same folder. */
#ifndef SL_RUNTIME_STORE_POINTER_H
#define SL_RUNTIME_STORE_POINTER_H

#include "kernels/base.h"

/* Is the file at that path such a line, and which step does it name? */
bool sl_store_pointer_read(const char *path, uint64_t *step);

/* Makes RUN/NAME name the checkpoint of that step; where it does already, nothing is written. Whatever stands there is
 * replaced, but not a folder. SL_CANNOT_CREATE, SL_IO, SL_SYSTEM. */
int sl_store_pointer_write(const char *run, const char *name, uint64_t step);

#endif
