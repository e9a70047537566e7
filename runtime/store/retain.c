/* Which checkpoints go, and when. */
#include "runtime/store/retain.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/file_io.h"
#include "runtime/base/folder.h"
#include "runtime/store/run_folder.h"

/* ---- What is whole ---- */

int sl_store_remember(struct sl_store *store, uint64_t step)
{
    assert(step != SL_NO_STEP);
    uint64_t *more = realloc(store->verified, (store->verified_count + 1) * sizeof *more);
    if (!more)
        return sl_fail(SL_SYSTEM, "%s: out of memory", store->run);
    store->verified = more;
    store->verified[store->verified_count++] = step;
    return SL_OK;
}

void sl_store_forget(struct sl_store *store, uint64_t step)
{
    size_t left = 0;
    for (size_t i = 0; i < store->verified_count; i++)
        if (store->verified[i] != step)
            store->verified[left++] = store->verified[i];
    store->verified_count = left;
}

int sl_store_examine(struct sl_store *store, uint64_t step, bool *whole)
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
        rc = sl_store_remember(store, step);
out:
    free(folder);
    return rc;
}

enum state { DAMAGED, WHOLE, UNREADABLE };

/* As far as this process knows or can see. */
static enum state state_of(struct sl_store *store, uint64_t step)
{
    bool whole = false;
    for (size_t i = 0; i < store->verified_count; i++)
        if (store->verified[i] == step)
            return WHOLE;
    if (sl_store_examine(store, step, &whole) != SL_OK)
        return UNREADABLE;
    return whole ? WHOLE : DAMAGED;
}

/* ---- What goes ---- */

/* Renamed first: a half-removed folder must not look like a checkpoint. */
int sl_store_retire(struct sl_store *store, uint64_t step)
{
    int rc = SL_OK;
    char *folder = NULL, *retired = NULL;
    SL_TRY(sl_checkpoint_path(store->run, step, "", &folder));
    SL_TRY(sl_checkpoint_path(store->run, step, ".retired.tmp", &retired));
    SL_TRY(sl_folder_remove(retired));
    SL_TRY(sl_io_rename(folder, retired));
    sl_store_forget(store, step);
    rc = sl_folder_remove(retired);
out:
    free(folder);
    free(retired);
    return rc;
}

int sl_store_retain(struct sl_store *store)
{
    int rc = SL_OK, whole = 0;
    uint64_t *steps = NULL;
    size_t count = 0;
    SL_TRY(sl_checkpoint_steps(store->run, &steps, &count));
    for (size_t i = 0; i < count; i++)
        if (whole < store->keep)
            whole += state_of(store, steps[i]) == WHOLE;
        else if (steps[i] != store->published && steps[i] != store->best)
            SL_TRY(sl_store_retire(store, steps[i]));
out:
    free(steps);
    return rc;
}

static uint64_t newest_whole(struct sl_store *store, const uint64_t *steps, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (state_of(store, steps[i]) == WHOLE)
            return steps[i];
    return SL_NO_STEP;
}

/* The oldest that may go while `newest` stays; SL_NO_STEP: none. */
static uint64_t dispensable(struct sl_store *store, const uint64_t *steps, size_t count, uint64_t newest,
                            bool spare_best)
{
    for (size_t i = count; i-- > 0;)
        if (steps[i] != newest && !(spare_best && steps[i] == store->best) && state_of(store, steps[i]) != UNREADABLE)
            return steps[i];
    return SL_NO_STEP;
}

int sl_store_retire_oldest(struct sl_store *store, uint64_t *step)
{
    int rc = SL_OK;
    uint64_t *steps = NULL;
    size_t count = 0;
    *step = SL_NO_STEP;
    SL_TRY(sl_checkpoint_steps(store->run, &steps, &count));
    const uint64_t newest = newest_whole(store, steps, count);
    if (newest == SL_NO_STEP)
        goto out;
    uint64_t oldest = dispensable(store, steps, count, newest, true);
    if (oldest == SL_NO_STEP)
        oldest = dispensable(store, steps, count, newest, false);
    if (oldest == SL_NO_STEP)
        goto out;
    SL_TRY(sl_store_retire(store, oldest));
    *step = oldest;
out:
    free(steps);
    return rc;
}
