#include "runtime/base/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/file_io.h"

/* Levels of folders that are removed. */
enum { MAX_DEPTH = 8 };

/* ---- creation ---- */

static bool is_folder(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

int sl_folder_create(const char *path)
{
    if (is_folder(path))
        return SL_OK;
    const int rc = sl_io_make_folder(path);
    /* Another process may have been faster. */
    return rc != SL_OK && sl_io_last_error() == EEXIST && is_folder(path) ? SL_OK : rc;
}

int sl_folder_create_all(const char *path)
{
    int rc = SL_OK;
    char *above = NULL;
    if (is_folder(path))
        goto out;
    SL_TRY(sl_io_parent(path, &above));
    if (strcmp(above, path))
        SL_TRY(sl_folder_create_all(above));
    SL_TRY(sl_folder_create(path));
out:
    free(above);
    return rc;
}

bool sl_folder_is_clutter(const char *name)
{
    static const char *const names[] = {".DS_Store", "Thumbs.db", "desktop.ini",  "lost+found",
                                        "__MACOSX",  "@eaDir",    "$RECYCLE.BIN", "System Volume Information"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcasecmp(name, names[i]))
            return true;
    return false;
}

int sl_folder_check_empty(const char *path)
{
    int rc = SL_OK;
    const struct dirent *entry;
    DIR *stream = opendir(path);
    if (!stream)
        SL_FAIL(SL_CANNOT_CREATE, "%s: cannot open the folder: %s", path, strerror(errno));
    while ((errno = 0, entry = readdir(stream)))
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..") && !sl_folder_is_clutter(entry->d_name))
            SL_FAIL(SL_CANNOT_CREATE, "%s: the folder is not empty (%s); remove it or choose another folder", path,
                    entry->d_name);
    if (errno)
        SL_FAIL(SL_CANNOT_CREATE, "%s: cannot read the folder: %s", path, strerror(errno));
out:
    if (stream)
        closedir(stream);
    return rc;
}

/* ---- entries ---- */

struct names {
    char **list;
    size_t count, room;
};

static void free_names(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->list[i]);
    free(names->list);
    *names = (struct names){0};
}

static int add_name(struct names *names, const char *path, const char *name)
{
    if (names->count == names->room) {
        names->room = names->room ? 2 * names->room : 16;
        char **more = realloc(names->list, names->room * sizeof *more);
        if (!more)
            return sl_fail(SL_SYSTEM, "%s: out of memory for the names in the folder", path);
        names->list = more;
    }
    if (!(names->list[names->count] = strdup(name)))
        return sl_fail(SL_SYSTEM, "%s: out of memory for the names in the folder", path);
    names->count++;
    return SL_OK;
}

/* readdir tells the end of a folder from a failure by errno alone. */
static int read_names(DIR *folder, const char *path, struct names *names)
{
    for (;;) {
        const int error = sl_io_fault("list", path);
        errno = 0;
        const struct dirent *entry = error ? NULL : readdir(folder);
        if (!entry && (error || errno)) {
            const int why = error ? error : errno;
            return sl_fail(sl_io_open_status(why), "%s: cannot list the folder: %s", path, strerror(why));
        }
        if (!entry)
            return SL_OK;
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        const int rc = add_name(names, path, entry->d_name);
        if (rc != SL_OK)
            return rc;
    }
}

/* All names first: a folder that changes while it is listed may hide entries. Leaves `fd` open. */
static int list(int fd, const char *path, struct names *names)
{
    const int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    DIR *folder = own >= 0 ? fdopendir(own) : NULL;
    if (!folder) {
        const int error = errno;
        if (own >= 0)
            close(own);
        return sl_fail(sl_io_open_status(error), "%s: cannot list the folder: %s", path, strerror(error));
    }
    const int rc = read_names(folder, path, names);
    closedir(folder);
    return rc;
}

int sl_folder_each(const char *path, sl_folder_visit_fn *visit, void *self)
{
    int rc = SL_OK, error = sl_io_fault("open", path);
    struct names names = {0};
    const int fd = error ? -1 : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && !error)
        error = errno;
    if (error)
        SL_FAIL(sl_io_open_status(error), "%s: cannot open the folder: %s", path, strerror(error));
    SL_TRY(list(fd, path, &names));
    for (size_t i = 0; i < names.count; i++)
        SL_TRY(visit(self, names.list[i]));
out:
    free_names(&names);
    if (fd >= 0)
        close(fd);
    return rc;
}

/* ---- Removal: never through a link, never out of the file system it began in ---- */

/* A file, a link or an empty folder. */
static int remove_entry(int parent, const char *name, const char *path)
{
    int error = sl_io_fault("remove", path);
    if (!error && unlinkat(parent, name, 0))
        error = errno;
    if (error == EISDIR)
        error = unlinkat(parent, name, AT_REMOVEDIR) ? errno : 0;
    return error && error != ENOENT ? sl_io_fail("remove it", path, error) : SL_OK;
}

static int remove_tree(int parent, const char *name, const char *path, int depth, dev_t device);

static int remove_entries(int fd, const char *path, int depth)
{
    int rc = SL_OK;
    struct stat info;
    struct names names = {0};
    if (fstat(fd, &info))
        SL_FAIL(SL_IO, "%s: cannot examine it: %s", path, strerror(errno));
    SL_TRY(list(fd, path, &names));
    for (size_t i = 0; rc == SL_OK && i < names.count; i++) {
        char *inner = NULL;
        rc = sl_io_join(path, names.list[i], &inner);
        if (rc == SL_OK)
            rc = remove_tree(fd, names.list[i], inner, depth + 1, info.st_dev);
        free(inner);
    }
out:
    free_names(&names);
    return rc;
}

static int remove_tree(int parent, const char *name, const char *path, int depth, dev_t device)
{
    int rc = SL_OK;
    struct stat info;
    const int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0) {
        if (depth > MAX_DEPTH)
            SL_FAIL(SL_CANNOT_CREATE, "%s: nested deeper than %d folders; remove it by hand", path, MAX_DEPTH);
        if (depth > 0 && (fstat(fd, &info) || info.st_dev != device))
            SL_FAIL(SL_CANNOT_CREATE, "%s: on another file system; remove it by hand", path);
        SL_TRY(remove_entries(fd, path, depth));
    }
    rc = remove_entry(parent, name, path);
out:
    if (fd >= 0)
        close(fd);
    return rc;
}

int sl_folder_remove(const char *path)
{
    return remove_tree(AT_FDCWD, path, path, 0, 0);
}
