#include "runtime/plan/selection.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/hash.h"
#include "runtime/base/json.h"

static const char *const policies[] = {NULL, "shipped", "fastest", "exact", "own", "cudnn"};

enum { POLICIES = sizeof policies / sizeof *policies };

const char *sl_policy_name(enum sl_policy policy)
{
    return policy == SL_POLICY_DEFAULT ? "shipped" : policies[policy];
}

enum sl_policy sl_policy_find(const char *name)
{
    int policy = POLICIES - 1;
    while (policy > SL_POLICY_DEFAULT && strcmp(policies[policy], name))
        policy--;
    return (enum sl_policy)policy;
}

void sl_selection_close(struct sl_selection *selection)
{
    free(selection->list);
    *selection = (struct sl_selection){0};
}

void sl_selection_key(enum sl_op op, const void *shape, bool training, char key[SL_SELECTED_KEY])
{
    char hash[SL_HASH_DIGITS + 1];
    sl_hash_text(sl_hash64(shape, sl_op_shape_bytes(op)), hash);
    snprintf(key, SL_SELECTED_KEY, "%s %s %s", training ? "training" : "inference", sl_op_name(op), hash);
}

static size_t place_of(const struct sl_selection *selection, const char *key)
{
    size_t i = 0;
    while (i < selection->count && strcmp(selection->list[i].key, key))
        i++;
    return i;
}

const struct sl_selected *sl_selection_find(const struct sl_selection *selection, const char *key)
{
    const size_t at = place_of(selection, key);
    return at < selection->count ? &selection->list[at] : NULL;
}

int sl_selection_put(struct sl_selection *selection, const struct sl_selected *selected)
{
    const size_t at = place_of(selection, selected->key);
    if (at < selection->count) {
        selection->list[at] = *selected;
        return SL_OK;
    }
    if (selection->count == SL_SELECTION_MOST)
        return sl_fail(SL_BAD_CONFIG, "rows are selected for more than %d operations and shapes", SL_SELECTION_MOST);
    struct sl_selected *list = realloc(selection->list, (selection->count + 1) * sizeof *list);
    if (!list)
        return sl_fail(SL_SYSTEM, "out of memory for the selection of kernels");
    selection->list = list;
    list[selection->count++] = *selected;
    return SL_OK;
}

/* ---- wishes ---- */

const struct sl_kernel_row *sl_selection_row(const struct sl_device *device, enum sl_op op, const char *name)
{
    for (size_t i = 0; i < device->row_count; i++)
        if (device->rows[i].op == op && !strcmp(device->rows[i].name, name))
            return &device->rows[i];
    return NULL;
}

static void explain(const struct sl_selected *selected, char why[SL_WHY_BYTES])
{
    if (selected->source == SL_SOURCE_CHECKPOINT)
        snprintf(why, SL_WHY_BYTES, "as in the checkpoint");
    else if (selected->microseconds == 0)
        snprintf(why, SL_WHY_BYTES, "never launched");
    else
        snprintf(why, SL_WHY_BYTES, "fastest: %.3g ms, next %.3g%s", 1e-3 * (double)selected->microseconds,
                 1e-3 * (double)selected->other, selected->source == SL_SOURCE_CACHE ? ", from the cache" : "");
}

void sl_selection_wish(const struct sl_selection *selection, const struct sl_device *device, enum sl_op op,
                       const void *shape, bool training, char why[SL_WHY_BYTES], struct sl_wish *wish)
{
    static const enum sl_among among[POLICIES] = {
        [SL_POLICY_EXACT] = SL_AMONG_EXACT, [SL_POLICY_OWN] = SL_AMONG_OWN, [SL_POLICY_CUDNN] = SL_AMONG_CUDNN};
    char key[SL_SELECTED_KEY];
    sl_selection_key(op, shape, training, key);
    const struct sl_selected *selected = sl_selection_find(selection, key);
    *wish = (struct sl_wish){.why = why, .among = among[selection->policy], .quiet = selection->quiet};
    if (selected) {
        wish->row = sl_selection_row(device, op, selected->row);
        explain(selected, why);
    }
}

/* ---- as a text ---- */

int sl_selection_to_json(const struct sl_selection *selection, const char *of, char **text)
{
    json_t *rows = json_object(), *root = json_object();
    for (size_t i = 0; i < selection->count; i++) {
        const struct sl_selected *s = &selection->list[i];
        json_t *value = json_array();
        sl_json_append(&value, json_string(s->row));
        sl_json_append(&value, json_integer(s->microseconds));
        sl_json_append(&value, json_integer(s->other));
        sl_json_set(&rows, s->key, value);
    }
    sl_json_set(&root, "of", json_string(of));
    sl_json_set(&root, "policy", json_string(sl_policy_name(selection->policy)));
    sl_json_set(&root, "rows", rows);
    return sl_json_text(root, text);
}

/* ["direct_avx2", 1930, 2710] */
static int read_selected(const char *key, const json_t *value, enum sl_source source, struct sl_selection *selection)
{
    const char *row = json_string_value(json_array_get(value, 0));
    const json_t *mine = json_array_get(value, 1), *other = json_array_get(value, 2);
    struct sl_selected selected = {.microseconds = json_integer_value(mine), .other = json_integer_value(other)};
    if (json_array_size(value) != 3 || !row || !json_is_integer(mine) || !json_is_integer(other) ||
        selected.microseconds < 0 || selected.other < 0)
        return sl_fail(SL_BAD_CONFIG, "\"%.100s\" must be [row, microseconds, microseconds]", key);
    if (strlen(key) >= sizeof selected.key || strlen(row) >= sizeof selected.row)
        return sl_fail(SL_BAD_CONFIG, "\"%.100s\" is no operation with a row of ours", key);
    strcpy(selected.key, key);
    strcpy(selected.row, row);
    selected.source = source;
    return sl_selection_put(selection, &selected);
}

static int read_rows(const json_t *rows, enum sl_source source, struct sl_selection *selection)
{
    int rc = SL_OK;
    const char *key;
    json_t *value;
    if (!json_is_object(rows))
        SL_FAIL(SL_BAD_CONFIG, "\"rows\" is not an object");
    if (json_object_size(rows) > SL_SELECTION_MOST)
        SL_FAIL(SL_BAD_CONFIG, "\"rows\" has more than %d entries", SL_SELECTION_MOST);
    json_object_foreach((json_t *)(uintptr_t)rows, key, value) SL_TRY(read_selected(key, value, source, selection));
out:
    return rc;
}

int sl_selection_from_json(const char *text, size_t length, const char *of, enum sl_source source,
                           struct sl_selection *selection)
{
    static const char *const known[] = {"of", "policy", "rows", NULL};
    int rc = SL_OK;
    json_t *root = NULL;
    *selection = (struct sl_selection){0};
    SL_TRY(sl_json_parse(text, length, &root));
    SL_TRY(sl_json_check_keys(root, known, NULL, NULL));
    const char *said = json_string_value(json_object_get(root, "of"));
    const char *policy = json_string_value(json_object_get(root, "policy"));
    if (!said || strcmp(said, of))
        SL_FAIL(SL_BAD_CONFIG, "the selection of kernels is of \"%.100s\", not of \"%.100s\"", said ? said : "nothing",
                of);
    if (!policy || !(selection->policy = sl_policy_find(policy)))
        SL_FAIL(SL_BAD_CONFIG, "\"policy\" must be one of " SL_POLICY_CHOICES);
    SL_TRY(read_rows(json_object_get(root, "rows"), source, selection));
out:
    json_decref(root);
    if (rc != SL_OK)
        sl_selection_close(selection);
    return rc;
}
