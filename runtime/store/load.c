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
#include "runtime/store/gather.h"
#include "runtime/store/run_folder.h"
#include "runtime/store/pointer.h"

/* A trainer may retire a checkpoint between listing and opening; then a newer one is there. */
enum { LISTINGS = 3, LINE_LENGTH = 1200 };

/* Who needs a model only is like the first of any number of ranks. */
enum { MANY = SL_STORE_MAX_FILES };

/* Where to look, for whom, and whom to tell. */
struct search {
    const char *run;
    const struct sl_group *group;
    int rank, world; /* whose files of ranks to open */
    sl_tell_fn *report;
    void *self;
};

int sl_store_has_checkpoint(const char *run, bool *has)
{
    uint64_t *steps;
    size_t count;
    const int rc = sl_checkpoint_steps(run, &steps, &count);
    free(steps);
    *has = count > 0;
    return rc == SL_MISSING ? SL_OK : rc;
}

int sl_store_has_checkpoint_together(const struct sl_group *group, const char *run, bool *has)
{
    bool mine = false;
    const int rc = sl_group_settle(group, sl_group_rank(group) == 0 ? sl_store_has_checkpoint(run, &mine) : SL_OK);
    *has = false;
    return rc == SL_OK ? sl_store_any(group, mine, has) : rc;
}

static int open_step(const struct search *search, uint64_t step, struct sl_checkpoint *checkpoint)
{
    int rc = SL_OK;
    char *folder = NULL;
    SL_TRY(sl_checkpoint_path(search->run, step, "", &folder));
    SL_TRY(sl_checkpoint_open_for(folder, search->rank, search->world, checkpoint));
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
static int walk_back(const struct search *search, const uint64_t *steps, size_t count, struct sl_checkpoint *checkpoint,
                     char first[LINE_LENGTH])
{
    int rc = SL_BAD_DATA;
    for (size_t i = 0; i < count; i++) {
        char line[LINE_LENGTH];
        assert(i == 0 || steps[i] < steps[i - 1]);
        rc = sl_group_settle(search->group, open_step(search, steps[i], checkpoint));
        if (rc != SL_OK)
            sl_checkpoint_close(checkpoint);
        if (rc == SL_OK || !refusal(rc))
            return rc == SL_OK ? rc : unreadable(rc, steps[i]);
        snprintf(line, sizeof line, "checkpoint ckpt-%" PRIu64 " refused: %s", steps[i], sl_last_error());
        if (i == 0)
            strcpy(first, line);
        if (search->report && sl_group_rank(search->group) == 0)
            search->report(search->self, line);
    }
    return rc;
}

/* The list of rank 0, newest first. */
static int list_steps(const struct search *search, uint64_t **steps, size_t *count)
{
    int rc = SL_OK;
    uint64_t *mine = NULL;
    void *all = NULL;
    size_t n = 0, bytes = 0;
    if (sl_group_rank(search->group) == 0)
        rc = sl_checkpoint_steps(search->run, &mine, &n);
    SL_TRY(sl_group_settle(search->group, rc));
    SL_TRY(sl_store_gather(search->group, mine, n * sizeof *mine, &all, &bytes));
    *steps = all;
    *count = bytes / sizeof **steps;
out:
    free(mine);
    return rc;
}

static int find(const struct search *search, struct sl_checkpoint *checkpoint)
{
    int rc = SL_OK;
    uint64_t *steps = NULL, newest = 0;
    size_t count = 0;
    char first[LINE_LENGTH] = "";
    memset(checkpoint, 0, sizeof *checkpoint);
    for (int listing = 0; listing < LISTINGS; listing++) {
        free(steps);
        steps = NULL;
        SL_TRY(list_steps(search, &steps, &count));
        if (count == 0)
            SL_TRY(sl_group_settle(search->group,
                                   sl_fail(SL_MISSING, "%s: there is no checkpoint in this folder", search->run)));
        if (listing > 0 && steps[0] == newest)
            break;
        newest = steps[0];
        rc = walk_back(search, steps, count, checkpoint, first);
        if (rc == SL_OK || !refusal(rc))
            goto out;
    }
    rc = sl_group_settle(search->group, sl_fail(SL_BAD_DATA, "%s: none of the %zu checkpoints is whole; the newest: %s",
                                                search->run, count, first));
out:
    free(steps);
    return rc;
}

int sl_store_load_together(const struct sl_group *group, const char *run, sl_tell_fn *report, void *self,
                           struct sl_checkpoint *checkpoint)
{
    const struct search search = {run, group, sl_group_rank(group), sl_group_size(group), report, self};
    return find(&search, checkpoint);
}

int sl_store_load(const char *run, sl_tell_fn *report, void *self, struct sl_checkpoint *checkpoint)
{
    return sl_store_load_together(NULL, run, report, self, checkpoint);
}

/* ---- Models ---- */

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
    const struct search search = {.run = run, .world = MANY};
    for (int reading = 1;; reading++) {
        const uint64_t named = step;
        rc = open_step(&search, step, checkpoint);
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
static int open_folder(const char *path, sl_tell_fn *report, void *self, struct sl_checkpoint *checkpoint)
{
    int rc = SL_OK;
    char *manifest = NULL;
    struct stat info;
    SL_TRY(sl_io_join(path, "manifest.json", &manifest));
    const int error = lstat(manifest, &info) ? errno : 0;
    if (error && error != ENOENT)
        SL_FAIL(sl_io_open_status(error), "%s: cannot examine it: %s", manifest, strerror(error));
    const struct search search = {.run = path, .world = MANY, .report = report, .self = self};
    rc = error ? find(&search, checkpoint) : sl_checkpoint_open_for(path, 0, MANY, checkpoint);
out:
    free(manifest);
    return rc;
}

int sl_store_open_model(const char *path, sl_tell_fn *report, void *self, struct sl_safetensors **model)
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
