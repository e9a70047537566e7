/* Headers of tar files (POSIX ustar; with a pax record where a name is long or not ASCII). A name is written as the
 * UTF-8 that it is, whatever the locale of the process. */
#ifndef SL_RUNTIME_DATA_TAR_H
#define SL_RUNTIME_DATA_TAR_H

#include "kernels/base.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { SL_TAR_BLOCK = 512 };

/* Makes the header of a file of `size` bytes, less than 8 GiB. *header has *length bytes, whole blocks, and is freed by
 * the caller. Owner and time are 0, so that equal files have equal headers. SL_SYSTEM. */
int sl_tar_header(const char *name, uint64_t size, uint8_t **header, size_t *length);

/* How many zero bytes follow a file of that size, up to the next block. */
static inline size_t sl_tar_padding(uint64_t size)
{
    return (size_t)(-size % SL_TAR_BLOCK);
}

#ifdef __cplusplus
}
#endif
#endif
