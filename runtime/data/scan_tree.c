/* Trees with a folder for each class, images at any depth below it. */
#include <stdlib.h>

#include "runtime/data/file.h"
#include "runtime/data/scan_internal.h"

/* The folders of `root` become the classes. */
static int read_class_folders(const char *root, struct sl_scan *scan)
{
    int rc = SL_OK, count = 0;
    struct dirent **names = NULL;
    SL_TRY(sl_names_read(root, &names, &count));
    for (int i = 0; i < count; i++) {
        char *path = sl_path_join(root, names[i]->d_name);
        const bool is_class = path && sl_is_folder(path) && !sl_has_image_name(names[i]->d_name);
        free(path);
        if (is_class)
            SL_TRY(sl_scan_add_class(scan, names[i]->d_name));
    }
    if (scan->class_count == 0)
        SL_FAIL(SL_MISSING, "%s: no images; expected TinyImageNet's layout, train/CLASS/*.jpg or CLASS/*.jpg", root);
out:
    sl_names_free(names, count);
    return rc;
}

static int read_images(const char *root, const struct sl_scan *scan, struct sl_image_list *list)
{
    int rc = SL_OK, count = 0;
    struct dirent **names = NULL;
    SL_TRY(sl_names_read(root, &names, &count));
    for (int i = 0; i < count; i++) {
        const char *name = names[i]->d_name;
        const int32_t label = sl_scan_label(scan, name);
        char *path = sl_path_join(root, name);
        const bool folder = path && sl_is_folder(path) && !sl_has_image_name(name);
        if (folder && label >= 0)
            rc = sl_image_list_walk(list, path, "", name, label, 0);
        else if (folder)
            rc = sl_fail(SL_BAD_DATA, "%s: the class %s is not among the training images", root, name);
        free(path);
        SL_TRY(rc);
    }
out:
    sl_names_free(names, count);
    return rc;
}

int sl_scan_tree(const char *train, const char *val, struct sl_scan *scan)
{
    int rc = SL_OK;
    SL_TRY(read_class_folders(train, scan));
    SL_TRY(read_images(train, scan, &scan->train));
    if (val)
        SL_TRY(read_images(val, scan, &scan->val));
out:
    return rc;
}
