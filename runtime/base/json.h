/* What reading and writing JSON share. A json_t is jansson's. */
#ifndef SL_RUNTIME_BASE_JSON_H
#define SL_RUNTIME_BASE_JSON_H

#include "kernels/base.h"

struct json_t;

enum { SL_JSON_MAX_BYTES = 1 << 20 };

/* The object that is all of `text`; no duplicate keys. SL_BAD_CONFIG. */
int sl_json_parse(const char *text, size_t length, struct json_t **root);

/* SL_BAD_CONFIG: the object has a key that is not in the NULL-terminated list `known` and that `also` does not know.
 * `also` may be NULL. */
int sl_json_check_keys(const struct json_t *object, const char *const *known,
                       bool (*also)(const void *self, const char *key), const void *self);

/* Reads an integer; `name` is for the message. SL_BAD_CONFIG: missing, no integer, or too large for 32 bits. */
int sl_json_int(const struct json_t *value, const char *name, int32_t *to);

/* The text of `root`, which the caller frees. NULL for a `root` of NULL, and without memory; json_dumps alone may then
 * leave pieces out without a word. */
char *sl_json_dump(const struct json_t *root, size_t flags);

/* The same, and takes `root` over. The caller frees *text. SL_SYSTEM: `root` is NULL, or out of memory. */
int sl_json_text(struct json_t *root, char **text);

/* Append or set `value`, and take it over. Without memory, or where `value` is NULL, *list or *object becomes NULL and
 * stays so: who builds a description looks once, at its end. */
void sl_json_append(struct json_t **list, struct json_t *value);
void sl_json_set(struct json_t **object, const char *key, struct json_t *value);

#endif
