/* The three acts of saving; the order of the steps is the whole point (see store.h). */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/base/file_io.h"
#include "runtime/base/folder.h"
#include "runtime/store/finite.h"
#include "runtime/store/manifest.h"
#include "runtime/store/retain.h"
#include "runtime/store/run_folder.h"
#include "runtime/store/store.h"

enum { DETAIL_LENGTH = 1024 };
#define TEMPORARY ".tmp"

/* The checkpoint is on the disk under its name; what fails from here on does not undo that. */
static void publish(struct sl_store *store, uint64_t step)
{
    store->published = step;
    sl_store_point(store, SL_LAST_GOOD, step);
    sl_store_trim(store);
}

/* ---- Begin ---- */

int sl_store_begin(struct sl_store *store, uint64_t step, bool *saved)
{
    int rc = SL_OK;
    char *folder = NULL;
    *saved = false;
    if (step > INT64_MAX)
        SL_FAIL(SL_INTERNAL, "a checkpoint of step %" PRIu64, step);
    sl_store_forget(store, step); /* the disk is asked, not the memory */
    SL_TRY(sl_store_examine(store, step, saved));
    if (*saved) {
        SL_TRY(sl_io_sync_folder(store->run));
        publish(store, step);
        goto out;
    }
    /* Room first: what an earlier run kept beyond `keep` may be what fills the disk. */
    (void)sl_store_retain(store);
    SL_TRY(sl_checkpoint_path(store->run, step, TEMPORARY, &folder));
    SL_TRY(sl_folder_remove(folder));
    SL_TRY(sl_io_make_folder(folder));
out:
    free(folder);
    return rc;
}

void sl_store_abandon(struct sl_store *store, uint64_t step)
{
    char detail[DETAIL_LENGTH], *folder = NULL;
    snprintf(detail, sizeof detail, "%s", sl_last_error());
    if (sl_checkpoint_path(store->run, step, TEMPORARY, &folder) == SL_OK)
        (void)sl_folder_remove(folder);
    free(folder);
    sl_fail(SL_OK, "%s", detail);
}

bool sl_store_make_room(struct sl_store *store, uint64_t step)
{
    char detail[DETAIL_LENGTH];
    uint64_t gone;
    snprintf(detail, sizeof detail, "%s", sl_last_error());
    const bool made = sl_store_retire_oldest(store, &gone) == SL_OK && gone != SL_NO_STEP;
    if (made)
        sl_tell(store->report, store->self,
                "warning: the disk is full: ckpt-%" PRIu64 " was removed to make room for ckpt-%" PRIu64, gone, step);
    if (made && gone == store->best)
        sl_store_keep_best(store, 0);
    sl_fail(SL_OK, "%s", detail);
    return made;
}

/* ---- Put ---- */

int sl_store_check_files(const struct sl_store_file *files, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!sl_manifest_name_valid(files[i].name))
            return sl_fail(SL_INTERNAL, "a checkpoint's file may not be called \"%s\"", files[i].name);
        for (size_t j = 0; j < i; j++)
            if (!strcmp(files[i].name, files[j].name))
                return sl_fail(SL_INTERNAL, "a checkpoint with two files called \"%s\"", files[i].name);
    }
    return sl_store_check_finite(files, count);
}

/* Writes it with its seal added to the caller's metadata. */
static int write_file(const char *folder, const struct sl_store_file *file, struct sl_store_entry *entry)
{
    int rc = SL_OK;
    char *path = NULL;
    const size_t count = file->metadata_count + 1;
    struct sl_text_pair *metadata = calloc(count, sizeof *metadata);
    *entry = (struct sl_store_entry){.bytes = 0};
    if (!metadata)
        SL_FAIL(SL_SYSTEM, "%s: out of memory", folder);
    if (file->metadata_count)
        memcpy(metadata, file->metadata, file->metadata_count * sizeof *metadata);
    metadata[count - 1] = (struct sl_text_pair){SL_SAFETENSORS_SEAL, ""};
    SL_TRY(sl_io_join(folder, file->name, &path));
    SL_TRY(sl_safetensors_write(path, file->tensors, file->tensor_count, metadata, count, &entry->bytes, &entry->hash));
    strcpy(entry->name, file->name);
out:
    free(metadata);
    free(path);
    return rc;
}

int sl_store_put(const char *run, uint64_t step, const struct sl_store_file *file, struct sl_store_entry *entry)
{
    int rc = SL_OK;
    char *folder = NULL;
    struct sl_safetensors *again;
    SL_TRY(sl_store_check_files(file, 1));
    SL_TRY(sl_checkpoint_path(run, step, TEMPORARY, &folder));
    SL_TRY(write_file(folder, file, entry));
    SL_TRY(sl_checkpoint_open_entry(folder, entry, &again));
    sl_safetensors_close(again);
out:
    free(folder);
    return rc;
}

/* ---- Commit ---- */

static bool ends(const char name[SL_STORE_NAME])
{
    return memchr(name, '\0', SL_STORE_NAME) != NULL;
}

/* They may come from other machines. */
static int check_entries(const struct sl_store_entry *entries, size_t count)
{
    if (count < 1 || count > SL_STORE_MAX_FILES)
        return sl_fail(SL_INTERNAL, "a checkpoint of %zu files", count);
    for (size_t i = 0; i < count; i++) {
        if (!ends(entries[i].name) || !sl_manifest_name_valid(entries[i].name))
            return sl_fail(SL_INTERNAL, "a checkpoint's file may not be called \"%.*s\"", SL_STORE_NAME,
                           entries[i].name);
        for (size_t j = 0; j < i; j++)
            if (!strcmp(entries[i].name, entries[j].name))
                return sl_fail(SL_INTERNAL, "a checkpoint with two files called \"%s\"", entries[i].name);
    }
    return SL_OK;
}

int sl_store_commit(struct sl_store *store, uint64_t step, const struct sl_store_entry *entries, size_t count)
{
    int rc = SL_OK;
    char *temporary = NULL, *folder = NULL;
    struct stat info;
    const struct sl_manifest manifest = {
        .step = step, .file_count = count, .files = (struct sl_store_entry *)(uintptr_t)entries};
    SL_TRY(check_entries(entries, count));
    SL_TRY(sl_checkpoint_path(store->run, step, "", &folder));
    SL_TRY(sl_checkpoint_path(store->run, step, TEMPORARY, &temporary));
    SL_TRY(sl_manifest_write(temporary, &manifest));
    SL_TRY(sl_io_sync_folder(temporary));
    SL_TRY(sl_checkpoint_check_entries(temporary, entries, count));
    if (lstat(folder, &info) == 0)
        SL_TRY(sl_store_retire(store, step)); /* it is damaged */
    SL_TRY(sl_io_rename(temporary, folder));
    SL_TRY(sl_io_sync_folder(store->run));
    SL_TRY(sl_store_remember(store, step));
    publish(store, step);
out:
    free(temporary);
    free(folder);
    return rc;
}
