#include "runtime/prepare/scan.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/random.h"
#include "runtime/prepare/folder_names.h"
#include "runtime/prepare/scan_annotations.h"
#include "runtime/prepare/scan_classes.h"
#include "runtime/prepare/scan_layout.h"
#include "runtime/prepare/scan_tinyimagenet.h"
#include "runtime/prepare/scan_tree.h"

void sl_scan_close(struct sl_scan *scan)
{
    for (size_t i = 0; i < scan->class_count; i++) {
        free(scan->classes[i].id);
        free(scan->classes[i].words);
    }
    free(scan->classes);
    sl_image_list_close(&scan->train);
    sl_image_list_close(&scan->val);
    free(scan->stray);
    *scan = (struct sl_scan){0};
}

/* Every class has an image in the list. */
static int check_classes(const struct sl_scan *scan, const struct sl_image_list *list, const char *folder)
{
    int rc = SL_OK;
    bool *seen = calloc(scan->class_count + 1, sizeof *seen);
    if (!seen)
        SL_FAIL(SL_SYSTEM, "out of memory for the classes");
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
        return sl_fail(SL_SYSTEM, "out of memory for the validation split");
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
        SL_FAIL(SL_SYSTEM, "out of memory for the validation split");
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

/* ---- the whole ---- */

static int scan_train(struct sl_scan *scan, const struct sl_layout *layout)
{
    int rc = SL_OK;
    const struct sl_walk walk = {.scan = scan, .list = &scan->train, .images_level = layout->tinyimagenet};
    if (layout->tinyimagenet)
        SL_TRY(sl_tinyimagenet_classes(scan));
    else
        SL_TRY(sl_tree_classes(scan, layout->train));
    SL_TRY(sl_scan_class_folders(&walk, layout->train, "not in wnids.txt"));
    if (scan->train.count == 0)
        SL_FAIL(SL_MISSING, "%s: no images in the class folders", layout->train);
    SL_TRY(check_classes(scan, &scan->train, layout->train));
    if (scan->class_count < 2 && !scan->options->one_class)
        SL_FAIL(SL_BAD_DATA,
                "%s: a single class, %s, which teaches nothing; is the input one level too high or too low? "
                "(--allow-one-class takes it)",
                layout->train, scan->classes[0].id);
out:
    return rc;
}

/* A test/ may hold images without classes; those cannot stand in for validation images. */
static int drop_unlabelled(struct sl_scan *scan, struct sl_layout *layout)
{
    int rc = SL_OK, count = 0;
    int32_t label = -1;
    struct dirent **names = NULL;
    SL_TRY(sl_names_read(layout->val, &names, &count));
    for (int i = 0; i < count && label < 0; i++)
        SL_TRY(sl_scan_label(scan, names[i]->d_name, &label));
    sl_tell(scan->options->report, scan->options->self,
            label < 0 ? "left out %s: it holds no class folders" : "no val folder: the images of %s validate",
            layout->val);
    if (label < 0) {
        free(layout->val);
        layout->val = NULL;
    }
out:
    sl_names_free(names, count);
    return rc;
}

static int scan_val(struct sl_scan *scan, const struct sl_layout *layout)
{
    int rc = SL_OK;
    const struct sl_walk walk = {.scan = scan, .list = &scan->val};
    if (layout->tinyimagenet)
        SL_TRY(sl_tinyimagenet_val(scan, layout->val));
    else
        SL_TRY(sl_scan_class_folders(&walk, layout->val, "not among the training images"));
    if (scan->val.count == 0)
        SL_FAIL(SL_MISSING,
                "%s: no images in class folders; without the folder, a part of the training images validates",
                layout->val);
out:
    return rc;
}

static int scan_all(struct sl_scan *scan, struct sl_layout *layout)
{
    int rc = SL_OK;
    const double fraction = scan->options->val_fraction;
    SL_TRY(sl_layout_find(scan, layout));
    if (layout->val && fraction >= 0)
        SL_FAIL(SL_USAGE, "%s has its own validation images in %s/; a validation fraction is for sets without",
                scan->options->folder, strrchr(layout->val, '/') + 1);
    SL_TRY(scan_train(scan, layout));
    if (layout->stands_in)
        SL_TRY(drop_unlabelled(scan, layout));
    if (layout->val)
        SL_TRY(scan_val(scan, layout));
    else if (fraction != 0)
        SL_TRY(split_off(scan, fraction < 0 ? 0.1 : fraction, scan->options->seed));
    SL_TRY(sl_image_list_make_unique(&scan->train));
    SL_TRY(sl_image_list_make_unique(&scan->val));
    if (scan->strays > 0)
        sl_tell(scan->options->report, scan->options->self, "left out %zu files that are no images, such as %s",
                scan->strays, scan->stray);
out:
    return rc;
}

int sl_scan_open(const struct sl_scan_options *options, struct sl_scan *scan)
{
    struct sl_layout layout = {0};
    *scan = (struct sl_scan){.options = options};
    const int rc = scan_all(scan, &layout);
    sl_layout_close(&layout);
    if (rc != SL_OK)
        sl_scan_close(scan);
    return rc;
}
