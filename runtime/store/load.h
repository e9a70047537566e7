/* Reading a run: its newest whole checkpoint, or a model that a command line names. */
#ifndef SL_RUNTIME_STORE_LOAD_H
#define SL_RUNTIME_STORE_LOAD_H

#include "kernels/group.h"
#include "runtime/base/tell.h"
#include "runtime/store/checkpoint.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Has the run any checkpoint folder? A run that is missing has none. SL_IO, SL_SYSTEM: it cannot be known. */
int sl_store_has_checkpoint(const char *run, bool *has);

/* Opens the newest checkpoint of the run that is whole. `report`, which may be NULL, is told of each newer one that was
 * refused, and why. SL_MISSING: there is none at all. SL_BAD_DATA: there are some, and none is whole. SL_IO, SL_SYSTEM:
 * one could not be read, which says nothing about its content; no older one is taken in its place. */
int sl_store_load(const char *run, sl_tell_fn *report, void *self, struct sl_checkpoint *checkpoint);

/* The same for all ranks of a group: rank 0 lists, each opens what it goes on from (sl_checkpoint_open_for), and one
 * that any rank refuses is refused by all. `report` is told on rank 0 only, with rank and host. */
int sl_store_has_checkpoint_together(const struct sl_group *group, const char *run, bool *has);
int sl_store_load_together(const struct sl_group *group, const char *run, sl_tell_fn *report, void *self,
                           struct sl_checkpoint *checkpoint);

/* Opens the model file that a path on a command line means. The path is a .safetensors file, a run (its newest whole
 * checkpoint), a checkpoint folder, or RUN/best or RUN/last-good (the checkpoint named there). Of a checkpoint's files
 * of ranks it looks only at the first. The errors of sl_store_load. */
int sl_store_open_model(const char *path, sl_tell_fn *report, void *self, struct sl_safetensors **model);

#ifdef __cplusplus
}
#endif
#endif
