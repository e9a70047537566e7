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

#include "runtime/store/safetensors.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One file of a checkpoint. */
struct sl_store_file {
    const char *name; /* "model.safetensors" */
    const struct sl_named_tensor *tensors;
    size_t tensor_count;
    const struct sl_text_pair *metadata;
    size_t metadata_count;
};

struct sl_store;

typedef void sl_store_report_fn(void *self, const char *line);

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

/* Is there any checkpoint folder at all? No such run: there is none. SL_IO, SL_SYSTEM: it cannot be told. */
int sl_store_has_checkpoint(const char *run, bool *has);

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

/* A verified checkpoint, opened for reading. */
struct sl_checkpoint {
    uint64_t step;
    char *folder;
    size_t file_count;
    char **names;
    struct sl_safetensors **files;
};

/* The newest checkpoint of the run that verifies; `report` (may be NULL) is told of each newer one that was refused and
 * why. SL_MISSING: none at all. SL_BAD_DATA: there are some and none verifies. SL_IO, SL_SYSTEM: one could not be read,
 * which says nothing about what it holds; no older one is taken in its place. */
int sl_store_load(const char *run, sl_store_report_fn *report, void *self, struct sl_checkpoint *checkpoint);
void sl_checkpoint_close(struct sl_checkpoint *checkpoint);
const struct sl_safetensors *sl_checkpoint_file(const struct sl_checkpoint *checkpoint, const char *name); /* or NULL */

/* MODEL given on a command line: a .safetensors file itself, a run (its newest checkpoint) or checkpoint folder, or
 * RUN/best or RUN/last-good (the checkpoint named there); opens the model file. */
int sl_store_open_model(const char *path, sl_store_report_fn *report, void *self, struct sl_safetensors **model);

#ifdef __cplusplus
}
#endif
#endif
