/* The names in a run folder. */
#ifndef SL_RUNTIME_STORE_RUN_FOLDER_H
#define SL_RUNTIME_STORE_RUN_FOLDER_H

#include "kernels/base.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SL_MODEL_FILE "model.safetensors" /* of a checkpoint */
#define SL_LAST_GOOD "last-good"
#define SL_BEST "best"

/* RUN/ckpt-STEP followed by `suffix`, to be freed. SL_SYSTEM. */
int sl_checkpoint_path(const char *run, uint64_t step, const char *suffix, char **path);

/* Is this name exactly what sl_checkpoint_path makes without a suffix, and for which step? */
bool sl_checkpoint_parse(const char *name, uint64_t *step);

/* The steps of all RUN/ckpt-STEP folders, newest first, to be freed. SL_MISSING: no such run folder. SL_IO, SL_SYSTEM.
 */
int sl_checkpoint_steps(const char *run, uint64_t **steps, size_t *count);

/* Is this the name of something temporary of the store? */
bool sl_checkpoint_leftover(const char *name);

/* Removes what killed writers left in the run folder. What cannot be removed stays; then *why, to be freed, is the
 * message about the first, else NULL. SL_IO, SL_SYSTEM: the folder cannot be read. */
int sl_checkpoint_sweep(const char *run, char **why);

#ifdef __cplusplus
}
#endif
#endif
