/* What writing and reading the store share: the names in a run folder, and the verification of one checkpoint. */
#ifndef SL_RUNTIME_STORE_RUN_FOLDER_H
#define SL_RUNTIME_STORE_RUN_FOLDER_H

#include "runtime/store/store.h"

#define SL_MODEL_FILE "model.safetensors"

/* RUN/ckpt-STEP followed by `suffix`, to be freed. SL_SYSTEM. */
int sl_checkpoint_path(const char *run, uint64_t step, const char *suffix, char **path);

/* The steps of all RUN/ckpt-STEP folders, newest first, to be freed. SL_MISSING: no such run folder. SL_IO, SL_SYSTEM.
 */
int sl_checkpoint_steps(const char *run, uint64_t **steps, size_t *count);

/* Opens a checkpoint folder and compares every file with the manifest. SL_MISSING, SL_BAD_DATA: it is not whole, and
 * the detail says where; SL_IO, SL_SYSTEM: it could not be read now. */
int sl_checkpoint_open(const char *folder, struct sl_checkpoint *checkpoint);

/* Is this name exactly what sl_checkpoint_path makes without a suffix, and for which step? */
bool sl_checkpoint_parse(const char *name, uint64_t *step);

/* Is this the name of something temporary of the store? */
bool sl_checkpoint_leftover(const char *name);

/* Removes what killed writers left in the run folder. Something that cannot be removed stays, and *why, to be freed,
 * says the first. SL_IO, SL_SYSTEM: the folder cannot be read. */
int sl_checkpoint_sweep(const char *run, char **why);

/* Is the folder a run, or free to become one? SL_CANNOT_CREATE names what is there under a name that a run needs, and
 * was not made by one. */
int sl_store_recognise(const char *run);

/* Is this the text of a lock file? */
bool sl_store_lock_text(const char *text);

/* Takes RUN/lock; *fd holds it until sl_store_unlock. SL_CANNOT_CREATE: in use, says by whom. */
int sl_store_lock(const char *run, int *fd);
void sl_store_unlock(int fd);

/* SL_NUMERICS, naming file, tensor and index, if a value of a floating tensor is not finite. */
int sl_store_check_finite(const struct sl_store_file *files, size_t count);

#endif
