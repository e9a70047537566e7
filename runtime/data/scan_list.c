/* Folders read in order of their names, and the lists of images found in them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "runtime/data/file.h"
#include "runtime/data/scan_internal.h"
#include "runtime/data/text.h"

enum { MAX_DEPTH = 16 };
static const size_t max_images = UINT32_MAX / 2;

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

int sl_names_read(const char *folder, struct dirent ***names, int *count)
{
    *count = scandir(folder, names, is_visible, by_name);
    if (*count >= 0)
        return SL_OK;
    *names = NULL;
    *count = 0;
    return sl_fail(errno == ENOENT || errno == ENOTDIR ? SL_MISSING : SL_IO, "%s: cannot read the folder: %s", folder,
                   strerror(errno));
}

void sl_names_free(struct dirent **names, int count)
{
    for (int i = 0; i < count; i++)
        free(names[i]);
    free(names);
}

bool sl_is_folder(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

bool sl_exists_in(const char *folder, const char *name)
{
    struct stat status;
    char *path = sl_path_join(folder, name);
    const bool there = path && stat(path, &status) == 0;
    free(path);
    return there;
}

bool sl_has_image_name(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && (!strcasecmp(dot, ".jpg") || !strcasecmp(dot, ".jpeg"));
}

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
        return sl_fail(SL_SYSTEM, "no memory for more than %zu images", list->count);
    }
    list->at[list->count++] = (struct sl_image_file){path, key, label};
    return SL_OK;
}

/* CLASS_STEM, or STEM alone where it begins with the class already (or there is none, ""), as UTF-8 without dots,
 * slashes and control characters. */
static char *make_key(const char *class, const char *relative)
{
    char *key = NULL, *stem = sl_utf8_name(relative);
    if (!stem)
        return NULL;
    char *dot = strrchr(stem, '.');
    if (dot && dot != stem)
        *dot = '\0';
    const size_t n = strlen(class);
    const bool prefixed = n == 0 || (!strncmp(stem, class, n) && stem[n] == '_');
    if (asprintf(&key, "%s%s%s", prefixed ? "" : class, prefixed ? "" : "_", stem) < 0)
        key = NULL;
    for (char *at = key; at && *at; at++)
        if (*at == '.' || *at == '/' || (uint8_t)*at < ' ' || *at == 127)
            *at = '_';
    free(stem);
    return key;
}

int sl_image_list_walk(struct sl_image_list *list, const char *root, const char *relative, const char *class,
                       int32_t label, int depth)
{
    int rc = SL_OK, count = 0;
    struct dirent **names = NULL;
    char *folder = *relative ? sl_path_join(root, relative) : strdup(root), *below = NULL;
    if (!folder)
        SL_FAIL(SL_SYSTEM, "no memory for a path below %s", root);
    if (depth > MAX_DEPTH)
        SL_FAIL(SL_BAD_DATA, "%s: more than %d folders deep; a link that leads in a circle?", folder, MAX_DEPTH);
    SL_TRY(sl_names_read(folder, &names, &count));
    for (int i = 0; i < count; i++) {
        const char *name = names[i]->d_name;
        free(below);
        below = *relative ? sl_path_join(relative, name) : strdup(name);
        char *path = sl_path_join(folder, name);
        if (path && below && sl_is_folder(path) && !sl_has_image_name(name)) {
            free(path);
            SL_TRY(sl_image_list_walk(list, root, below, class, label, depth + 1));
        } else {
            SL_TRY(sl_image_list_add(list, path, below ? make_key(class, below) : NULL, label));
        }
    }
out:
    sl_names_free(names, count);
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

int sl_image_list_make_unique(struct sl_image_list *list)
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
