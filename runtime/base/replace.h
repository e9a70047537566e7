/* A small file of ours that is the old or the new content, never a part. */
#ifndef SL_RUNTIME_BASE_REPLACE_H
#define SL_RUNTIME_BASE_REPLACE_H

#include "kernels/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Writes it by temporary + fsync + rename; whatever stands there, a link too, is replaced. A file of the user's is a
 * result (base/result.h). SL_CANNOT_CREATE, SL_IO, SL_SYSTEM. */
int sl_replace(const char *path, const void *bytes, size_t length);

#ifdef __cplusplus
}
#endif
#endif
