/* The checkpoint store: a run folder that survives being killed at any moment.
 *
 *   RUN/lock  RUN/config.json  RUN/log.jsonl  RUN/metrics.csv  RUN/last-good
 *   RUN/ckpt-STEP/{model,updater,rank-0000}.safetensors, manifest.json
 * Writing: RUN/ckpt-STEP.tmp/, fsync each file, finite check, manifest.json (names, sizes, XXH3-64 hashes, its own
 * hash) last, fsync folder, rename, fsync RUN, last-good by temporary + rename, then retention. Reading walks back from
 * the newest to the first that verifies whole, and reports why each newer one was refused. */
#ifndef SL_RUNTIME_STORE_H
#define SL_RUNTIME_STORE_H

#include "runtime/safetensors.h"

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

/* Creates the run folder if missing, takes its lock (host, pid; a lock whose process is gone is stale and is taken
 * over), removes leftovers of killed writers, proves it can write. SL_CANNOT_CREATE; SL_CANNOT_CREATE with "in use by
 * pid P on HOST" for two runs in one folder. `keep`: how many checkpoints retention leaves (at least 1). */
int sl_store_open(const char *run, int keep, struct sl_store **store);
void sl_store_close(struct sl_store *store);

/* Is there any checkpoint folder at all? */
bool sl_store_has_checkpoint(const char *run);

/* Saves one checkpoint atomically. SL_NUMERICS (names the tensor) if a floating tensor is not finite: nothing is
 * written. SL_IO, SL_CANNOT_CREATE with the old checkpoints untouched. Saving a step that exists and verifies is a
 * no-op. */
int sl_store_save(struct sl_store *store, uint64_t step, const struct sl_store_file *files, size_t file_count);

/* A verified checkpoint, opened for reading. */
struct sl_checkpoint {
    uint64_t step;
    char *folder;
    size_t file_count;
    char **names;
    struct sl_safetensors **files;
};

typedef void sl_store_report_fn(void *self, const char *line);

/* The newest checkpoint of the run that verifies; `report` (may be NULL) is told of each newer one that was refused and
 * why. SL_MISSING: none at all. SL_BAD_DATA: there are some and none verifies. */
int sl_store_load(const char *run, sl_store_report_fn *report, void *self, struct sl_checkpoint *checkpoint);
void sl_checkpoint_close(struct sl_checkpoint *checkpoint);
const struct sl_safetensors *sl_checkpoint_file(const struct sl_checkpoint *checkpoint, const char *name); /* or NULL */

/* MODEL given on a command line: a .safetensors file itself, or a run or checkpoint folder; opens the model file. */
int sl_store_open_model(const char *path, sl_store_report_fn *report, void *self, struct sl_safetensors **model);

/* Writes a small file by temporary + fsync + rename: the old or the new content stands there, never a part. A device, a
 * pipe or a symbolic link is written in place. SL_CANNOT_CREATE, SL_IO, SL_SYSTEM. */
int sl_write_atomically(const char *path, const void *bytes, size_t length);

#ifdef __cplusplus
}
#endif
#endif
