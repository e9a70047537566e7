/* TinyImageNet's original layout: wnids.txt, words.txt, train/CLASS/images, val/images with val_annotations.txt. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/data/file.h"
#include "runtime/data/scan_internal.h"

enum { MAX_LIST_BYTES = 256 << 20 };

/* ---- text lists ---- */

/* Cuts the next line off *text; NULL after the last. Trailing white space is removed. */
static char *next_line(char **text, size_t *number)
{
    char *line = *text;
    if (!line || !*line)
        return NULL;
    char *end = line + strcspn(line, "\n");
    *text = *end ? end + 1 : end;
    do
        *end-- = '\0';
    while (end >= line && isspace((unsigned char)*end));
    ++*number;
    return line;
}

static int read_list(const char *folder, const char *name, char **path, char **text)
{
    int rc = SL_OK;
    uint8_t *bytes = NULL;
    size_t length = 0;
    *text = NULL;
    *path = sl_path_join(folder, name);
    if (!*path)
        return SL_SYSTEM;
    SL_TRY(sl_file_read(*path, MAX_LIST_BYTES, &bytes, &length));
    if (memchr(bytes, 0, length))
        SL_FAIL(SL_BAD_DATA, "%s: not a text file", *path);
    *text = (char *)bytes;
    bytes = NULL;
out:
    free(bytes);
    return rc;
}

static int read_wnids(const char *folder, struct sl_scan *scan)
{
    int rc = SL_OK;
    char *path = NULL, *text = NULL, *line;
    size_t number = 0;
    SL_TRY(read_list(folder, "wnids.txt", &path, &text));
    for (char *at = text; (line = next_line(&at, &number));) {
        if (!*line)
            continue;
        if (strchr(line, '/') || *line == '.')
            SL_FAIL(SL_BAD_DATA, "%s: line %zu: %.80s is no class", path, number, line);
        SL_TRY(sl_scan_add_class(scan, line));
    }
    if (scan->class_count == 0)
        SL_FAIL(SL_BAD_DATA, "%s: names no class", path);
    sl_scan_sort_classes(scan);
    for (size_t i = 1; i < scan->class_count; i++)
        if (!strcmp(scan->classes[i].id, scan->classes[i - 1].id))
            SL_FAIL(SL_BAD_DATA, "%s: names the class %s twice", path, scan->classes[i].id);
out:
    free(text);
    free(path);
    return rc;
}

/* words.txt knows far more ids than the set has. Without it a class is called by its id. */
static int read_words(const char *folder, struct sl_scan *scan)
{
    int rc = SL_OK;
    char *path = NULL, *text = NULL, *line;
    size_t number = 0;
    if (!sl_exists_in(folder, "words.txt"))
        goto out;
    SL_TRY(read_list(folder, "words.txt", &path, &text));
    for (char *at = text; (line = next_line(&at, &number));) {
        char *tab = strchr(line, '\t');
        if (!tab)
            continue;
        *tab = '\0';
        const int32_t label = sl_scan_label(scan, line);
        if (label < 0 || !tab[1])
            continue;
        free(scan->classes[label].words);
        if (!(scan->classes[label].words = strdup(tab + 1)))
            SL_FAIL(SL_SYSTEM, "no memory for the words");
    }
out:
    free(text);
    free(path);
    return rc;
}

/* ---- images ---- */

struct annotation {
    const char *file;
    int32_t label;
    size_t line;
    bool used;
};

struct annotations {
    size_t count;
    struct annotation *at;
    char *path, *text;
};

static int by_file(const void *a, const void *b)
{
    return strcmp(((const struct annotation *)a)->file, ((const struct annotation *)b)->file);
}

/* FILE <tab> CLASS <tab> four numbers of a box, which nobody here needs. */
static int read_annotation(const struct sl_scan *scan, char *line, size_t number, struct annotations *all)
{
    char *tab = strchr(line, '\t');
    if (!tab)
        return sl_fail(SL_BAD_DATA, "%s: line %zu has no tab: expected FILE, CLASS, box", all->path, number);
    *tab++ = '\0';
    tab[strcspn(tab, "\t")] = '\0';
    const int32_t label = sl_scan_label(scan, tab);
    if (label < 0)
        return sl_fail(SL_BAD_DATA, "%s: line %zu: the class %.80s of %.80s is not in wnids.txt", all->path, number,
                       tab, line);
    all->at[all->count++] = (struct annotation){line, label, number, false};
    return SL_OK;
}

static int read_annotations(const char *folder, const struct sl_scan *scan, struct annotations *all)
{
    int rc = SL_OK;
    size_t number = 0, lines = 1;
    char *line;
    SL_TRY(read_list(folder, "val/val_annotations.txt", &all->path, &all->text));
    for (const char *at = all->text; (at = strchr(at, '\n')); at++)
        lines++;
    if (!(all->at = calloc(lines, sizeof *all->at)))
        SL_FAIL(SL_SYSTEM, "no memory for %zu annotations", lines);
    for (char *at = all->text; (line = next_line(&at, &number));)
        if (*line)
            SL_TRY(read_annotation(scan, line, number, all));
    qsort(all->at, all->count, sizeof *all->at, by_file);
    for (size_t i = 1; i < all->count; i++)
        if (!by_file(&all->at[i - 1], &all->at[i]))
            SL_FAIL(SL_BAD_DATA, "%s: lines %zu and %zu are both about %s", all->path, all->at[i - 1].line,
                    all->at[i].line, all->at[i].file);
out:
    return rc;
}

static int label_val_images(const char *images, struct annotations *all, struct sl_image_list *val)
{
    for (size_t i = 0; i < val->count; i++) {
        const struct annotation wanted = {.file = val->at[i].path + strlen(images) + 1};
        struct annotation *found = bsearch(&wanted, all->at, all->count, sizeof wanted, by_file);
        if (!found)
            return sl_fail(SL_BAD_DATA, "%s: no line about %s, which is in %s", all->path, wanted.file, images);
        val->at[i].label = found->label;
        found->used = true;
    }
    for (size_t i = 0; i < all->count; i++)
        if (!all->at[i].used)
            return sl_fail(SL_BAD_DATA, "%s: line %zu is about %s, which is not in %s", all->path, all->at[i].line,
                           all->at[i].file, images);
    return SL_OK;
}

static int scan_tiny_val(const char *folder, struct sl_scan *scan)
{
    int rc = SL_OK;
    struct annotations all = {0};
    char *images = sl_path_join(folder, "val/images");
    if (!images)
        SL_FAIL(SL_SYSTEM, "no memory for a path");
    SL_TRY(read_annotations(folder, scan, &all));
    SL_TRY(sl_image_list_walk(&scan->val, images, "", "", -1, 0));
    SL_TRY(label_val_images(images, &all, &scan->val));
out:
    free(images);
    free(all.path);
    free(all.text);
    free(all.at);
    return rc;
}

/* Every folder of train/ must be a class. */
static int check_train_folders(const char *train, const struct sl_scan *scan)
{
    int rc = SL_OK, count = 0;
    struct dirent **names = NULL;
    SL_TRY(sl_names_read(train, &names, &count));
    for (int i = 0; i < count; i++) {
        char *path = sl_path_join(train, names[i]->d_name);
        const bool unknown = path && sl_is_folder(path) && sl_scan_label(scan, names[i]->d_name) < 0;
        free(path);
        if (unknown)
            SL_FAIL(SL_BAD_DATA, "%s: the class %s is not in wnids.txt", train, names[i]->d_name);
    }
out:
    sl_names_free(names, count);
    return rc;
}

static int scan_tiny_train(const char *folder, struct sl_scan *scan)
{
    int rc = SL_OK;
    char *train = sl_path_join(folder, "train"), *images = NULL;
    if (!train)
        SL_FAIL(SL_SYSTEM, "no memory for a path");
    SL_TRY(check_train_folders(train, scan));
    for (size_t i = 0; i < scan->class_count; i++) {
        const char *id = scan->classes[i].id;
        free(images);
        if (asprintf(&images, "%s/%s/images", train, id) < 0) {
            images = NULL;
            SL_FAIL(SL_SYSTEM, "no memory for a path");
        }
        if (sl_is_folder(images))
            SL_TRY(sl_image_list_walk(&scan->train, images, "", id, (int32_t)i, 0));
    }
out:
    free(images);
    free(train);
    return rc;
}

int sl_scan_tinyimagenet(const char *folder, bool with_val, struct sl_scan *scan)
{
    int rc = SL_OK;
    SL_TRY(read_wnids(folder, scan));
    SL_TRY(read_words(folder, scan));
    SL_TRY(scan_tiny_train(folder, scan));
    if (with_val)
        SL_TRY(scan_tiny_val(folder, scan));
out:
    return rc;
}
