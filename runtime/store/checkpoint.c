#include "runtime/store/checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/file_io.h"
#include "runtime/store/manifest.h"

/* ---- The files of ranks ---- */

void sl_checkpoint_rank_name(int rank, char name[SL_STORE_NAME])
{
    snprintf(name, SL_STORE_NAME, "rank-%04d.safetensors", rank);
}

static bool is_rank_name(const char *name, int *rank)
{
    char again[SL_STORE_NAME];
    if (sscanf(name, "rank-%5d.", rank) != 1 || *rank < 0)
        return false;
    sl_checkpoint_rank_name(*rank, again);
    return !strcmp(name, again);
}

bool sl_checkpoint_inherits(int rank, int world, int then, int world_then)
{
    return world_then > world ? then % world == rank : then == rank % world_then;
}

/* Names are unique: n numbers below n are all of them. */
static int count_ranks(const struct sl_manifest *manifest, int *world)
{
    int rank, last = -1;
    *world = 0;
    for (size_t i = 0; i < manifest->file_count; i++)
        if (is_rank_name(manifest->files[i].name, &rank)) {
            last = rank > last ? rank : last;
            ++*world;
        }
    if (last >= *world)
        return sl_fail(SL_BAD_DATA, "its manifest lists the file of rank %d among only %d of ranks", last, *world);
    return SL_OK;
}

/* ---- Reading ---- */

int sl_checkpoint_open_entry(const char *folder, const struct sl_store_entry *entry, struct sl_safetensors **file)
{
    int rc = SL_OK;
    char *path = NULL;
    *file = NULL;
    SL_TRY(sl_io_join(folder, entry->name, &path));
    SL_TRY(sl_safetensors_open_nofollow(path, file));
    if (sl_safetensors_bytes(*file) != entry->bytes)
        SL_FAIL(SL_BAD_DATA, "%s: %" PRIu64 " bytes where the manifest says %" PRIu64, path,
                sl_safetensors_bytes(*file), entry->bytes);
    const uint64_t hash = sl_safetensors_hash(*file);
    if (hash != entry->hash)
        SL_FAIL(SL_BAD_DATA, "%s: damaged: its hash is %016" PRIx64 ", the manifest says %016" PRIx64, path, hash,
                entry->hash);
out:
    if (rc != SL_OK) {
        sl_safetensors_close(*file);
        *file = NULL;
    }
    free(path);
    return rc;
}

static int open_file(const struct sl_store_entry *entry, struct sl_checkpoint *checkpoint)
{
    int rc = SL_OK;
    struct sl_safetensors *file;
    SL_TRY(sl_checkpoint_open_entry(checkpoint->folder, entry, &file));
    checkpoint->files[checkpoint->file_count] = file;
    if (!(checkpoint->names[checkpoint->file_count++] = strdup(entry->name)))
        SL_FAIL(SL_SYSTEM, "%s: out of memory", checkpoint->folder);
out:
    return rc;
}

int sl_checkpoint_open_for(const char *folder, int rank, int world, struct sl_checkpoint *checkpoint)
{
    int rc = SL_OK, then;
    struct sl_manifest manifest = {0};
    memset(checkpoint, 0, sizeof *checkpoint);
    SL_TRY(sl_manifest_read(folder, &manifest));
    checkpoint->step = manifest.step;
    checkpoint->folder = strdup(folder);
    checkpoint->names = calloc(manifest.file_count, sizeof *checkpoint->names);
    checkpoint->files = calloc(manifest.file_count, sizeof *checkpoint->files);
    if (!checkpoint->folder || !checkpoint->names || !checkpoint->files)
        SL_FAIL(SL_SYSTEM, "%s: out of memory", folder);
    if ((rc = count_ranks(&manifest, &checkpoint->world)) != SL_OK) {
        sl_fail_prefix(rc, "%s", folder);
        goto out;
    }
    for (size_t i = 0; i < manifest.file_count; i++)
        if (!is_rank_name(manifest.files[i].name, &then) ||
            sl_checkpoint_inherits(rank, world, then, checkpoint->world))
            SL_TRY(open_file(&manifest.files[i], checkpoint));
out:
    if (rc != SL_OK)
        sl_checkpoint_close(checkpoint);
    sl_manifest_close(&manifest);
    return rc;
}

int sl_checkpoint_open(const char *folder, struct sl_checkpoint *checkpoint)
{
    return sl_checkpoint_open_for(folder, 0, 1, checkpoint);
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

/* ---- Checking what was written ---- */

/* Opened, not only examined: a file system of several machines then asks where the file is, and no cache. */
static int check_size(const char *folder, const struct sl_store_entry *entry)
{
    int rc = SL_OK, fd = -1;
    char *path = NULL;
    struct stat info;
    SL_TRY(sl_io_join(folder, entry->name, &path));
    int error = sl_io_fault("open", path);
    if (!error && (fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)) < 0)
        error = errno;
    if (!error && fstat(fd, &info))
        error = errno;
    if (error)
        SL_FAIL(sl_io_open_status(error), "%s: cannot open it: %s", path, strerror(error));
    if (!S_ISREG(info.st_mode) || (uint64_t)info.st_size != entry->bytes)
        SL_FAIL(SL_BAD_DATA, "%s: not a file of %" PRIu64 " bytes, as which it was written", path, entry->bytes);
out:
    if (fd >= 0)
        close(fd);
    free(path);
    return rc;
}

static bool same_entry(const struct sl_store_entry *a, const struct sl_store_entry *b)
{
    return !strcmp(a->name, b->name) && a->bytes == b->bytes && a->hash == b->hash;
}

int sl_checkpoint_check_entries(const char *folder, const struct sl_store_entry *entries, size_t count)
{
    int rc = SL_OK;
    struct sl_manifest manifest = {0};
    SL_TRY(sl_manifest_read(folder, &manifest));
    bool same = manifest.file_count == count;
    for (size_t i = 0; same && i < count; i++)
        same = same_entry(&manifest.files[i], &entries[i]);
    if (!same)
        SL_FAIL(SL_BAD_DATA, "%s: its manifest is not what was written", folder);
    for (size_t i = 0; i < count; i++)
        SL_TRY(check_size(folder, &entries[i]));
out:
    sl_manifest_close(&manifest);
    return rc;
}
