/* An open store: its folder and its lock, its listener and its best. */
#include "runtime/store/store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/base/file_io.h"
#include "runtime/store/lock.h"
#include "runtime/store/pointer.h"
#include "runtime/store/recognise.h"
#include "runtime/store/retain.h"
#include "runtime/store/run_folder.h"

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

void sl_store_listen(struct sl_store *store, sl_tell_fn *report, void *self)
{
    store->report = report;
    store->self = self;
    if (store->leftover)
        sl_tell(store->report, store->self, "warning: what a stopped run left cannot be removed: %s", store->leftover);
}

/* ---- What is told and does not fail ---- */

void sl_store_point(struct sl_store *store, const char *name, uint64_t step)
{
    if (sl_store_pointer_write(store->run, name, step) == SL_OK || store->pointer_failed)
        return;
    store->pointer_failed = true;
    sl_tell(store->report, store->self, "warning: ckpt-%" PRIu64 " is saved, but \"%s\" does not name it: %s", step,
            name, sl_last_error());
}

void sl_store_trim(struct sl_store *store)
{
    if (sl_store_retain(store) != SL_OK)
        sl_tell(store->report, store->self, "warning: older checkpoints cannot be removed: %s", sl_last_error());
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
        sl_tell(store->report, store->self, "warning: \"" SL_BEST "\" names no checkpoint: %s", sl_last_error());
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
    sl_store_point(store, SL_BEST, step);
    if (before != SL_NO_STEP && before != step)
        sl_store_trim(store);
    return true;
}
