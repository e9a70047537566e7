/* The description of a model as JSON. It travels in the metadata of model.safetensors, so that this one file is enough
 * to evaluate and predict. */
#ifndef SL_RUNTIME_STORE_MODEL_JSON_H
#define SL_RUNTIME_STORE_MODEL_JSON_H

#include "runtime/store/model.h"
#include "runtime/store/safetensors.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The key of the description in the metadata of a model file. */
#define SL_MODEL_METADATA "starling"

/* The whole description; *text is to be freed. SL_SYSTEM. */
int sl_model_to_json(const struct sl_model *model, char **text);

/* The inverse checks everything. On failure the model is closed. SL_BAD_CONFIG, SL_SYSTEM. */
int sl_model_from_json(const char *text, size_t length, struct sl_model *model);

/* The description in a file's metadata alone. On failure the model is closed. SL_BAD_CONFIG: its network is larger than
 * the file, so that a small file cannot ask for much memory. SL_BAD_DATA: the file has none. */
int sl_model_describe(const struct sl_safetensors *file, struct sl_model *model);

#ifdef __cplusplus
}
#endif
#endif
