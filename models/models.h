/* Networks by name: each is one function that reads like its paper's table. */
#ifndef SL_MODELS_MODELS_H
#define SL_MODELS_MODELS_H

#include "runtime/graph/graph.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sl_model_options {
    int32_t image_size; /* square RGB images */
    int32_t classes;
};

typedef int sl_model_build_fn(struct sl_graph *graph, const struct sl_model_options *options);

#define SL_MODEL(name, text) sl_model_build_fn sl_model_##name;
#include "models/models.def"
#undef SL_MODEL

/* Builds the network of that name; a name that ends in ".json" is a file. SL_USAGE lists the names there are.
 * SL_BAD_CONFIG: the file's network does not fit image_size or classes. */
int sl_model_build(const char *name, const struct sl_model_options *options, struct sl_graph **graph);

#ifdef __cplusplus
}
#endif
#endif
