/* A model as files know it: the network, its classes, and how pixels become its input. It travels as JSON in the
 * metadata of model.safetensors, so that this one file is enough to evaluate and predict. */
#ifndef SL_RUNTIME_STORE_MODEL_H
#define SL_RUNTIME_STORE_MODEL_H

#include "runtime/data/dataset.h"
#include "runtime/data/loader.h"
#include "runtime/store/safetensors.h"
#include "runtime/plan/weights.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sl_model {
    struct sl_graph *graph;
    size_t class_count;
    struct sl_class *classes;
    enum sl_pixel_range range;
    bool apply_orientation; /* images are turned as their EXIF orientation says; absent in the JSON: as stored */
    double mean[3], deviation[3];
};

void sl_model_close(struct sl_model *model);

/* Copies classes, pixel statistics and the way of reading images of a data set into the model. SL_SYSTEM. */
int sl_model_take_dataset(struct sl_model *model, const struct sl_dataset *dataset);

/* What the model wants of an image. SL_BAD_CONFIG: its input is no square of three channels that images can have. */
int sl_model_pixels(const struct sl_model *model, struct sl_pixels *pixels);

/* The whole description; the inverse checks everything. */
int sl_model_to_json(const struct sl_model *model, char **text);
int sl_model_from_json(const char *text, size_t length, struct sl_model *model);

/* The key of the description in the metadata of a model file. */
#define SL_MODEL_METADATA "starling"

/* Every parameter as LAYER.PARAMETER, for saving; the data is the host's. */
struct sl_weights_image {
    struct sl_named_tensor *tensors; /* the names are inside */
    size_t count;
    void *owned[2]; /* copies, where the host does not read the device's memory */
};

/* Of the weights as they are now. SL_SYSTEM. */
int sl_weights_image_open(const struct sl_weights *weights, struct sl_weights_image *image);
void sl_weights_image_close(struct sl_weights_image *image); /* a cleared one is fine */

/* Copies parameters from a file. SL_BAD_CONFIG names the first that is missing, superfluous or of another shape. */
int sl_weights_load(struct sl_weights *weights, const struct sl_safetensors *file);

/* The description in a file's metadata alone. On failure the model is closed. SL_BAD_CONFIG: its network is larger than
 * the file, so that a small file cannot ask for much memory. */
int sl_model_describe(const struct sl_safetensors *file, struct sl_model *model);

#ifdef __cplusplus
}
#endif
#endif
