/* Weights between the memory of a device and files. */
#ifndef SL_RUNTIME_STORE_MODEL_WEIGHTS_H
#define SL_RUNTIME_STORE_MODEL_WEIGHTS_H

#include "runtime/plan/weights.h"
#include "runtime/store/safetensors.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Every parameter as LAYER.PARAMETER, for saving; the data is the host's. */
struct sl_weights_image {
    struct sl_named_tensor *tensors; /* the names are inside */
    size_t count;
    void *owned[2]; /* copies, where the host does not read the device's memory */
};

/* Of the weights as they are now. SL_SYSTEM. */
int sl_weights_image_open(const struct sl_weights *weights, struct sl_weights_image *image);
/* Takes running statistics from there instead: weights->state floats that outlive the image. */
void sl_weights_image_statistics(struct sl_weights_image *image, const struct sl_weights *weights,
                                 const float *statistics);
void sl_weights_image_close(struct sl_weights_image *image); /* a cleared one is fine */

/* Copies parameters from a file. SL_BAD_CONFIG names the first that is missing, superfluous or of another shape. */
int sl_weights_load(struct sl_weights *weights, const struct sl_safetensors *file);

#ifdef __cplusplus
}
#endif
#endif
