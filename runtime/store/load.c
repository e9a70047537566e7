/* Finding the newest checkpoint that is whole. */
#include "runtime/store/load.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/base/file_io.h"
#include "runtime/store/run_folder.h"
#include "runtime/store/pointer.h"

/* A trainer may retire a checkpoint between listing and opening; then a newer one is there. */
enum { LISTINGS = 3, LINE_LENGTH = 1200 };

int sl_store_has_checkpoint(const char *run, bool *has)
{
    uint64_t *steps;
    size_t count;
    const int rc = sl_checkpoint_steps(run, &steps, &count);
    free(steps);
    *has = count > 0;
    return rc == SL_MISSING ? SL_OK : rc;
}

static int open_step(const char *run, uint64_t step, struct sl_checkpoint *checkpoint)
{
    int rc = SL_OK;
    char *folder = NULL;
    SL_TRY(sl_checkpoint_path(run, step, "", &folder));
    SL_TRY(sl_checkpoint_open(folder, checkpoint));
    if (checkpoint->step != step) {
        const uint64_t said = checkpoint->step;
        sl_checkpoint_close(checkpoint);
        SL_FAIL(SL_BAD_DATA, "%s: its manifest is that of step %" PRIu64, folder, said);
    }
out:
    free(folder);
    return rc;
}

/* What is damaged stays so; what cannot be read now may be read the next time. */
static bool refusal(int rc)
{
    return rc == SL_BAD_DATA || rc == SL_MISSING;
}

/* `rc` for one that cannot be read, with what to do. */
static int unreadable(int rc, uint64_t step)
{
    char detail[LINE_LENGTH];
    snprintf(detail, sizeof detail, "%s", sl_last_error());
    return sl_fail(rc, "%s; try again, or move ckpt-%" PRIu64 " away to do without it", detail, step);
}

/* The newest of these that verifies. `first` receives the reason why the newest one was refused. */
static int walk_back(const char *run, const uint64_t *steps, size_t count, sl_store_report_fn *report, void *self,
                     struct sl_checkpoint *checkpoint, char first[LINE_LENGTH])
{
    int rc = SL_BAD_DATA;
    for (size_t i = 0; i < count; i++) {
        char line[LINE_LENGTH];
        assert(i == 0 || steps[i] < steps[i - 1]);
        rc = open_step(run, steps[i], checkpoint);
        if (rc == SL_OK || !refusal(rc))
            return rc == SL_OK ? rc : unreadable(rc, steps[i]);
        snprintf(line, sizeof line, "checkpoint ckpt-%" PRIu64 " refused: %s", steps[i], sl_last_error());
        if (i == 0)
            strcpy(first, line);
        if (report)
            report(self, line);
    }
    return rc;
}

int sl_store_load(const char *run, sl_store_report_fn *report, void *self, struct sl_checkpoint *checkpoint)
{
    int rc = SL_OK;
    uint64_t *steps = NULL, newest = 0;
    size_t count = 0;
    char first[LINE_LENGTH] = "";
    memset(checkpoint, 0, sizeof *checkpoint);
    for (int listing = 0; listing < LISTINGS; listing++) {
        free(steps);
        SL_TRY(sl_checkpoint_steps(run, &steps, &count));
        if (count == 0)
            SL_FAIL(SL_MISSING, "%s: there is no checkpoint in this folder", run);
        if (listing > 0 && steps[0] == newest)
            break;
        newest = steps[0];
        rc = walk_back(run, steps, count, report, self, checkpoint, first);
        if (rc == SL_OK || !refusal(rc))
            goto out;
    }
    SL_FAIL(SL_BAD_DATA, "%s: none of the %zu checkpoints is whole; the newest: %s", run, count, first);
out:
    free(steps);
    return rc;
}

/* Moves the model out of a checkpoint and closes the rest. */
static int take_model(struct sl_checkpoint *checkpoint, struct sl_safetensors **model)
{
    int rc = SL_OK;
    for (size_t i = 0; i < checkpoint->file_count && !*model; i++)
        if (!strcmp(checkpoint->names[i], SL_MODEL_FILE)) {
            *model = checkpoint->files[i];
            checkpoint->files[i] = NULL;
        }
    if (!*model)
        rc = sl_fail(SL_BAD_DATA, "%s: the checkpoint has no " SL_MODEL_FILE, checkpoint->folder);
    sl_checkpoint_close(checkpoint);
    return rc;
}

/* The checkpoint that a pointer names. A trainer may give it another name and retire the old one meanwhile. */
static int open_named(const char *path, uint64_t step, struct sl_checkpoint *checkpoint)
{
    int rc = SL_OK;
    char *run = NULL;
    SL_TRY(sl_io_parent(path, &run));
    for (int reading = 1;; reading++) {
        const uint64_t named = step;
        rc = open_step(run, step, checkpoint);
        if (rc == SL_OK || reading == LISTINGS || !sl_store_pointer_read(path, &step) || step == named)
            break;
    }
    if (rc != SL_OK)
        sl_fail_prefix(rc, "%s", path);
out:
    free(run);
    return rc;
}

/* A checkpoint has a manifest, a run has not. */
static int open_folder(const char *path, sl_store_report_fn *report, void *self, struct sl_checkpoint *checkpoint)
{
    int rc = SL_OK;
    char *manifest = NULL;
    struct stat info;
    SL_TRY(sl_io_join(path, "manifest.json", &manifest));
    const int error = lstat(manifest, &info) ? errno : 0;
    if (error && error != ENOENT)
        SL_FAIL(sl_io_open_status(error), "%s: cannot examine it: %s", manifest, strerror(error));
    rc = error ? sl_store_load(path, report, self, checkpoint) : sl_checkpoint_open(path, checkpoint);
out:
    free(manifest);
    return rc;
}

int sl_store_open_model(const char *path, sl_store_report_fn *report, void *self, struct sl_safetensors **model)
{
    int rc = SL_OK;
    uint64_t step;
    struct stat info;
    struct sl_checkpoint checkpoint;
    *model = NULL;
    if (stat(path, &info))
        SL_FAIL(sl_io_open_status(errno), "%s: cannot open the model: %s", path, strerror(errno));
    if (S_ISDIR(info.st_mode))
        SL_TRY(open_folder(path, report, self, &checkpoint));
    else if (sl_store_pointer_read(path, &step))
        SL_TRY(open_named(path, step, &checkpoint));
    else
        return sl_safetensors_open(path, model);
    rc = take_model(&checkpoint, model);
out:
    return rc;
}
