#include "runtime/prepare/folder_names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/base/file_io.h"
#include "runtime/base/folder.h"

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
    return sl_fail(sl_io_open_status(errno), "%s: cannot read the folder: %s", folder, strerror(errno));
}

void sl_names_free(struct dirent **names, int count)
{
    for (int i = 0; i < count; i++)
        free(names[i]);
    free(names);
}

/* What a path is, links followed; *mode 0: nothing is there. */
static int mode_of(const char *folder, const char *name, mode_t *mode)
{
    int rc = SL_OK;
    struct stat status;
    char *path = sl_io_path(folder, name);
    *mode = 0;
    if (!path)
        return SL_SYSTEM;
    if (stat(path, &status) == 0)
        *mode = status.st_mode;
    else if (errno != ENOENT && errno != ENOTDIR && errno != ELOOP)
        rc = sl_fail(sl_io_open_status(errno), "%s: cannot examine it: %s", path, strerror(errno));
    free(path);
    return rc;
}

int sl_exists_in(const char *folder, const char *name, bool *exists)
{
    mode_t mode;
    const int rc = mode_of(folder, name, &mode);
    *exists = mode != 0;
    return rc;
}

int sl_holds_images(const char *folder, const struct dirent *entry, bool *holds)
{
    mode_t mode = DTTOIF(entry->d_type);
    int rc = SL_OK;
    if (entry->d_type == DT_UNKNOWN || entry->d_type == DT_LNK)
        rc = mode_of(folder, entry->d_name, &mode);
    *holds = S_ISDIR(mode) && !sl_folder_is_clutter(entry->d_name);
    return rc;
}
