#include "runtime/data/scan.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/data/draw.h"
#include "runtime/data/file.h"
#include "runtime/data/scan_internal.h"

void sl_scan_close(struct sl_scan *scan)
{
    for (size_t i = 0; i < scan->class_count; i++) {
        free(scan->classes[i].id);
        free(scan->classes[i].words);
    }
    free(scan->classes);
    sl_image_list_close(&scan->train);
    sl_image_list_close(&scan->val);
    *scan = (struct sl_scan){0};
}

/* ---- classes ---- */

static int by_id(const void *a, const void *b)
{
    return strcmp(((const struct sl_class *)a)->id, ((const struct sl_class *)b)->id);
}

int32_t sl_scan_label(const struct sl_scan *scan, const char *id)
{
    const struct sl_class wanted = {.id = (char *)(uintptr_t)id};
    const struct sl_class *found = bsearch(&wanted, scan->classes, scan->class_count, sizeof wanted, by_id);
    return found ? (int32_t)(found - scan->classes) : -1;
}

int sl_scan_add_class(struct sl_scan *scan, const char *id)
{
    if (scan->class_count == SL_DATASET_MAX_CLASSES)
        return sl_fail(SL_BAD_DATA, "more than %d classes", SL_DATASET_MAX_CLASSES);
    struct sl_class *classes = realloc(scan->classes, (scan->class_count + 1) * sizeof *classes);
    if (!classes)
        return sl_fail(SL_SYSTEM, "no memory for the classes");
    scan->classes = classes;
    struct sl_class *class = &classes[scan->class_count++];
    class->id = strdup(id);
    class->words = strdup(id);
    return class->id && class->words ? SL_OK : sl_fail(SL_SYSTEM, "no memory for the classes");
}

void sl_scan_sort_classes(struct sl_scan *scan)
{
    qsort(scan->classes, scan->class_count, sizeof *scan->classes, by_id);
}

/* Every class has an image in the list. */
static int check_classes(const struct sl_scan *scan, const struct sl_image_list *list, const char *folder)
{
    int rc = SL_OK;
    bool *seen = calloc(scan->class_count + 1, sizeof *seen);
    if (!seen)
        SL_FAIL(SL_SYSTEM, "no memory for the classes");
    for (size_t i = 0; i < list->count; i++)
        seen[list->at[i].label] = true;
    for (size_t i = 0; i < scan->class_count; i++)
        if (!seen[i])
            SL_FAIL(SL_BAD_DATA, "%s: class %s has no images; add some or remove the class", folder,
                    scan->classes[i].id);
out:
    free(seen);
    return rc;
}

/* ---- validation images out of the training images ---- */

/* Marks which of one class's images validate: of n about n * fraction, but never all and never none of two. */
static int draw_class(const struct sl_image_list *list, size_t first, size_t n, double fraction, uint64_t seed,
                      bool *chosen)
{
    size_t wanted = (size_t)((double)n * fraction + 0.5);
    wanted = wanted < 1 ? 1 : wanted;
    wanted = wanted > n - 1 ? n - 1 : wanted;
    uint32_t *order = calloc(n, sizeof *order);
    if (!order)
        return sl_fail(SL_SYSTEM, "no memory for the validation split");
    sl_draw_permutation(seed, SL_RANDOM_VALIDATION, (uint64_t)list->at[first].label, order, (uint32_t)n);
    for (size_t i = 0; i < wanted; i++)
        chosen[first + order[i]] = true;
    free(order);
    return SL_OK;
}

static int split_off(struct sl_scan *scan, double fraction, uint64_t seed)
{
    int rc = SL_OK;
    struct sl_image_list *list = &scan->train;
    size_t kept = 0;
    bool *chosen = calloc(list->count + 1, sizeof *chosen);
    if (!chosen)
        SL_FAIL(SL_SYSTEM, "no memory for the validation split");
    for (size_t first = 0, end; first < list->count; first = end) {
        for (end = first + 1; end < list->count && list->at[end].label == list->at[first].label; end++)
            ;
        SL_TRY(draw_class(list, first, end - first, fraction, seed, chosen));
    }
    const size_t count = list->count;
    for (size_t i = 0; i < count; i++) {
        const struct sl_image_file file = list->at[i];
        list->at[i] = (struct sl_image_file){0};
        if (chosen[i] && rc == SL_OK)
            rc = sl_image_list_add(&scan->val, file.path, file.key, file.label);
        else
            list->at[kept++] = file;
    }
    list->count = kept;
out:
    free(chosen);
    return rc;
}

/* ---- the layouts ---- */

static int scan_layout(const char *folder, struct sl_scan *scan, bool *has_val)
{
    int rc = SL_OK;
    const bool with_train = sl_exists_in(folder, "train");
    char *train = with_train ? sl_path_join(folder, "train") : strdup(folder), *val = sl_path_join(folder, "val");
    *has_val = with_train && sl_exists_in(folder, "val");
    if (!train || !val)
        SL_FAIL(SL_SYSTEM, "no memory for a path");
    if (sl_exists_in(folder, "wnids.txt") || sl_exists_in(val, "val_annotations.txt") || sl_exists_in(val, "images")) {
        SL_TRY(sl_scan_tinyimagenet(folder, *has_val, scan));
    } else {
        SL_TRY(sl_scan_tree(train, *has_val ? val : NULL, scan));
    }
    if (scan->train.count == 0)
        SL_FAIL(SL_MISSING, "%s: no images in the class folders", train);
    SL_TRY(check_classes(scan, &scan->train, train));
out:
    free(train);
    free(val);
    return rc;
}

int sl_scan_open(const char *folder, double val_fraction, uint64_t seed, struct sl_scan *scan)
{
    int rc = SL_OK;
    bool has_val = false;
    *scan = (struct sl_scan){0};
    SL_TRY(scan_layout(folder, scan, &has_val));
    if (has_val && val_fraction >= 0)
        SL_FAIL(SL_USAGE, "%s has its own validation images in val/; a validation fraction is for sets without",
                folder);
    if (!has_val && val_fraction != 0)
        SL_TRY(split_off(scan, val_fraction < 0 ? 0.1 : val_fraction, seed));
    SL_TRY(sl_image_list_make_unique(&scan->train));
    SL_TRY(sl_image_list_make_unique(&scan->val));
out:
    if (rc != SL_OK)
        sl_scan_close(scan);
    return rc;
}
