/* A small file of our own, written in one call: at any moment it holds the old content or the new.
 * A large file, piece by piece: output.h. A file that the user named: result.h. */
#ifndef SL_RUNTIME_BASE_REPLACE_H
#define SL_RUNTIME_BASE_REPLACE_H

#include "kernels/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Writes a temporary file, syncs it and renames it to `path`. Whatever stands there is replaced, a link too.
 * SL_CANNOT_CREATE, SL_IO, SL_SYSTEM. */
int sl_replace(const char *path, const void *bytes, size_t length);

#ifdef __cplusplus
}
#endif
#endif
