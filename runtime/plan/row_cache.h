/* What was measured stays in a small file of the user's cache folder, a file for each processor and number of threads:
 * $SL_CACHE_DIR, else $XDG_CACHE_HOME/starling, else $HOME/.cache/starling. Processes that write at the same time
 * replace each other's file whole; none ever sees half of one. */
#ifndef SL_RUNTIME_PLAN_ROW_CACHE_H
#define SL_RUNTIME_PLAN_ROW_CACHE_H

#include "runtime/plan/selection.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sl_row_cache {
    char *of;     /* processor, instruction sets, threads, and a hash of this version's rows */
    char *folder; /* absolute */
    char *path;
};

/* Where this device's is. SL_MISSING: no variable names a folder. SL_SYSTEM. Whatever the result,
 * sl_row_cache_close() follows. */
int sl_row_cache_open(const struct sl_device *device, struct sl_row_cache *cache);
void sl_row_cache_close(struct sl_row_cache *cache);

/* What is there; *rows is empty where there is no file. SL_BAD_DATA, SL_BAD_CONFIG: it is damaged or another's; it is
 * replaced by the next that is written. SL_IO, SL_SYSTEM. */
int sl_row_cache_read(const struct sl_row_cache *cache, struct sl_selection *rows);

/* Writes `rows`, creating folders as needed. SL_MISSING: no variable names one. SL_CANNOT_CREATE, SL_IO, SL_SYSTEM. */
int sl_row_cache_write(const struct sl_row_cache *cache, const struct sl_selection *rows);

#ifdef __cplusplus
}
#endif
#endif
