/* A large file of our own, written piece by piece as PATH.tmp. It gets its name when it is complete.
 * A small file in one call: replace.h. A file that the user named: result.h. */
#ifndef SL_RUNTIME_BASE_OUTPUT_H
#define SL_RUNTIME_BASE_OUTPUT_H

#include "kernels/base.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sl_output;

/* Creates PATH.tmp; an old one is replaced. SL_CANNOT_CREATE: the folder is missing or not writable. SL_SYSTEM. */
int sl_output_open(const char *path, struct sl_output **output);

/* Appends n bytes. SL_CANNOT_CREATE: disk full, quota. SL_IO: device error. */
int sl_output_write(struct sl_output *output, const void *bytes, size_t n);

/* Makes the file durable under its name. SL_CANNOT_CREATE, SL_IO. */
int sl_output_commit(struct sl_output *output);

/* Frees; removes PATH.tmp if it was not committed. NULL is fine. */
void sl_output_close(struct sl_output *output);

#ifdef __cplusplus
}
#endif
#endif
