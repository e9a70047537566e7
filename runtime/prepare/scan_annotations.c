#include "runtime/prepare/scan_annotations.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/prepare/folder_names.h"
#include "runtime/prepare/scan_classes.h"
#include "runtime/prepare/scan_report.h"
#include "runtime/prepare/scan_tree.h"
#include "runtime/prepare/text_list.h"

static const char remedy[] = "mend it, or leave such images out with --on-bad-image skip";

struct annotation {
    const char *file; /* below val/images/ */
    int32_t label;
    size_t line;
    bool used;
};

struct annotations {
    bool exist;
    size_t count, room;
    struct annotation *at; /* sorted by file */
    struct sl_text_list list;
};

static int by_file(const void *a, const void *b)
{
    return strcmp(((const struct annotation *)a)->file, ((const struct annotation *)b)->file);
}

static struct annotation *find(const struct annotations *all, const char *file)
{
    const struct annotation wanted = {.file = file};
    return all->count ? bsearch(&wanted, all->at, all->count, sizeof wanted, by_file) : NULL;
}

/* ---- val_annotations.txt ---- */

static int add_annotation(struct annotations *all, const char *file, int32_t label)
{
    if (all->count == all->room) {
        const size_t room = all->room ? 2 * all->room : 1024;
        struct annotation *at = realloc(all->at, room * sizeof *at);
        if (!at)
            return sl_fail(SL_SYSTEM, "out of memory for %zu annotations", room);
        all->at = at;
        all->room = room;
    }
    all->at[all->count++] = (struct annotation){file, label, all->list.number, false};
    return SL_OK;
}

/* FILE <tab> CLASS <tab> four numbers of a box, which nobody here needs. */
static int read_annotation(const struct sl_scan *scan, char *line, struct annotations *all)
{
    int rc = SL_OK;
    int32_t label = -1;
    char *tab = strchr(line, '\t');
    if (!tab)
        SL_FAIL(SL_BAD_DATA, "%s: line %zu has no tab: expected FILE, CLASS, box", all->list.path, all->list.number);
    *tab++ = '\0';
    tab[strcspn(tab, "\t")] = '\0';
    SL_TRY(sl_scan_label(scan, tab, &label));
    if (label < 0)
        SL_FAIL(SL_BAD_DATA, "%s: line %zu: the class %.80s of %.80s is not in wnids.txt", all->list.path,
                all->list.number, tab, line);
    SL_TRY(add_annotation(all, line, label));
out:
    return rc;
}

static int read_annotations(const struct sl_scan *scan, const char *val, struct annotations *all)
{
    int rc = SL_OK;
    char *line;
    SL_TRY(sl_exists_in(val, "val_annotations.txt", &all->exist));
    if (!all->exist)
        goto out;
    SL_TRY(sl_text_list_open(val, "val_annotations.txt", &all->list));
    while ((line = sl_text_list_next(&all->list)))
        SL_TRY(read_annotation(scan, line, all));
    if (all->count > 0)
        qsort(all->at, all->count, sizeof *all->at, by_file);
    for (size_t i = 1; i < all->count; i++)
        if (!by_file(&all->at[i - 1], &all->at[i]))
            SL_FAIL(SL_BAD_DATA, "%s: lines %zu and %zu are both about %s", all->list.path, all->at[i - 1].line,
                    all->at[i].line, all->at[i].file);
out:
    return rc;
}

/* ---- images that annotations label ---- */

/* Images in VAL/images/ or in VAL itself, the other folders aside. */
static int list_unsorted(struct sl_scan *scan, const char *val, struct sl_image_list *images)
{
    int rc = SL_OK, count = 0;
    struct dirent **names = NULL;
    const struct sl_walk walk = {
        .scan = scan, .list = images, .root = val, .class_id = "", .label = -1, .images_level = true};
    SL_TRY(sl_names_read(val, &names, &count));
    for (int i = 0; i < count; i++) {
        const char *name = names[i]->d_name;
        bool is_folder = false;
        SL_TRY(sl_holds_images(val, names[i], &is_folder));
        if (is_folder && !strcmp(name, "images"))
            SL_TRY(sl_image_walk(&walk, name, 0));
        else if (!is_folder && strcmp(name, "val_annotations.txt"))
            SL_TRY(sl_image_take(&walk, name));
    }
out:
    sl_names_free(names, count);
    return rc;
}

static const char *below_images(const char *val, const char *path)
{
    static const char level[] = "images/";
    path += strlen(val) + 1;
    return strncmp(path, level, strlen(level)) ? path : path + strlen(level);
}

/* Labels the images; one without a line is refused, or left out of the list. */
static int label_images(struct sl_scan *scan, const char *val, struct annotations *all, struct sl_image_list *images)
{
    size_t kept = 0;
    const size_t count = images->count;
    for (size_t i = 0; i < count; i++) {
        struct sl_image_file *image = &images->at[i];
        struct annotation *found = find(all, below_images(val, image->path));
        if (!found && !scan->options->skip_missing)
            return sl_fail(SL_BAD_DATA, "%s: no line about %s, which is in %s; %s", all->list.path,
                           below_images(val, image->path), val, remedy);
        if (!found) {
            sl_tell(scan->options->report, scan->options->self, "skipped %s: %s has no line about it", image->path,
                    all->list.path);
            scan->skipped++;
            free(image->path);
            free(image->key);
            continue;
        }
        found->used = true;
        image->label = found->label;
        images->at[kept++] = *image;
    }
    images->count = kept;
    return SL_OK;
}

/* Folders beside the images that annotations label. */
static int say_unread_folders(const struct sl_scan *scan, const char *val)
{
    int rc = SL_OK, count = 0;
    struct dirent **names = NULL;
    struct sl_left_out rest = {0};
    SL_TRY(sl_names_read(val, &names, &count));
    for (int i = 0; i < count; i++) {
        bool is_folder = false;
        SL_TRY(sl_holds_images(val, names[i], &is_folder));
        if (is_folder && strcmp(names[i]->d_name, "images"))
            sl_left_out_add(&rest, names[i]->d_name, true);
    }
    sl_left_out_say(&rest, scan, val);
out:
    sl_names_free(names, count);
    return rc;
}

/* ---- images in class folders ---- */

/* Images were sorted into class folders: by name, what the annotations say of them must still be true. */
static int compare_folders(const struct sl_scan *scan, struct annotations *all)
{
    for (size_t i = 0; i < scan->val.count; i++) {
        const struct sl_image_file *image = &scan->val.at[i];
        struct annotation *found = find(all, strrchr(image->path, '/') + 1);
        if (!found)
            continue;
        if (found->label != image->label)
            return sl_fail(SL_BAD_DATA, "%s: is in the folder of the class %s, but line %zu of %s says %s", image->path,
                           scan->classes[image->label].id, found->line, all->list.path, scan->classes[found->label].id);
        found->used = true;
    }
    return SL_OK;
}

static int read_folders(struct sl_scan *scan, const char *val, struct annotations *all)
{
    int rc = SL_OK;
    const struct sl_walk walk = {.scan = scan, .list = &scan->val, .images_level = true, .rest_is_read = true};
    SL_TRY(sl_scan_class_folders(&walk, val, "not in wnids.txt"));
    SL_TRY(compare_folders(scan, all));
out:
    return rc;
}

/* ---- both ---- */

static int check_used(struct sl_scan *scan, const char *val, const struct annotations *all)
{
    for (size_t i = 0; i < all->count; i++) {
        const struct annotation *line = &all->at[i];
        if (line->used)
            continue;
        if (!scan->options->skip_missing)
            return sl_fail(SL_BAD_DATA, "%s: line %zu is about %s, which is not in %s; %s", all->list.path, line->line,
                           line->file, val, remedy);
        sl_tell(scan->options->report, scan->options->self,
                "skipped %s: line %zu of %s is about it, but it is not in %s", line->file, line->line, all->list.path,
                val);
        scan->skipped++;
    }
    return SL_OK;
}

int sl_tinyimagenet_val(struct sl_scan *scan, const char *val)
{
    int rc = SL_OK;
    struct annotations all = {0};
    SL_TRY(read_annotations(scan, val, &all));
    SL_TRY(list_unsorted(scan, val, &scan->val));
    if (scan->val.count == 0) {
        SL_TRY(read_folders(scan, val, &all));
    } else {
        if (!all.exist)
            SL_FAIL(SL_MISSING, "%s: no val_annotations.txt, which says what the images there show", val);
        SL_TRY(label_images(scan, val, &all, &scan->val));
        SL_TRY(say_unread_folders(scan, val));
    }
    SL_TRY(check_used(scan, val, &all));
out:
    sl_text_list_close(&all.list);
    free(all.at);
    return rc;
}
