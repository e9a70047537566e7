#include "runtime/data/scan.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "runtime/data/draw.h"
#include "runtime/data/file.h"

enum { MAX_DEPTH = 16, MAX_LIST_BYTES = 256 << 20 };
static const size_t max_images = UINT32_MAX / 2;

static void list_close(struct sl_image_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->at[i].path);
        free(list->at[i].key);
    }
    free(list->at);
}

void sl_scan_close(struct sl_scan *scan)
{
    for (size_t i = 0; i < scan->class_count; i++) {
        free(scan->classes[i].id);
        free(scan->classes[i].words);
    }
    free(scan->classes);
    list_close(&scan->train);
    list_close(&scan->val);
    *scan = (struct sl_scan){0};
}

/* ---- folders ---- */

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* The sorted names of a folder, without hidden ones; names_free() frees them. */
static int names_read(const char *folder, struct dirent ***names, int *count)
{
    *count = scandir(folder, names, is_visible, by_name);
    if (*count >= 0)
        return SL_OK;
    *names = NULL;
    *count = 0;
    return sl_fail(errno == ENOENT || errno == ENOTDIR ? SL_MISSING : SL_IO, "%s: cannot read the folder: %s", folder,
                   strerror(errno));
}

static void names_free(struct dirent **names, int count)
{
    for (int i = 0; i < count; i++)
        free(names[i]);
    free(names);
}

static bool is_folder(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

static bool exists_in(const char *folder, const char *name)
{
    struct stat status;
    char *path = sl_path_join(folder, name);
    const bool there = path && stat(path, &status) == 0;
    free(path);
    return there;
}

/* A folder with the name of an image is listed as an image, and refused as one later. */
static bool has_image_name(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && (!strcasecmp(dot, ".jpg") || !strcasecmp(dot, ".jpeg"));
}

/* ---- lists of images ---- */

/* Takes `path` and `key` over, also when it fails; NULL is no memory. */
static int list_add(struct sl_image_list *list, char *path, char *key, int32_t label)
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
        return sl_fail(SL_SYSTEM, "no memory for more than %zu images", list->count);
    }
    list->at[list->count++] = (struct sl_image_file){path, key, label};
    return SL_OK;
}

/* CLASS_STEM, or STEM alone where it begins with the class already (or there is none, ""), without dots and slashes. */
static char *make_key(const char *class, const char *relative)
{
    char *key = NULL;
    const char *dot = strrchr(relative, '.');
    const int length = (int)(dot && dot != relative ? (size_t)(dot - relative) : strlen(relative));
    const size_t n = strlen(class);
    const bool prefixed = n == 0 || (!strncmp(relative, class, n) && relative[n] == '_');
    if (asprintf(&key, "%s%s%.*s", prefixed ? "" : class, prefixed ? "" : "_", length, relative) < 0)
        return NULL;
    for (char *at = key; *at; at++)
        if (*at == '.' || *at == '/' || iscntrl((unsigned char)*at))
            *at = '_';
    return key;
}

/* Lists every file below `root`/`relative`. */
static int walk(struct sl_image_list *list, const char *root, const char *relative, const char *class, int32_t label,
                int depth)
{
    int rc = SL_OK, count = 0;
    struct dirent **names = NULL;
    char *folder = *relative ? sl_path_join(root, relative) : strdup(root), *below = NULL;
    if (!folder)
        SL_FAIL(SL_SYSTEM, "no memory for a path below %s", root);
    if (depth > MAX_DEPTH)
        SL_FAIL(SL_BAD_DATA, "%s: more than %d folders deep; a link that leads in a circle?", folder, MAX_DEPTH);
    SL_TRY(names_read(folder, &names, &count));
    for (int i = 0; i < count; i++) {
        const char *name = names[i]->d_name;
        free(below);
        below = *relative ? sl_path_join(relative, name) : strdup(name);
        char *path = sl_path_join(folder, name);
        if (path && below && is_folder(path) && !has_image_name(name)) {
            free(path);
            SL_TRY(walk(list, root, below, class, label, depth + 1));
        } else {
            SL_TRY(list_add(list, path, below ? make_key(class, below) : NULL, label));
        }
    }
out:
    names_free(names, count);
    free(below);
    free(folder);
    return rc;
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
            return sl_fail(SL_SYSTEM, "no memory for a key");
        free(sorted[i]->key);
        sorted[i]->key = key;
        *again = true;
    }
    return SL_OK;
}

static int make_keys_unique(struct sl_image_list *list)
{
    int rc = SL_OK;
    bool again = true;
    struct sl_image_file **sorted = calloc(list->count + 1, sizeof *sorted);
    if (!sorted)
        SL_FAIL(SL_SYSTEM, "no memory for %zu keys", list->count);
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

/* ---- classes ---- */

static int by_id(const void *a, const void *b)
{
    return strcmp(((const struct sl_class *)a)->id, ((const struct sl_class *)b)->id);
}

/* The label of a class, or -1. */
static int32_t label_of(const struct sl_scan *scan, const char *id)
{
    const struct sl_class wanted = {.id = (char *)(uintptr_t)id};
    const struct sl_class *found = bsearch(&wanted, scan->classes, scan->class_count, sizeof wanted, by_id);
    return found ? (int32_t)(found - scan->classes) : -1;
}

static int class_add(struct sl_scan *scan, const char *id)
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
        SL_TRY(class_add(scan, line));
    }
    if (scan->class_count == 0)
        SL_FAIL(SL_BAD_DATA, "%s: names no class", path);
    qsort(scan->classes, scan->class_count, sizeof *scan->classes, by_id);
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
    if (!exists_in(folder, "words.txt"))
        goto out;
    SL_TRY(read_list(folder, "words.txt", &path, &text));
    for (char *at = text; (line = next_line(&at, &number));) {
        char *tab = strchr(line, '\t');
        if (!tab)
            continue;
        *tab = '\0';
        const int32_t label = label_of(scan, line);
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

/* ---- TinyImageNet's validation images ---- */

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
    const int32_t label = label_of(scan, tab);
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
    SL_TRY(walk(&scan->val, images, "", "", -1, 0));
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
    SL_TRY(names_read(train, &names, &count));
    for (int i = 0; i < count; i++) {
        char *path = sl_path_join(train, names[i]->d_name);
        const bool unknown = path && is_folder(path) && label_of(scan, names[i]->d_name) < 0;
        free(path);
        if (unknown)
            SL_FAIL(SL_BAD_DATA, "%s: the class %s is not in wnids.txt", train, names[i]->d_name);
    }
out:
    names_free(names, count);
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
        if (is_folder(images))
            SL_TRY(walk(&scan->train, images, "", id, (int32_t)i, 0));
    }
out:
    free(images);
    free(train);
    return rc;
}

/* ---- folder-per-class trees ---- */

/* The folders of `root` become the classes. */
static int read_class_folders(const char *root, struct sl_scan *scan)
{
    int rc = SL_OK, count = 0;
    struct dirent **names = NULL;
    SL_TRY(names_read(root, &names, &count));
    for (int i = 0; i < count; i++) {
        char *path = sl_path_join(root, names[i]->d_name);
        const bool is_class = path && is_folder(path) && !has_image_name(names[i]->d_name);
        free(path);
        if (is_class)
            SL_TRY(class_add(scan, names[i]->d_name));
    }
    if (scan->class_count == 0)
        SL_FAIL(SL_MISSING, "%s: no images; expected TinyImageNet's layout, train/CLASS/*.jpg or CLASS/*.jpg", root);
out:
    names_free(names, count);
    return rc;
}

static int scan_tree(const char *root, const struct sl_scan *scan, struct sl_image_list *list)
{
    int rc = SL_OK, count = 0;
    struct dirent **names = NULL;
    SL_TRY(names_read(root, &names, &count));
    for (int i = 0; i < count; i++) {
        const char *name = names[i]->d_name;
        const int32_t label = label_of(scan, name);
        char *path = sl_path_join(root, name);
        const bool folder = path && is_folder(path) && !has_image_name(name);
        if (folder && label >= 0)
            rc = walk(list, path, "", name, label, 0);
        else if (folder)
            rc = sl_fail(SL_BAD_DATA, "%s: the class %s is not among the training images", root, name);
        free(path);
        SL_TRY(rc);
    }
out:
    names_free(names, count);
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
    sl_draw_permutation(seed, SL_DRAW_VALIDATION, (uint64_t)list->at[first].label, order, (uint32_t)n);
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
            rc = list_add(&scan->val, file.path, file.key, file.label);
        else
            list->at[kept++] = file;
    }
    list->count = kept;
out:
    free(chosen);
    return rc;
}

static int scan_layout(const char *folder, struct sl_scan *scan, bool *has_val)
{
    int rc = SL_OK;
    const bool with_train = exists_in(folder, "train");
    char *train = with_train ? sl_path_join(folder, "train") : strdup(folder), *val = sl_path_join(folder, "val");
    *has_val = with_train && exists_in(folder, "val");
    if (!train || !val)
        SL_FAIL(SL_SYSTEM, "no memory for a path");
    if (exists_in(folder, "wnids.txt") || exists_in(val, "val_annotations.txt") || exists_in(val, "images")) {
        SL_TRY(read_wnids(folder, scan));
        SL_TRY(read_words(folder, scan));
        SL_TRY(scan_tiny_train(folder, scan));
        if (*has_val)
            SL_TRY(scan_tiny_val(folder, scan));
    } else {
        SL_TRY(read_class_folders(train, scan));
        SL_TRY(scan_tree(train, scan, &scan->train));
        if (*has_val)
            SL_TRY(scan_tree(val, scan, &scan->val));
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
    SL_TRY(make_keys_unique(&scan->train));
    SL_TRY(make_keys_unique(&scan->val));
out:
    if (rc != SL_OK)
        sl_scan_close(scan);
    return rc;
}
