/* Is a folder a run of ours? */
#ifndef SL_RUNTIME_STORE_RECOGNISE_H
#define SL_RUNTIME_STORE_RECOGNISE_H

#include "kernels/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Is the folder a run, or free to become one? SL_CANNOT_CREATE names what is there under a name that a run needs, and
 * was not made by one. SL_IO, SL_SYSTEM: it cannot be told. */
int sl_store_recognise(const char *run);

#ifdef __cplusplus
}
#endif
#endif
