/* Options of layers by their table (struct sl_option): presets and ranges in one place, for code and JSON alike. */
#ifndef SL_RUNTIME_GRAPH_OPTION_TABLE_H
#define SL_RUNTIME_GRAPH_OPTION_TABLE_H

#include "runtime/graph/layer_type.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Replaces zeros by their presets and checks every range. SL_BAD_CONFIG names the option. */
int sl_options_complete(const struct sl_layer_type *type, void *options);

/* The option of that name, or NULL. */
const struct sl_option *sl_option_find(const struct sl_layer_type *type, const char *name);

#ifdef __cplusplus
}
#endif
#endif
