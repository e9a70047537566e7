#include "runtime/store_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/file_io.h"
#include "runtime/store_manifest.h"

#define PREFIX "ckpt-"

int sl_checkpoint_path(const char *run, uint64_t step, const char *suffix, char **path)
{
    if (asprintf(path, "%s/" PREFIX "%" PRIu64 "%s", run, step, suffix) >= 0)
        return SL_OK;
    *path = NULL;
    return sl_fail(SL_SYSTEM, "%s: out of memory for a path", run);
}

/* Is this name exactly what sl_checkpoint_path makes, and what for? */
static bool parse_name(const char *name, uint64_t *step)
{
    char again[64];
    if (sscanf(name, PREFIX "%" SCNu64, step) != 1)
        return false;
    snprintf(again, sizeof again, PREFIX "%" PRIu64, *step);
    return !strcmp(name, again);
}

static int newest_first(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x < y) - (x > y);
}

static int open_folder(const char *path, DIR **folder)
{
    *folder = opendir(path);
    if (*folder)
        return SL_OK;
    return sl_fail(sl_io_open_status(errno), "%s: cannot open the folder: %s", path, strerror(errno));
}

static bool is_folder(DIR *folder, const char *name)
{
    struct stat info;
    return fstatat(dirfd(folder), name, &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(info.st_mode);
}

int sl_checkpoint_steps(const char *run, uint64_t **steps, size_t *count)
{
    int rc = SL_OK;
    DIR *folder = NULL;
    const struct dirent *entry;
    size_t room = 0;
    *steps = NULL;
    *count = 0;
    SL_TRY(open_folder(run, &folder));
    while ((entry = readdir(folder))) {
        uint64_t step;
        if (!parse_name(entry->d_name, &step) || !is_folder(folder, entry->d_name))
            continue;
        if (*count == room) {
            room = room ? 2 * room : 16;
            uint64_t *more = realloc(*steps, room * sizeof **steps);
            if (!more)
                SL_FAIL(SL_SYSTEM, "%s: out of memory for a list of checkpoints", run);
            *steps = more;
        }
        (*steps)[(*count)++] = step;
    }
    if (*count)
        qsort(*steps, *count, sizeof **steps, newest_first);
out:
    if (folder)
        closedir(folder);
    if (rc != SL_OK) {
        free(*steps);
        *steps = NULL;
        *count = 0;
    }
    return rc;
}

/* Temporary names of the store and of sl_write_atomically. */
static bool is_leftover(const char *name)
{
    const size_t n = strlen(name);
    if (n < 4 || strcmp(name + n - 4, ".tmp"))
        return false;
    return !strncmp(name, PREFIX, strlen(PREFIX)) || !strncmp(name, "last-good.", 10) ||
           !strncmp(name, "config.json.", 12) || !strncmp(name, "metrics.csv.", 12);
}

int sl_checkpoint_sweep(const char *run)
{
    int rc = SL_OK;
    DIR *folder = NULL;
    const struct dirent *entry;
    SL_TRY(open_folder(run, &folder));
    while (rc == SL_OK && (entry = readdir(folder))) {
        char *path = NULL;
        if (!is_leftover(entry->d_name))
            continue;
        rc = sl_io_join(run, entry->d_name, &path);
        if (rc == SL_OK)
            rc = sl_io_remove_folder(path);
        free(path);
    }
out:
    if (folder)
        closedir(folder);
    return rc;
}

static int open_file(const char *folder, const struct sl_manifest_file *listed, struct sl_checkpoint *checkpoint)
{
    int rc = SL_OK;
    char *path = NULL;
    struct sl_safetensors *file = NULL;
    SL_TRY(sl_io_join(folder, listed->name, &path));
    SL_TRY(sl_safetensors_open_nofollow(path, &file));
    checkpoint->files[checkpoint->file_count] = file;
    if (!(checkpoint->names[checkpoint->file_count++] = strdup(listed->name)))
        SL_FAIL(SL_SYSTEM, "%s: out of memory", path);
    if (sl_safetensors_bytes(file) != listed->bytes)
        SL_FAIL(SL_BAD_DATA, "%s: %" PRIu64 " bytes where the manifest says %" PRIu64, path, sl_safetensors_bytes(file),
                listed->bytes);
    const uint64_t hash = sl_safetensors_hash(file);
    if (hash != listed->hash)
        SL_FAIL(SL_BAD_DATA, "%s: damaged: its hash is %016" PRIx64 ", the manifest says %016" PRIx64, path, hash,
                listed->hash);
out:
    free(path);
    return rc;
}

int sl_checkpoint_open(const char *folder, struct sl_checkpoint *checkpoint)
{
    int rc = SL_OK;
    struct sl_manifest manifest = {0};
    memset(checkpoint, 0, sizeof *checkpoint);
    SL_TRY(sl_manifest_read(folder, &manifest));
    checkpoint->step = manifest.step;
    checkpoint->folder = strdup(folder);
    checkpoint->names = calloc(manifest.file_count, sizeof *checkpoint->names);
    checkpoint->files = calloc(manifest.file_count, sizeof *checkpoint->files);
    if (!checkpoint->folder || !checkpoint->names || !checkpoint->files)
        SL_FAIL(SL_SYSTEM, "%s: out of memory", folder);
    for (size_t i = 0; i < manifest.file_count; i++)
        SL_TRY(open_file(folder, &manifest.files[i], checkpoint));
out:
    if (rc != SL_OK)
        sl_checkpoint_close(checkpoint);
    sl_manifest_close(&manifest);
    return rc;
}

void sl_checkpoint_close(struct sl_checkpoint *checkpoint)
{
    for (size_t i = 0; i < checkpoint->file_count; i++) {
        free(checkpoint->names[i]);
        sl_safetensors_close(checkpoint->files[i]);
    }
    free(checkpoint->names);
    free(checkpoint->files);
    free(checkpoint->folder);
    memset(checkpoint, 0, sizeof *checkpoint);
}

const struct sl_safetensors *sl_checkpoint_file(const struct sl_checkpoint *checkpoint, const char *name)
{
    for (size_t i = 0; i < checkpoint->file_count; i++)
        if (!strcmp(checkpoint->names[i], name))
            return checkpoint->files[i];
    return NULL;
}
