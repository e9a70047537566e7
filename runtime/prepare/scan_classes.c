#include "runtime/prepare/scan_classes.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/utf8.h"

static int by_id(const void *a, const void *b)
{
    return strcmp(((const struct sl_class *)a)->id, ((const struct sl_class *)b)->id);
}

int sl_scan_label(const struct sl_scan *scan, const char *name, int32_t *label)
{
    const struct sl_class wanted = {.id = sl_utf8_name(name)};
    if (!wanted.id)
        return SL_SYSTEM;
    const struct sl_class *found = bsearch(&wanted, scan->classes, scan->class_count, sizeof wanted, by_id);
    *label = found ? (int32_t)(found - scan->classes) : -1;
    free(wanted.id);
    return SL_OK;
}

int sl_scan_add_class(struct sl_scan *scan, const char *name)
{
    if (scan->class_count == SL_DATASET_MAX_CLASSES)
        return sl_fail(SL_BAD_DATA, "more than %d classes", SL_DATASET_MAX_CLASSES);
    struct sl_class *classes = realloc(scan->classes, (scan->class_count + 1) * sizeof *classes);
    if (!classes)
        return sl_fail(SL_SYSTEM, "out of memory for the classes");
    scan->classes = classes;
    struct sl_class *class = &classes[scan->class_count++];
    class->id = sl_utf8_name(name);
    class->words = sl_utf8_name(name);
    return class->id && class->words ? SL_OK : sl_fail(SL_SYSTEM, "out of memory for the classes");
}

int sl_scan_sort_classes(struct sl_scan *scan, const char *where)
{
    qsort(scan->classes, scan->class_count, sizeof *scan->classes, by_id);
    for (size_t i = 1; i < scan->class_count; i++)
        if (!strcmp(scan->classes[i].id, scan->classes[i - 1].id))
            return sl_fail(SL_BAD_DATA, "%s: names the class %s twice%s", where, scan->classes[i].id,
                           strchr(scan->classes[i].id, '%') ? " (bytes that are not UTF-8 are written as %XX)" : "");
    return SL_OK;
}
