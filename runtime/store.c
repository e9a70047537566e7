/* Writing checkpoints; the order of the steps is the whole point (see store.h). */
#include "runtime/store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/file_io.h"
#include "runtime/store_folder.h"
#include "runtime/store_manifest.h"

enum { DETAIL_LENGTH = 1024 };

struct sl_store {
    char *run;
    int lock, keep;
    uint64_t *verified; /* steps this process found whole, so that retention need not read them again */
    size_t verified_count;
};

/* ---- Opening ---- */

static int make_folders(const char *run)
{
    int rc = SL_OK;
    struct stat info;
    char *path = strdup(run);
    if (!path)
        SL_FAIL(SL_SYSTEM, "%s: out of memory", run);
    for (char *slash = path; *run && slash;) {
        slash = strchr(slash + 1, '/');
        if (slash)
            *slash = '\0';
        if (lstat(path, &info) && errno == ENOENT)
            SL_TRY(sl_io_make_folder(path));
        if (slash)
            *slash = '/';
    }
    if (stat(run, &info))
        SL_FAIL(SL_CANNOT_CREATE, "%s: cannot create the run folder: %s", run, strerror(errno));
    if (!S_ISDIR(info.st_mode))
        SL_FAIL(SL_CANNOT_CREATE, "%s: not a folder; choose another run folder", run);
out:
    free(path);
    return rc;
}

int sl_store_open(const char *run, int keep, struct sl_store **out_store)
{
    int rc = SL_OK;
    struct sl_store *store = calloc(1, sizeof *store);
    *out_store = NULL;
    if (!store)
        SL_FAIL(SL_SYSTEM, "%s: out of memory", run);
    store->lock = -1;
    store->keep = keep;
    if (keep < 1)
        SL_FAIL(SL_BAD_CONFIG, "%d checkpoints to keep: at least 1 is needed", keep);
    if (!(store->run = strdup(run)))
        SL_FAIL(SL_SYSTEM, "%s: out of memory", run);
    SL_TRY(make_folders(run));
    SL_TRY(sl_store_lock(run, &store->lock));
    SL_TRY(sl_checkpoint_sweep(run));
    *out_store = store;
    store = NULL;
out:
    sl_store_close(store);
    return rc;
}

void sl_store_close(struct sl_store *store)
{
    if (!store)
        return;
    sl_store_unlock(store->lock);
    free(store->verified);
    free(store->run);
    free(store);
}

/* ---- Retention ---- */

static int remember(struct sl_store *store, uint64_t step)
{
    uint64_t *more = realloc(store->verified, (store->verified_count + 1) * sizeof *more);
    if (!more)
        return sl_fail(SL_SYSTEM, "%s: out of memory", store->run);
    store->verified = more;
    store->verified[store->verified_count++] = step;
    return SL_OK;
}

static void forget(struct sl_store *store, uint64_t step)
{
    size_t left = 0;
    for (size_t i = 0; i < store->verified_count; i++)
        if (store->verified[i] != step)
            store->verified[left++] = store->verified[i];
    store->verified_count = left;
}

/* Is this checkpoint whole? *whole is the answer where there is one; SL_IO, SL_SYSTEM: it could not be read now. */
static int examine(struct sl_store *store, uint64_t step, bool *whole)
{
    int rc = SL_OK;
    char *folder = NULL;
    struct sl_checkpoint checkpoint;
    *whole = false;
    SL_TRY(sl_checkpoint_path(store->run, step, "", &folder));
    rc = sl_checkpoint_open(folder, &checkpoint);
    if (rc == SL_BAD_DATA || rc == SL_MISSING) {
        rc = SL_OK;
        goto out;
    }
    if (rc != SL_OK)
        goto out;
    *whole = checkpoint.step == step;
    sl_checkpoint_close(&checkpoint);
    if (*whole)
        rc = remember(store, step);
out:
    free(folder);
    return rc;
}

/* As far as this process knows or can see. */
static bool is_whole(struct sl_store *store, uint64_t step)
{
    bool whole = false;
    for (size_t i = 0; i < store->verified_count; i++)
        if (store->verified[i] == step)
            return true;
    return examine(store, step, &whole) == SL_OK && whole;
}

/* Renamed first: a half-removed folder must not look like a checkpoint. */
static int retire(struct sl_store *store, uint64_t step)
{
    int rc = SL_OK;
    char *folder = NULL, *retired = NULL;
    SL_TRY(sl_checkpoint_path(store->run, step, "", &folder));
    SL_TRY(sl_checkpoint_path(store->run, step, ".retired.tmp", &retired));
    SL_TRY(sl_io_remove_folder(retired));
    SL_TRY(sl_io_rename(folder, retired));
    forget(store, step);
    rc = sl_io_remove_folder(retired);
out:
    free(folder);
    free(retired);
    return rc;
}

/* Only what is older than `keep` whole ones goes. */
static int retain(struct sl_store *store)
{
    int rc = SL_OK, whole = 0;
    uint64_t *steps = NULL;
    size_t count = 0;
    SL_TRY(sl_checkpoint_steps(store->run, &steps, &count));
    for (size_t i = 0; i < count; i++)
        if (whole >= store->keep)
            SL_TRY(retire(store, steps[i]));
        else
            whole += is_whole(store, steps[i]);
out:
    free(steps);
    return rc;
}

/* ---- Saving ---- */

static int check_request(uint64_t step, const struct sl_store_file *files, size_t count)
{
    if (step > INT64_MAX || count < 1 || count > SL_MANIFEST_MAX_FILES)
        return sl_fail(SL_INTERNAL, "a checkpoint of step %" PRIu64 " and %zu files", step, count);
    for (size_t i = 0; i < count; i++) {
        if (!sl_manifest_name_valid(files[i].name))
            return sl_fail(SL_INTERNAL, "a checkpoint's file may not be called \"%s\"", files[i].name);
        for (size_t j = 0; j < i; j++)
            if (!strcmp(files[i].name, files[j].name))
                return sl_fail(SL_INTERNAL, "a checkpoint with two files called \"%s\"", files[i].name);
    }
    return sl_store_check_finite(files, count);
}

/* One file, with its seal added to the caller's metadata. */
static int write_file(const char *folder, const struct sl_store_file *file, struct sl_manifest_file *listed)
{
    int rc = SL_OK;
    char *path = NULL;
    const size_t count = file->metadata_count + 1;
    struct sl_text_pair *metadata = calloc(count, sizeof *metadata);
    if (!metadata)
        SL_FAIL(SL_SYSTEM, "%s: out of memory", folder);
    if (file->metadata_count)
        memcpy(metadata, file->metadata, file->metadata_count * sizeof *metadata);
    metadata[count - 1] = (struct sl_text_pair){SL_SAFETENSORS_SEAL, ""};
    SL_TRY(sl_io_join(folder, file->name, &path));
    SL_TRY(
        sl_safetensors_write(path, file->tensors, file->tensor_count, metadata, count, &listed->bytes, &listed->hash));
    strcpy(listed->name, file->name);
out:
    free(metadata);
    free(path);
    return rc;
}

/* Fills the temporary folder, syncs it, and reads it back. */
static int write_folder(const char *folder, uint64_t step, const struct sl_store_file *files, size_t count)
{
    int rc = SL_OK;
    struct sl_checkpoint checkpoint;
    struct sl_manifest manifest = {.step = step, .file_count = count, .files = calloc(count, sizeof *manifest.files)};
    if (!manifest.files)
        SL_FAIL(SL_SYSTEM, "%s: out of memory", folder);
    SL_TRY(sl_io_remove_folder(folder));
    SL_TRY(sl_io_make_folder(folder));
    for (size_t i = 0; i < count; i++)
        SL_TRY(write_file(folder, &files[i], &manifest.files[i]));
    SL_TRY(sl_manifest_write(folder, &manifest));
    SL_TRY(sl_io_sync_folder(folder));
    SL_TRY(sl_checkpoint_open(folder, &checkpoint));
    sl_checkpoint_close(&checkpoint);
out:
    sl_manifest_close(&manifest);
    return rc;
}

/* Keeps the error that led here. */
static void discard(const char *folder, int rc)
{
    char detail[DETAIL_LENGTH];
    snprintf(detail, sizeof detail, "%s", sl_last_error());
    if (sl_io_remove_folder(folder) != SL_OK || rc != SL_OK)
        sl_fail(rc, "%s", detail);
}

static int publish(struct sl_store *store, uint64_t step, const char *temporary, const char *folder)
{
    int rc = SL_OK;
    char text[64];
    char *pointer = NULL;
    struct stat info;
    if (lstat(folder, &info) == 0)
        SL_TRY(retire(store, step)); /* it is damaged */
    SL_TRY(sl_io_rename(temporary, folder));
    SL_TRY(sl_io_sync_folder(store->run));
    SL_TRY(remember(store, step));
    SL_TRY(sl_io_join(store->run, "last-good", &pointer));
    snprintf(text, sizeof text, "ckpt-%" PRIu64 "\n", step);
    SL_TRY(sl_store_replace(pointer, text, strlen(text)));
    rc = retain(store);
out:
    free(pointer);
    return rc;
}

int sl_store_save(struct sl_store *store, uint64_t step, const struct sl_store_file *files, size_t file_count)
{
    int rc = SL_OK;
    bool whole;
    char *temporary = NULL, *folder = NULL;
    SL_TRY(check_request(step, files, file_count));
    forget(store, step); /* the disk is asked, not the memory */
    SL_TRY(examine(store, step, &whole));
    if (whole)
        goto out;
    SL_TRY(sl_checkpoint_path(store->run, step, "", &folder));
    SL_TRY(sl_checkpoint_path(store->run, step, ".tmp", &temporary));
    rc = write_folder(temporary, step, files, file_count);
    if (rc == SL_OK)
        rc = publish(store, step, temporary, folder);
    if (rc != SL_OK)
        discard(temporary, rc);
out:
    free(temporary);
    free(folder);
    return rc;
}
