#include "runtime/prepare/image_list.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const size_t max_images = UINT32_MAX / 2;

void sl_image_list_close(struct sl_image_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->at[i].path);
        free(list->at[i].key);
    }
    free(list->at);
}

int sl_image_list_add(struct sl_image_list *list, char *path, char *key, int32_t label)
{
    if (path && key && list->count == list->room && list->count < max_images) {
        const size_t room = list->room ? list->room * 2 : 1024;
        struct sl_image_file *at = realloc(list->at, room * sizeof *at);
        if (at) {
            list->at = at;
            list->room = room;
        }
    }
    if (!path || !key || list->count == list->room) {
        free(path);
        free(key);
        return sl_fail(SL_SYSTEM, "out of memory for more than %zu images", list->count);
    }
    list->at[list->count++] = (struct sl_image_file){path, key, label};
    return SL_OK;
}

int sl_image_list_class_counts(const struct sl_image_list *list, size_t class_count, uint64_t **counts)
{
    *counts = calloc(class_count + 1, sizeof **counts);
    if (!*counts)
        return sl_fail(SL_SYSTEM, "out of memory for the counts of the classes");
    for (size_t i = 0; i < list->count; i++) {
        assert(0 <= list->at[i].label && (size_t)list->at[i].label < class_count);
        (*counts)[list->at[i].label]++;
    }
    return SL_OK;
}

static int by_key(const void *a, const void *b)
{
    const struct sl_image_file *x = *(struct sl_image_file *const *)a, *y = *(struct sl_image_file *const *)b;
    const int order = strcmp(x->key, y->key);
    return order ? order : strcmp(x->path, y->path);
}

/* One round of giving each later file of the same key a number; says whether it had to. */
static int number_twins(struct sl_image_file **sorted, size_t count, bool *again)
{
    size_t same = 1;
    *again = false;
    for (size_t i = 1; i < count; i++) {
        /* Compared with the first of its run, which keeps its key. */
        same = strcmp(sorted[i]->key, sorted[i - same]->key) ? 1 : same + 1;
        if (same == 1)
            continue;
        char *key = NULL;
        if (asprintf(&key, "%s-%zu", sorted[i]->key, same) < 0)
            return sl_fail(SL_SYSTEM, "out of memory for a key");
        free(sorted[i]->key);
        sorted[i]->key = key;
        *again = true;
    }
    return SL_OK;
}

int sl_image_list_make_unique(struct sl_image_list *list)
{
    int rc = SL_OK;
    bool again = true;
    struct sl_image_file **sorted = calloc(list->count + 1, sizeof *sorted);
    if (!sorted)
        SL_FAIL(SL_SYSTEM, "out of memory for %zu keys", list->count);
    for (size_t i = 0; i < list->count; i++)
        sorted[i] = &list->at[i];
    while (again) {
        qsort(sorted, list->count, sizeof *sorted, by_key);
        SL_TRY(number_twins(sorted, list->count, &again));
    }
out:
    free(sorted);
    return rc;
}
