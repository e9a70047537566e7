/* A model that only answers: of a file, on this machine's processor or another device, its plan prepared. */
#ifndef SL_RUNTIME_STORE_SERVED_MODEL_H
#define SL_RUNTIME_STORE_SERVED_MODEL_H

#include "kernels/group.h"
#include "runtime/data/loader.h"
#include "runtime/store/model.h"
#include "runtime/plan/choose.h"
#include "runtime/store/store.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sl_served_options {
    const struct sl_device *device; /* where to compute, closed by the caller after this; NULL: the processor */
    int threads;                    /* of the processor, if device is NULL; 0: the default */
    int32_t batch_size;             /* images at a time */
    enum sl_element precision;      /* of activations (plan/plan.h), whichever it was trained in */
    uint64_t memory_limit;          /* bytes for weights, arena and the kernels' scratch, where the device has no memory
                                       of its own, and for the images; 0: none */
    enum sl_policy kernels;         /* how their rows are chosen (plan/choose.h) */
    const struct sl_group *group;   /* whose ranks take the same rows; NULL: alone */
};

struct sl_served_model {
    struct sl_served_options options;
    struct sl_device device;
    struct sl_safetensors *file;
    struct sl_model model;
    struct sl_pixels pixels; /* what it wants of an image */
    struct sl_weights *weights;
    struct sl_selection rows; /* of the plan */
    struct sl_plan *plan;
    uint64_t memory; /* bytes of weights, arena and scratch, counted before they were taken */
};

/* `path`: a model file, a run or a checkpoint (sl_store_open_model, which `report` and `self` are for). Whatever the
 * result, sl_served_model_close() follows. With a group it is collective, and each rank has a status of its own.
 * SL_BAD_CONFIG: images are no input for it. SL_NUMERICS: a weight is NaN, and
 * the tensor is named. SL_UNAVAILABLE: weights, arena and the kernels' scratch are over the memory limit; nothing of
 * them was allocated. */
int sl_served_model_open(const char *path, const struct sl_served_options *options, sl_tell_fn *report, void *self,
                         struct sl_served_model *served);
/* A loader of a data set's images as this model wants them (the pixel statistics are the model's, also on another data
 * set), within what its memory limit leaves; with a group, of this rank's share. SL_UNAVAILABLE: that is too little;
 * else as sl_loader_open. */
int sl_served_model_load(const struct sl_served_model *served, const struct sl_dataset *dataset, const char *split,
                         bool skip_bad_images, const struct sl_group *group, struct sl_loader **loader);
void sl_served_model_close(struct sl_served_model *served); /* a cleared one is fine */

#ifdef __cplusplus
}
#endif
#endif
