/* The checkpoint store: a run folder that survives being killed at any moment.
 *
 *   RUN/lock  RUN/config.json  RUN/log.jsonl  RUN/metrics.csv  RUN/last-good  RUN/best
 *   RUN/ckpt-STEP/{model,updater,rank-0000}.safetensors, manifest.json
 * Writing: retention, RUN/ckpt-STEP.tmp/, fsync each file, finite check, manifest.json (names, sizes, XXH3-64 hashes,
 * its own hash) last, fsync folder, rename, fsync RUN; then it is saved, and last-good (by temporary + rename) and
 * retention follow. Reading walks back from the newest to the first that verifies whole, and reports why each newer one
 * was refused; last-good and best are for people and for sl_store_open_model. */
#ifndef SL_RUNTIME_STORE_STORE_H
#define SL_RUNTIME_STORE_STORE_H

#include "runtime/store/checkpoint.h"
#include "runtime/store/load.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sl_store;

/* Creates the run folder if missing, takes its lock (host, pid; a lock whose process is gone is stale and is taken
 * over), removes leftovers of killed writers. A folder that is no run may hold files of others,
 * but none of the names above: SL_CANNOT_CREATE, and nothing is changed. SL_CANNOT_CREATE with "in use by pid P on
 * HOST" for two runs in one folder. SL_IO, SL_SYSTEM. `keep`: how many checkpoints retention leaves (at least 1),
 * besides the best. */
int sl_store_open(const char *run, int keep, struct sl_store **store);
void sl_store_close(struct sl_store *store);

/* Who is told what did not work and is no failure of the call: a leftover that stays, a pointer that cannot be written,
 * a checkpoint removed from a full disk. `report` NULL: nobody. */
void sl_store_listen(struct sl_store *store, sl_store_report_fn *report, void *self);

/* Saves one checkpoint atomically. SL_NUMERICS (names the tensor) if a floating tensor is not finite: nothing is
 * written. SL_IO, SL_CANNOT_CREATE: not saved. On a full disk the oldest checkpoint is removed where a newer whole one
 * stays, and the writing tried once more; otherwise the old checkpoints are untouched. Saving a step that exists and
 * verifies writes nothing. */
int sl_store_save(struct sl_store *store, uint64_t step, const struct sl_store_file *files, size_t file_count);

/* Removes what is beyond `keep` and not the best, as saving does. */
void sl_store_trim(struct sl_store *store);

/* Names the checkpoint of that step in RUN/best, and keeps it from retention until another takes its place. False:
 * there is no such checkpoint (as for step 0), and RUN/best is removed. */
bool sl_store_keep_best(struct sl_store *store, uint64_t step);

#ifdef __cplusplus
}
#endif
#endif
