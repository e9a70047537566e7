/* A file that the user named, for results. It is created before the work that fills it, so that a place that cannot be
 * written is refused at once. It gets its name when it is whole. A file of our own: output.h, replace.h.
 *
 * A device or a pipe that is there already is written in place, as the results come. A symbolic link is followed: the
 * file that it leads to is replaced, the link stays. */
#ifndef SL_RUNTIME_BASE_RESULT_H
#define SL_RUNTIME_BASE_RESULT_H

#include <stdio.h>

#include "kernels/base.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sl_result {
    FILE *to;
    char *path;      /* where the results will stand, links followed */
    char *temporary; /* where they are until then, beside it; NULL: written in place */
};

/* Opens result->to for writing. Whatever the outcome, sl_result_close() follows. SL_CANNOT_CREATE names the path and
 * the reason; SL_IO, SL_SYSTEM. */
int sl_result_open(const char *path, struct sl_result *result);

/* Writes out what is buffered. SL_CANNOT_CREATE: full, or too large; SL_IO. */
int sl_result_flush(struct sl_result *result);

/* The results are whole: makes the file durable under its name. SL_CANNOT_CREATE, SL_IO. */
int sl_result_commit(struct sl_result *result);

/* Frees; removes what was not committed. A cleared one is fine. */
void sl_result_close(struct sl_result *result);

#ifdef __cplusplus
}
#endif
#endif
