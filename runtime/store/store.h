/* The checkpoint store: a run folder that survives being killed at any moment.
 *
 *   RUN/lock  RUN/config.json  RUN/log.jsonl  RUN/metrics.csv  RUN/last-good  RUN/best
 *   RUN/ckpt-STEP/{model,updater,rank-0000}.safetensors, manifest.json
 * Writing a checkpoint: old ones go (retention), RUN/ckpt-STEP.tmp/ is filled, each file is synced, and manifest.json
 * comes last, with names, sizes and hashes, its own included. Then the folder is synced, renamed, and the run folder
 * synced: now it is saved. last-good and retention follow.
 * Reading (load.h) walks back from the newest checkpoint to the first that is whole, and reports why each newer one was
 * refused. last-good and best are for people and for sl_store_open_model. */
#ifndef SL_RUNTIME_STORE_STORE_H
#define SL_RUNTIME_STORE_STORE_H

#include "runtime/store/checkpoint.h"
#include "runtime/store/load.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sl_store;

/* Creates the run folder if it is missing, takes its lock, and removes what killed writers left. The lock names host
 * and process; one whose process is gone is taken over. A folder that is no run may hold files of others, but none of
 * the names above. `keep`: how many checkpoints retention leaves besides the best, at least 1; else SL_BAD_CONFIG.
 * SL_CANNOT_CREATE: the folder is of somebody else, or "in use by pid P on HOST"; nothing is changed. SL_IO, SL_SYSTEM.
 */
int sl_store_open(const char *run, int keep, struct sl_store **store);
void sl_store_close(struct sl_store *store);

/* Sets who is told of what went wrong without failing a call: a leftover that stays, a pointer that cannot be written,
 * a checkpoint removed from a full disk. `report` NULL: nobody. */
void sl_store_listen(struct sl_store *store, sl_store_report_fn *report, void *self);

/* Saves one checkpoint, whole or not at all. A step that is saved already, and whole, is not written again.
 * SL_NUMERICS: a floating tensor is not finite; it is named, and nothing is written. SL_IO, SL_CANNOT_CREATE,
 * SL_SYSTEM: not saved, and the old checkpoints are untouched. On a full disk, though, the oldest one is removed where
 * a newer whole one stays, and the writing is tried once more. */
int sl_store_save(struct sl_store *store, uint64_t step, const struct sl_store_file *files, size_t file_count);

/* Removes the checkpoints that are beyond `keep` and not the best, as saving does. */
void sl_store_trim(struct sl_store *store);

/* Names the checkpoint of that step in RUN/best. Retention keeps it until another takes its place. False: there is no
 * such checkpoint (as for step 0), and RUN/best is removed. */
bool sl_store_keep_best(struct sl_store *store, uint64_t step);

#ifdef __cplusplus
}
#endif
#endif
