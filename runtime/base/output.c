#include "runtime/base/output.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- folders ---- */

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

/* The folder that holds the path, to be freed; NULL: no memory, with the detail set. */
static char *folder_of(const char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    while (n > 0 && path[n - 1] != '/')
        n--;
    while (n > 1 && path[n - 1] == '/')
        n--;
    char *folder = n ? strndup(path, n) : strdup(".");
    if (!folder)
        sl_fail(SL_SYSTEM, "%s: no memory", path);
    return folder;
}

int sl_folder_create_all(const char *path)
{
    int rc = SL_OK;
    char *above = NULL;
    if (is_folder(path))
        goto out;
    if (!(above = folder_of(path)))
        SL_FAIL(SL_SYSTEM, "%s: no memory", path);
    if (strcmp(above, path))
        SL_TRY(sl_folder_create_all(above));
    SL_TRY(sl_folder_create(path));
out:
    free(above);
    return rc;
}

bool sl_is_clutter(const char *name)
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
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..") && !sl_is_clutter(entry->d_name))
            SL_FAIL(SL_CANNOT_CREATE, "%s: the folder is not empty (%s); remove it or choose another", path,
                    entry->d_name);
    if (errno)
        SL_FAIL(SL_CANNOT_CREATE, "%s: cannot read the folder: %s", path, strerror(errno));
out:
    if (stream)
        closedir(stream);
    return rc;
}

/* ---- outputs ---- */

struct sl_output {
    char *path, *temporary;
    int fd;
    bool committed;
};

int sl_output_open(const char *path, struct sl_output **output)
{
    int rc = SL_OK;
    struct sl_output *self = calloc(1, sizeof *self);
    *output = NULL;
    if (!self)
        SL_FAIL(SL_SYSTEM, "%s: no memory", path);
    self->fd = -1;
    self->path = strdup(path);
    if (!self->path || asprintf(&self->temporary, "%s.tmp", path) < 0) {
        self->temporary = NULL;
        SL_FAIL(SL_SYSTEM, "%s: no memory", path);
    }
    SL_TRY(sl_io_remove(self->temporary));
    SL_TRY(sl_io_create(self->temporary, &self->fd));
    *output = self;
    self = NULL;
out:
    sl_output_close(self);
    return rc;
}

int sl_output_write(struct sl_output *output, const void *bytes, size_t n)
{
    return sl_io_write(output->fd, output->path, bytes, n);
}

int sl_output_commit(struct sl_output *output)
{
    int rc = SL_OK;
    char *folder = folder_of(output->path);
    if (!folder)
        SL_FAIL(SL_SYSTEM, "%s: no memory", output->path);
    SL_TRY(sl_io_sync_close(&output->fd, output->path));
    SL_TRY(sl_io_rename(output->temporary, output->path));
    output->committed = true;
    SL_TRY(sl_io_sync_folder(folder));
out:
    free(folder);
    return rc;
}

void sl_output_close(struct sl_output *output)
{
    if (!output)
        return;
    if (output->fd >= 0)
        close(output->fd);
    if (output->temporary && !output->committed)
        unlink(output->temporary);
    free(output->temporary);
    free(output->path);
    free(output);
}
