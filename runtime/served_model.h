/* A model that only answers: of a file, on this machine's processor, its plan prepared. */
#ifndef SL_RUNTIME_SERVED_MODEL_H
#define SL_RUNTIME_SERVED_MODEL_H

#include "runtime/model.h"
#include "runtime/plan.h"
#include "runtime/store.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sl_served_options {
    int threads;           /* 0: all cores */
    int32_t batch_size;    /* images at a time */
    uint64_t memory_limit; /* bytes for the arena; 0: none */
};

struct sl_served_model {
    struct sl_device device;
    struct sl_safetensors *file;
    struct sl_model model;
    struct sl_pixels pixels; /* what it wants of an image */
    struct sl_weights *weights;
    struct sl_plan *plan;
};

/* `path`: a model file, a run or a checkpoint (sl_store_open_model, which `report` and `self` are for). Whatever the
 * result, sl_served_model_close() follows. SL_BAD_CONFIG: images are no input for it. SL_NUMERICS: a weight is NaN, and
 * the tensor is named. SL_UNAVAILABLE: over the memory limit. */
int sl_served_model_open(const char *path, const struct sl_served_options *options, sl_store_report_fn *report,
                         void *self, struct sl_served_model *served);
void sl_served_model_close(struct sl_served_model *served); /* a cleared one is fine */

#ifdef __cplusplus
}
#endif
#endif
