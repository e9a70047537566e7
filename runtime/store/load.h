/* Reading a run: its newest whole checkpoint, or a model that a command line names. */
#ifndef SL_RUNTIME_STORE_LOAD_H
#define SL_RUNTIME_STORE_LOAD_H

#include "runtime/store/checkpoint.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Told one line of what did not work and is no failure of the call. */
typedef void sl_store_report_fn(void *self, const char *line);

/* Is there any checkpoint folder at all? No such run: there is none. SL_IO, SL_SYSTEM: it cannot be told. */
int sl_store_has_checkpoint(const char *run, bool *has);

/* The newest checkpoint of the run that verifies; `report` (may be NULL) is told of each newer one that was refused and
 * why. SL_MISSING: none at all. SL_BAD_DATA: there are some and none verifies. SL_IO, SL_SYSTEM: one could not be read,
 * which says nothing about what it holds; no older one is taken in its place. */
int sl_store_load(const char *run, sl_store_report_fn *report, void *self, struct sl_checkpoint *checkpoint);

/* MODEL given on a command line: a .safetensors file itself, a run (its newest checkpoint) or checkpoint folder, or
 * RUN/best or RUN/last-good (the checkpoint named there); opens the model file. */
int sl_store_open_model(const char *path, sl_store_report_fn *report, void *self, struct sl_safetensors **model);

#ifdef __cplusplus
}
#endif
#endif
