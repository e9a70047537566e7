/* What reading and writing descriptions as JSON share. A json_t is jansson's. */
#ifndef SL_RUNTIME_JSON_INTERNAL_H
#define SL_RUNTIME_JSON_INTERNAL_H

#include "runtime/graph.h"
#include "runtime/layer.h"

struct json_t;

enum { SL_JSON_MAX_BYTES = 1 << 20 };

/* The object that is all of `text`; no duplicate keys. SL_BAD_CONFIG. */
int sl_json_parse(const char *text, size_t length, struct json_t **root);

/* Refuses keys that are not in the NULL-terminated list, nor an option of the type (may be NULL). SL_BAD_CONFIG. */
int sl_json_check_keys(const struct json_t *object, const char *const *known, const struct sl_layer_type *type);

/* SL_BAD_CONFIG names the value. */
int sl_json_int(const struct json_t *value, const char *name, int32_t *to);

/* json_dumps, which loses pieces without a word when memory runs out, as it should be: NULL then, and for a `root` of
 * NULL. The caller frees the text. */
char *sl_json_dump(const struct json_t *root, size_t flags);

/* Takes `root` over; NULL is no memory. The caller frees *text. SL_SYSTEM. */
int sl_json_text(struct json_t *root, char **text);

/* Appends or sets `value`, which they take over. Without memory, or without a value, *list or *object becomes NULL, and
 * NULL it stays: who builds a description looks once, at its end. */
void sl_json_append(struct json_t **list, struct json_t *value);
void sl_json_set(struct json_t **object, const char *key, struct json_t *value);

/* A network inside a larger description. */
int sl_graph_read(const struct json_t *root, struct sl_graph **graph);
struct json_t *sl_graph_write(const struct sl_graph *graph); /* NULL: no memory */

#endif
