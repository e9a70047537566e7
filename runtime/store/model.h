/* A model as files know it: the network, its classes, and how pixels become its input. */
#ifndef SL_RUNTIME_STORE_MODEL_H
#define SL_RUNTIME_STORE_MODEL_H

#include "runtime/data/dataset.h"
#include "runtime/data/pixels.h"
#include "runtime/graph/graph.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sl_model {
    struct sl_graph *graph;
    size_t class_count;
    struct sl_class *classes;
    struct sl_pixels pixels; /* as learned from; what the network wants is sl_model_pixels */
};

void sl_model_close(struct sl_model *model);

/* Copies the classes and the pixels (but for their range and how they are decoded) of a data set into the model.
 * SL_SYSTEM. */
int sl_model_take_dataset(struct sl_model *model, const struct sl_dataset *dataset);

/* What the model wants of an image. SL_BAD_CONFIG: its input is no square of three channels that images can have. */
int sl_model_pixels(const struct sl_model *model, struct sl_pixels *pixels);

#ifdef __cplusplus
}
#endif
#endif
