/* The checkpoint store: a run folder that survives being killed at any moment.
 *
 *   RUN/lock  RUN/config.json  RUN/log.jsonl  RUN/metrics.csv  RUN/last-good  RUN/best
 *   RUN/ckpt-STEP/{model,updater,rank-0000,rank-0001,...}.safetensors, manifest.json
 * A checkpoint is written in three acts. Begin, on the one rank that holds the lock: old ones go (retention), and
 * RUN/ckpt-STEP.tmp/ is made. Put, on any rank: it writes a file there, syncs it and reads it back; what it returns,
 * name, size and hash, is that file's entry. Commit, where it began and after all have put: manifest.json comes last,
 * with the entries of all ranks and a hash of its own. Then the folder is synced, renamed, and the run folder synced:
 * now it is saved. last-good and retention follow. Commit asks that each file is there in its size and reads none of
 * the data: its writer has, so that P ranks read P files and not each all of them. Reading (load.h) walks back from the
 * newest checkpoint to the first that is whole, and reports why each newer one was refused. Each rank opens and
 * verifies what it goes on from. last-good and best are for people and for sl_store_open_model.
 *
 * Functions that end in `_together` are collective (kernels/group.h): all ranks call them, and all return the same. */
#ifndef SL_RUNTIME_STORE_STORE_H
#define SL_RUNTIME_STORE_STORE_H

#include "kernels/group.h"
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
void sl_store_listen(struct sl_store *store, sl_tell_fn *report, void *self);

/* Saves one checkpoint, whole or not at all. A step that is saved already, and whole, is not written again.
 * SL_NUMERICS: a floating tensor is not finite; it is named, and nothing is written. SL_IO, SL_CANNOT_CREATE,
 * SL_SYSTEM: not saved, and the old checkpoints are untouched. On a full disk, though, the oldest one is removed where
 * a newer whole one stays, and the writing is tried once more. */
int sl_store_save(struct sl_store *store, uint64_t step, const struct sl_store_file *files, size_t file_count);

/* The same by all ranks of a group, each with files of its own, which the others do not have; `store` is that of rank
 * 0, and NULL elsewhere. It is saved whole or not at all, and for all ranks the same way. A disk that is full for one
 * of them is full for all. Any rank's failure is everybody's, with its rank and host. */
int sl_store_save_together(const struct sl_group *group, struct sl_store *store, uint64_t step,
                           const struct sl_store_file *files, size_t file_count);

/* ---- The three acts, one by one ---- */

/* Makes the folder to put files in. *saved: the step is saved already, and whole; it is named in last-good, and there
 * is nothing to put. SL_IO, SL_CANNOT_CREATE, SL_SYSTEM. */
int sl_store_begin(struct sl_store *store, uint64_t step, bool *saved);

/* Could these be put? SL_NUMERICS: a floating tensor is not finite, and is named. */
int sl_store_check_files(const struct sl_store_file *files, size_t count);

/* Writes, syncs and reads back one file of the checkpoint that was begun in that run, from any process. Its name must
 * be unique among all that are put. SL_NUMERICS, SL_IO, SL_CANNOT_CREATE, SL_SYSTEM; SL_BAD_DATA: what is read back is
 * not what was written. */
int sl_store_put(const char *run, uint64_t step, const struct sl_store_file *file, struct sl_store_entry *entry);

/* Makes a checkpoint of what was put, in the order of the manifest. SL_MISSING, SL_BAD_DATA: something of it is not
 * there. SL_IO, SL_CANNOT_CREATE, SL_SYSTEM. */
int sl_store_commit(struct sl_store *store, uint64_t step, const struct sl_store_entry *entries, size_t count);

/* After a failure of any act: removes what was begun. The detail of the last error stays. */
void sl_store_abandon(struct sl_store *store, uint64_t step);

/* After a full disk: removes the oldest checkpoint, and tells the listener. False: none may go. The detail of the last
 * error stays. */
bool sl_store_make_room(struct sl_store *store, uint64_t step);

/* ---- What stays ---- */

/* Removes the checkpoints that are beyond `keep` and not the best, as saving does. */
void sl_store_trim(struct sl_store *store);

/* Names the checkpoint of that step in RUN/best. Retention keeps it until another takes its place. False: there is no
 * such checkpoint (as for step 0), and RUN/best is removed. */
bool sl_store_keep_best(struct sl_store *store, uint64_t step);

#ifdef __cplusplus
}
#endif
#endif
