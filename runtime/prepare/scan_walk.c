#include "runtime/prepare/scan_walk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/file_io.h"
#include "runtime/base/folder.h"
#include "runtime/base/utf8.h"
#include "runtime/prepare/folder_names.h"

enum { MAX_DEPTH = 16 };

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

static bool has_image_name(const char *name)
{
    static const char *const endings[] = {".jpg", ".jpeg", ".jpe",  ".jfif", ".png",  ".gif", ".bmp",
                                          ".tif", ".tiff", ".webp", ".heic", ".heif", ".avif"};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < sizeof endings / sizeof *endings; i++)
        if (!strcasecmp(dot, endings[i]))
            return true;
    return false;
}

/* What cannot be read may be an image: the attempt to decode it will say what is wrong. */
static bool may_be_jpeg(const char *path)
{
    struct stat status;
    uint8_t start[2] = {0};
    const int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return errno != ENOENT && errno != ELOOP && errno != ENXIO;
    const bool regular = fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
    const ssize_t n = regular ? read(fd, start, sizeof start) : 0;
    close(fd);
    return n < 0 || (n == 2 && start[0] == 0xff && start[1] == 0xd8);
}

/* Part of TinyImageNet: CLASS_boxes.txt in the folder of the class. */
static bool is_box_list(const struct sl_walk *walk, const char *relative)
{
    const size_t n = strlen(walk->class_id);
    return n && !strncmp(relative, walk->class_id, n) && !strcmp(relative + n, "_boxes.txt");
}

/* Takes `path` over. */
static int note_stray(struct sl_scan *scan, char *path)
{
    if (scan->strays++ == 0)
        scan->stray = path;
    else
        free(path);
    return SL_OK;
}

static int take_path(const struct sl_walk *walk, const char *relative, char *path)
{
    static const char level[] = "images/";
    const bool hidden = walk->images_level && !strncmp(relative, level, strlen(level));
    if (!has_image_name(relative) && !may_be_jpeg(path))
        return note_stray(walk->scan, path);
    return sl_image_list_add(walk->list, path, make_key(walk->class_id, relative + (hidden ? strlen(level) : 0)),
                             walk->label);
}

int sl_image_take(const struct sl_walk *walk, const char *relative)
{
    char *path = sl_io_path(walk->root, relative);
    if (!path)
        return SL_SYSTEM;
    if (is_box_list(walk, relative)) {
        free(path);
        return SL_OK;
    }
    return take_path(walk, relative, path);
}

static int walk_entry(const struct sl_walk *walk, const char *folder, const struct dirent *entry, const char *relative,
                      int depth)
{
    int rc = SL_OK;
    bool deeper = false;
    char *path = NULL;
    SL_TRY(sl_holds_images(folder, entry, &deeper));
    if (deeper && !has_image_name(entry->d_name)) {
        rc = sl_image_walk(walk, relative, depth + 1);
    } else if (sl_folder_is_clutter(entry->d_name)) {
        if (!(path = sl_io_path(folder, entry->d_name)))
            SL_FAIL(SL_SYSTEM, "out of memory for a path below %s", folder);
        rc = note_stray(walk->scan, path);
    } else {
        rc = sl_image_take(walk, relative);
    }
out:
    return rc;
}

int sl_image_walk(const struct sl_walk *walk, const char *relative, int depth)
{
    int rc = SL_OK, count = 0;
    struct dirent **names = NULL;
    char *folder = *relative ? sl_io_path(walk->root, relative) : strdup(walk->root), *below = NULL;
    if (!folder)
        SL_FAIL(SL_SYSTEM, "out of memory for a path below %s", walk->root);
    if (depth > MAX_DEPTH)
        SL_FAIL(SL_BAD_DATA, "%s: more than %d folders deep; a link that leads in a circle?", folder, MAX_DEPTH);
    SL_TRY(sl_names_read(folder, &names, &count));
    for (int i = 0; i < count; i++) {
        free(below);
        below = *relative ? sl_io_path(relative, names[i]->d_name) : strdup(names[i]->d_name);
        if (!below)
            SL_FAIL(SL_SYSTEM, "out of memory for a path below %s", folder);
        SL_TRY(walk_entry(walk, folder, names[i], below, depth));
    }
out:
    sl_names_free(names, count);
    free(below);
    free(folder);
    return rc;
}
