/* What reading and writing descriptions as JSON share. A json_t is jansson's. */
#ifndef SL_RUNTIME_BASE_JSON_H
#define SL_RUNTIME_BASE_JSON_H

#include "kernels/base.h"

struct json_t;

enum { SL_JSON_MAX_BYTES = 1 << 20 };

/* The object that is all of `text`; no duplicate keys. SL_BAD_CONFIG. */
int sl_json_parse(const char *text, size_t length, struct json_t **root);

/* Refuses keys that are not in the NULL-terminated list, nor `also` known (may be NULL). SL_BAD_CONFIG. */
int sl_json_check_keys(const struct json_t *object, const char *const *known,
                       bool (*also)(const void *self, const char *key), const void *self);

/* SL_BAD_CONFIG names the value. */
int sl_json_int(const struct json_t *value, const char *name, int32_t *to);

/* json_dumps, which loses pieces without a word when memory runs out, as it should be: NULL then, and for a `root` of
 * NULL. The caller frees the text. */
char *sl_json_dump(const struct json_t *root, size_t flags);

/* Takes `root` over; NULL means out of memory. The caller frees *text. SL_SYSTEM. */
int sl_json_text(struct json_t *root, char **text);

/* Appends or sets `value`, which they take over. Without memory, or without a value, *list or *object becomes NULL, and
 * NULL it stays: who builds a description looks once, at its end. */
void sl_json_append(struct json_t **list, struct json_t *value);
void sl_json_set(struct json_t **object, const char *key, struct json_t *value);

#endif
