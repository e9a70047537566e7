/* Networks as JSON: an object with "name", "input" and the list "layers". */
#ifndef SL_RUNTIME_GRAPH_GRAPH_JSON_H
#define SL_RUNTIME_GRAPH_GRAPH_JSON_H

#include "runtime/graph/graph.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Reads a network from at most 1 MiB of JSON. SL_BAD_CONFIG, with the place: an unknown or duplicate key, a wrong type,
 * a value out of range. SL_SYSTEM; of a file also the errors of sl_io_read. */
int sl_graph_from_json(const char *text, size_t length, struct sl_graph **graph);
int sl_graph_from_file(const char *path, struct sl_graph **graph);
int sl_graph_to_json(const struct sl_graph *graph, char **text); /* the caller frees *text; SL_SYSTEM */

struct json_t; /* jansson's */

/* The same for a network that is part of a larger description. */
int sl_graph_read(const struct json_t *root, struct sl_graph **graph);
struct json_t *sl_graph_write(const struct sl_graph *graph); /* NULL: out of memory */

#ifdef __cplusplus
}
#endif
#endif
