#include "runtime/base/json.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

int sl_json_parse(const char *text, size_t length, json_t **root)
{
    json_error_t error;
    if (length > SL_JSON_MAX_BYTES)
        return sl_fail(SL_BAD_CONFIG, "the description is larger than %d bytes", SL_JSON_MAX_BYTES);
    *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
    if (!*root)
        return sl_fail(SL_BAD_CONFIG, "line %d, column %d: %s", error.line, error.column, error.text);
    if (!json_is_object(*root))
        return sl_fail(SL_BAD_CONFIG, "the description must be a JSON object");
    return SL_OK;
}

int sl_json_check_keys(const json_t *object, const char *const *known, bool (*also)(const void *self, const char *key),
                       const void *self)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        bool found = also && also(self, key);
        for (const char *const *k = known; *k && !found; k++)
            found = !strcmp(*k, key);
        if (!found)
            return sl_fail(SL_BAD_CONFIG, "unknown key \"%s\"", key);
    }
    return SL_OK;
}

int sl_json_int(const json_t *value, const char *name, int32_t *to)
{
    if (!json_is_integer(value) || json_integer_value(value) < INT32_MIN || json_integer_value(value) > INT32_MAX)
        return sl_fail(SL_BAD_CONFIG, "\"%s\" must be an integer", name);
    *to = (int32_t)json_integer_value(value);
    return SL_OK;
}

void sl_json_append(json_t **list, json_t *value)
{
    /* Takes the value over whether it succeeds or not. */
    if (json_array_append_new(*list, value) == 0)
        return;
    json_decref(*list);
    *list = NULL;
}

void sl_json_set(json_t **object, const char *key, json_t *value)
{
    if (json_object_set_new(*object, key, value) == 0)
        return;
    json_decref(*object);
    *object = NULL;
}

/* A text that grows. */
struct text {
    char *at;
    size_t length, room;
    bool failed;
};

static int append_text(const char *bytes, size_t n, void *self)
{
    struct text *text = self;
    if (!text->failed && text->room - text->length <= n) {
        const size_t room = 2 * text->room + n + 256;
        char *at = realloc(text->at, room);
        text->failed = !at;
        text->at = at ? at : text->at;
        text->room = at ? room : text->room;
    }
    if (text->failed)
        return -1;
    memcpy(text->at + text->length, bytes, n);
    text->length += n;
    text->at[text->length] = '\0';
    return 0;
}

char *sl_json_dump(const json_t *root, size_t flags)
{
    struct text text = {0};
    if (root && json_dump_callback(root, append_text, &text, flags) == 0 && !text.failed)
        return text.at;
    free(text.at);
    return NULL;
}

int sl_json_text(json_t *root, char **text)
{
    *text = sl_json_dump(root, JSON_COMPACT | JSON_REAL_PRECISION(17));
    json_decref(root);
    return *text ? SL_OK : sl_fail(SL_SYSTEM, "out of memory for a description");
}
