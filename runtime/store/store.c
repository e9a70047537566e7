/* Writing checkpoints; the order of the steps is the whole point (see store.h). */
#include "runtime/store/store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/base/file_io.h"
#include "runtime/base/folder.h"
#include "runtime/store/finite.h"
#include "runtime/store/lock.h"
#include "runtime/store/manifest.h"
#include "runtime/store/pointer.h"
#include "runtime/store/recognise.h"
#include "runtime/store/retain.h"
#include "runtime/store/run_folder.h"

enum { DETAIL_LENGTH = 1024 };

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
    store->best = store->published = SL_NO_STEP;
    if (keep < 1)
        SL_FAIL(SL_BAD_CONFIG, "%d checkpoints to keep; it must be at least 1", keep);
    if (!(store->run = strdup(run)))
        SL_FAIL(SL_SYSTEM, "%s: out of memory", run);
    SL_TRY(make_folders(run));
    SL_TRY(sl_store_recognise(run));
    SL_TRY(sl_store_lock(run, &store->lock));
    SL_TRY(sl_checkpoint_sweep(run, &store->leftover));
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
    free(store->leftover);
    free(store->run);
    free(store);
}

/* Tells the listener, if there is one. */
__attribute__((format(printf, 2, 3))) static void tell(struct sl_store *store, const char *format, ...)
{
    char line[DETAIL_LENGTH];
    va_list arguments;
    if (!store->report)
        return;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    store->report(store->self, line);
}

void sl_store_listen(struct sl_store *store, sl_store_report_fn *report, void *self)
{
    store->report = report;
    store->self = self;
    if (store->leftover)
        tell(store, "warning: what a stopped run left cannot be removed: %s", store->leftover);
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
    SL_TRY(sl_folder_remove(folder));
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
    if (sl_folder_remove(folder) != SL_OK || rc != SL_OK)
        sl_fail(rc, "%s", detail);
}

/* Writes the checkpoint and gives it its name. */
static int write_checkpoint(struct sl_store *store, uint64_t step, const struct sl_store_file *files, size_t count)
{
    int rc = SL_OK;
    char *temporary = NULL, *folder = NULL;
    struct stat info;
    SL_TRY(sl_checkpoint_path(store->run, step, "", &folder));
    SL_TRY(sl_checkpoint_path(store->run, step, ".tmp", &temporary));
    rc = write_folder(temporary, step, files, count);
    if (rc == SL_OK && lstat(folder, &info) == 0)
        rc = sl_store_retire(store, step); /* it is damaged */
    if (rc == SL_OK)
        rc = sl_io_rename(temporary, folder);
    if (rc != SL_OK)
        discard(temporary, rc);
out:
    free(temporary);
    free(folder);
    return rc;
}

static bool disk_full(int rc, int error)
{
    return rc == SL_CANNOT_CREATE && (error == ENOSPC || error == EDQUOT);
}

/* A second try where the disk was full and an old checkpoint could go. The first error stands if none can. */
static int write_or_make_room(struct sl_store *store, uint64_t step, const struct sl_store_file *files, size_t count)
{
    char detail[DETAIL_LENGTH];
    uint64_t gone;
    sl_io_clear_error();
    const int rc = write_checkpoint(store, step, files, count);
    if (!disk_full(rc, sl_io_last_error()))
        return rc;
    snprintf(detail, sizeof detail, "%s", sl_last_error());
    if (sl_store_make_room(store, &gone) != SL_OK || gone == SL_NO_STEP)
        return sl_fail(rc, "%s", detail);
    tell(store, "warning: the disk is full: ckpt-%" PRIu64 " was removed to make room for ckpt-%" PRIu64, gone, step);
    if (gone == store->best)
        sl_store_keep_best(store, 0);
    return write_checkpoint(store, step, files, count);
}

/* A pointer that cannot be written is told once. */
static void point(struct sl_store *store, const char *name, uint64_t step)
{
    if (sl_store_pointer_write(store->run, name, step) == SL_OK || store->pointer_failed)
        return;
    store->pointer_failed = true;
    tell(store, "warning: ckpt-%" PRIu64 " is saved, but \"%s\" does not name it: %s", step, name, sl_last_error());
}

static void retain(struct sl_store *store)
{
    if (sl_store_retain(store) != SL_OK)
        tell(store, "warning: older checkpoints cannot be removed: %s", sl_last_error());
}

int sl_store_save(struct sl_store *store, uint64_t step, const struct sl_store_file *files, size_t file_count)
{
    int rc = SL_OK;
    bool whole;
    SL_TRY(check_request(step, files, file_count));
    sl_store_forget(store, step); /* the disk is asked, not the memory */
    SL_TRY(sl_store_examine(store, step, &whole));
    if (!whole) {
        /* Room first: what an earlier run kept beyond `keep` may be what fills the disk. */
        (void)sl_store_retain(store);
        SL_TRY(write_or_make_room(store, step, files, file_count));
    }
    SL_TRY(sl_io_sync_folder(store->run));
    if (!whole)
        SL_TRY(sl_store_remember(store, step));
    /* The checkpoint is safe; what fails from here on does not undo that. */
    store->published = step;
    point(store, SL_LAST_GOOD, step);
    retain(store);
out:
    return rc;
}

void sl_store_trim(struct sl_store *store)
{
    retain(store);
}

/* ---- The best ---- */

/* What else stands under that name is not ours to remove. */
static void drop_best(struct sl_store *store)
{
    char *path = NULL;
    uint64_t named;
    store->best = SL_NO_STEP;
    if (sl_io_join(store->run, SL_BEST, &path) == SL_OK && sl_store_pointer_read(path, &named) &&
        sl_io_remove(path) != SL_OK)
        tell(store, "warning: \"" SL_BEST "\" names no checkpoint: %s", sl_last_error());
    free(path);
}

/* Only what is known to be missing is: a question that fails has no answer. */
static bool missing(struct sl_store *store, uint64_t step)
{
    struct stat info;
    char *folder = NULL;
    const bool gone =
        sl_checkpoint_path(store->run, step, "", &folder) == SL_OK && lstat(folder, &info) && errno == ENOENT;
    free(folder);
    return gone;
}

bool sl_store_keep_best(struct sl_store *store, uint64_t step)
{
    const uint64_t before = store->best;
    if (step == 0 || missing(store, step)) {
        drop_best(store);
        return false;
    }
    store->best = step;
    point(store, SL_BEST, step);
    if (before != SL_NO_STEP && before != step)
        retain(store);
    return true;
}
