#include "runtime/prepare/scan_tree.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/file_io.h"
#include "runtime/prepare/folder_names.h"
#include "runtime/prepare/scan_classes.h"
#include "runtime/prepare/scan_report.h"

int sl_tree_classes(struct sl_scan *scan, const char *train)
{
    int rc = SL_OK, count = 0;
    struct dirent **names = NULL;
    SL_TRY(sl_names_read(train, &names, &count));
    for (int i = 0; i < count; i++) {
        bool is_class = false;
        SL_TRY(sl_holds_images(train, names[i], &is_class));
        if (is_class)
            SL_TRY(sl_scan_add_class(scan, names[i]->d_name));
    }
    if (scan->class_count == 0)
        SL_FAIL(SL_MISSING, "%s: no images; expected TinyImageNet's layout, train/CLASS/*.jpg or CLASS/*.jpg", train);
    SL_TRY(sl_scan_sort_classes(scan, train));
out:
    sl_names_free(names, count);
    return rc;
}

static int walk_class(const struct sl_walk *walk, const char *root, const char *name, int32_t label)
{
    struct sl_walk class = *walk;
    char *folder = sl_io_path(root, name);
    if (!folder)
        return SL_SYSTEM;
    class.root = folder;
    class.class_id = walk->scan->classes[label].id;
    class.label = label;
    const int rc = sl_image_walk(&class, "", 0);
    free(folder);
    return rc;
}

int sl_scan_class_folders(const struct sl_walk *walk, const char *root, const char *unknown)
{
    int rc = SL_OK, count = 0;
    struct dirent **names = NULL;
    struct sl_left_out rest = {0};
    SL_TRY(sl_names_read(root, &names, &count));
    for (int i = 0; i < count; i++) {
        const char *name = names[i]->d_name;
        bool is_folder = false;
        int32_t label = -1;
        SL_TRY(sl_holds_images(root, names[i], &is_folder));
        SL_TRY(sl_scan_label(walk->scan, name, &label));
        if (walk->rest_is_read && (!is_folder || !strcmp(name, "images")))
            continue;
        if (!is_folder)
            sl_left_out_add(&rest, name, names[i]->d_type == DT_DIR);
        else if (label < 0)
            SL_FAIL(SL_BAD_DATA, "%s: the class %s is %s", root, name, unknown);
        else
            SL_TRY(walk_class(walk, root, name, label));
    }
    sl_left_out_say(&rest, walk->scan, root);
out:
    sl_names_free(names, count);
    return rc;
}
