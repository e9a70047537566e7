/* The output folder of a preparation, held against others. */
#ifndef SL_RUNTIME_PREPARE_PREPARE_FOLDER_H
#define SL_RUNTIME_PREPARE_PREPARE_FOLDER_H

#include "runtime/prepare/prepare_options.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sl_prepare_folder {
    const char *path;
    char *marker; /* PATH/unfinished */
    int lock;     /* the marker, open and locked; -1: not ours */
};

/* Creates and locks the folder, and removes what a killed preparation left in it. SL_CANNOT_CREATE: it holds something
 * else, is in use, or cannot be written. SL_SYSTEM, SL_IO. Whatever the result, sl_prepare_folder_close() follows. */
int sl_prepare_folder_open(const struct sl_prepare_options *options, struct sl_prepare_folder *folder);
void sl_prepare_folder_close(struct sl_prepare_folder *folder); /* removes the marker if it is ours */

#ifdef __cplusplus
}
#endif
#endif
