/* The three acts in a row, by all ranks together or by one alone. Each act is settled before the next begins: no rank
 * writes where the folder is not made, and none of it gets a name before all have written. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/file_io.h"
#include "runtime/store/gather.h"
#include "runtime/store/retain.h"
#include "runtime/store/store.h"

struct saving {
    const struct sl_group *group;
    struct sl_store *store; /* of rank 0 */
    uint64_t step;
    const struct sl_store_file *files;
    size_t count;
    bool full; /* this rank met a full disk */
};

/* Settles what this rank did; a full disk is noted before the messages of the others come. */
static int settle(struct saving *saving, int rc)
{
    const int error = sl_io_last_error();
    saving->full |= rc == SL_CANNOT_CREATE && (error == ENOSPC || error == EDQUOT);
    return sl_group_settle(saving->group, rc);
}

/* *run, to be freed, is where to put files; NULL: the step is saved already. */
static int begin(struct saving *saving, char **run)
{
    int rc = SL_OK;
    bool saved = false;
    size_t n = 0;
    void *text = NULL;
    struct sl_store *store = saving->store;
    SL_TRY(settle(saving, store ? sl_store_begin(store, saving->step, &saved) : SL_OK));
    const bool tells = store && !saved;
    SL_TRY(sl_store_gather(saving->group, tells ? store->run : "", tells ? strlen(store->run) : 0, &text, &n));
    if (n > 0) {
        *run = text;
        text = NULL;
    }
out:
    free(text);
    return rc;
}

/* *entries, to be freed, are those of all ranks. */
static int put(struct saving *saving, const char *run, struct sl_store_entry **entries, size_t *count)
{
    int rc = SL_OK;
    size_t bytes;
    void *all = NULL;
    struct sl_store_entry *mine = calloc(saving->count + 1, sizeof *mine);
    if (!mine)
        rc = sl_fail(SL_SYSTEM, "%s: out of memory", run);
    for (size_t i = 0; rc == SL_OK && i < saving->count; i++)
        rc = sl_store_put(run, saving->step, &saving->files[i], &mine[i]);
    SL_TRY(settle(saving, rc));
    SL_TRY(sl_store_gather(saving->group, mine, saving->count * sizeof *mine, &all, &bytes));
    *entries = all;
    *count = bytes / sizeof *mine;
out:
    free(mine);
    return rc;
}

static int save_once(struct saving *saving)
{
    int rc = SL_OK;
    char *run = NULL;
    size_t count = 0;
    struct sl_store_entry *entries = NULL;
    struct sl_store *store = saving->store;
    sl_io_clear_error();
    saving->full = false;
    SL_TRY(begin(saving, &run));
    if (!run)
        goto out;
    SL_TRY(put(saving, run, &entries, &count));
    SL_TRY(settle(saving, store ? sl_store_commit(store, saving->step, entries, count) : SL_OK));
out:
    if (rc != SL_OK && store)
        sl_store_abandon(store, saving->step);
    free(entries);
    free(run);
    return rc;
}

/* Was the disk full for any rank, and could rank 0 make room? */
static int make_room(struct saving *saving, bool *made)
{
    int rc = SL_OK;
    bool full;
    *made = false;
    SL_TRY(sl_store_any(saving->group, saving->full, &full));
    if (full)
        SL_TRY(sl_store_any(saving->group, saving->store && sl_store_make_room(saving->store, saving->step), made));
out:
    return rc;
}

int sl_store_save_together(const struct sl_group *group, struct sl_store *store, uint64_t step,
                           const struct sl_store_file *files, size_t file_count)
{
    int rc = SL_OK;
    bool made;
    struct saving saving = {group, store, step, files, file_count, false};
    SL_TRY(sl_group_settle(group, sl_store_check_files(files, file_count)));
    const int first = save_once(&saving);
    if (first == SL_OK)
        goto out;
    SL_TRY(make_room(&saving, &made));
    rc = made ? save_once(&saving) : first;
out:
    return rc;
}

int sl_store_save(struct sl_store *store, uint64_t step, const struct sl_store_file *files, size_t file_count)
{
    return sl_store_save_together(NULL, store, step, files, file_count);
}
