/* A model that only answers: of a file, on this machine's processor, its plan prepared. */
#ifndef SL_RUNTIME_SERVED_MODEL_H
#define SL_RUNTIME_SERVED_MODEL_H

#include "runtime/model.h"
#include "runtime/plan.h"
#include "runtime/store.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sl_served_model {
    struct sl_device device;
    struct sl_safetensors *file;
    struct sl_model model;
    struct sl_weights *weights;
    struct sl_plan *plan;
    uint64_t memory; /* bytes of weights, arena and scratch, counted before they were taken */
};

/* `path`: a model file, a run or a checkpoint (sl_store_open_model, which `report` and `self` are for). `threads`: 0:
 * the default. `options->memory_limit` holds for weights, arena and the kernels' scratch: SL_UNAVAILABLE before they
 * are allocated. Whatever the result, sl_served_model_close() follows. */
int sl_served_model_open(const char *path, int threads, const struct sl_plan_options *options,
                         sl_store_report_fn *report, void *self, struct sl_served_model *served);
void sl_served_model_close(struct sl_served_model *served); /* a cleared one is fine */

#ifdef __cplusplus
}
#endif
#endif
