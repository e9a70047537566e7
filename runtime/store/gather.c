#include "runtime/store/gather.h"

#include <stdlib.h>
#include <string.h>

/* A copy that ends with a zero byte. */
static int copy(const void *bytes, size_t n, void **out)
{
    char *text = malloc(n + 1);
    if (!text)
        return sl_fail(SL_SYSTEM, "out of memory for %zu bytes about a checkpoint", n);
    if (n)
        memcpy(text, bytes, n);
    text[n] = '\0';
    *out = text;
    return SL_OK;
}

int sl_store_gather(const struct sl_group *group, const void *mine, size_t bytes, void **all, size_t *total)
{
    int rc = SL_OK;
    void *parts = NULL;
    size_t *offsets = NULL;
    *all = NULL;
    *total = bytes;
    if (sl_group_size(group) == 1)
        return copy(mine, bytes, all);
    if (!(offsets = malloc(((size_t)group->size + 1) * sizeof *offsets)))
        SL_FAIL(SL_SYSTEM, "out of memory for the answers of %d ranks", group->size);
    SL_TRY(group->gather_parts(group->self, mine, bytes, &parts, offsets));
    *total = offsets[group->size];
    SL_TRY(copy(parts, *total, all));
out:
    free(parts);
    free(offsets);
    return rc;
}

int sl_store_any(const struct sl_group *group, bool mine, bool *any)
{
    size_t n;
    void *all = NULL;
    const uint8_t answer = mine;
    const int rc = sl_store_gather(group, &answer, 1, &all, &n);
    *any = rc == SL_OK && memchr(all, 1, n);
    free(all);
    return rc;
}
