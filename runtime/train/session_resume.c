/* A checkpoint as a session again, by as many ranks as saved it or by others.
 *
 * Of P ranks that saved and P' that resume, rank i goes on from file i mod P: its live running statistics, its
 * updater's arrays and those of its hooks that are its own. Of what has to stay the same in sum or in mean it takes the
 * share of every rank j with j mod P' = i, in that order, and nothing from rank P on. So all it reads besides the model
 * and the updater are those files (sl_checkpoint_open_for), and together the ranks read each at least once.
 *
 * All that can be refused is found, on every rank, before anything changes on any. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/store/gather.h"
#include "runtime/store/model_weights.h"
#include "runtime/store/run_folder.h"
#include "runtime/train/session_files.h"
#include "runtime/train/session_identity.h"
#include "runtime/train/session_join.h"

/* What every rank's file says the same. */
struct common {
    uint64_t position[SL_POSITION_FIELDS];
    double loss_sum;
    uint64_t best_step;
    double best_accuracy;
    uint64_t world; /* 0: of a process that was alone */
};

/* What this rank goes on from. */
struct source {
    struct sl_session *session;
    const struct sl_checkpoint *checkpoint;
    int rank, world;
    int own; /* whose file is this rank's now */
    const struct sl_safetensors *model, *updater, *file;
    struct common common;
};

static const struct sl_safetensors *file_of(const struct sl_checkpoint *checkpoint, int then)
{
    char name[SL_STORE_NAME];
    sl_checkpoint_rank_name(then, name);
    return sl_checkpoint_file(checkpoint, name);
}

/* ---- Finding ---- */

static int read_array(const struct sl_safetensors *file, const char *name, enum sl_dtype dtype, int64_t n, void *to)
{
    const void *data = NULL;
    const int rc = sl_session_find(file, name, dtype, n, &data);
    if (rc == SL_OK)
        memcpy(to, data, (size_t)n * sl_dtype_bytes(dtype));
    return rc;
}

/* Older versions knew no best; who is alone says of no world. */
static int read_common(const struct sl_safetensors *file, struct common *common)
{
    int rc = SL_OK;
    *common = (struct common){.world = 0};
    SL_TRY(read_array(file, "position", SL_U64, SL_POSITION_FIELDS, common->position));
    SL_TRY(read_array(file, "loss_sum", SL_F64, 1, &common->loss_sum));
    if (sl_safetensors_find(file, "best_step")) {
        SL_TRY(read_array(file, "best_step", SL_U64, 1, &common->best_step));
        SL_TRY(read_array(file, "best_accuracy", SL_F64, 1, &common->best_accuracy));
    }
    if (sl_safetensors_find(file, "world"))
        SL_TRY(read_array(file, "world", SL_U64, 1, &common->world));
out:
    return rc;
}

static struct sl_position position_of(const struct common *common)
{
    const uint64_t *fields = common->position;
    return (struct sl_position){fields[0], fields[1], fields[2], fields[3], common->loss_sum};
}

/* Alone each batch is a step. In a group a step takes as many batches as there were ranks then, which is not known of
 * the steps before a resume: at least one batch a step, and at least one step for each epoch that was begun. */
static bool position_fits(const struct sl_position *p, uint64_t batches, uint64_t step, bool alone)
{
    uint64_t most;
    if (p->epoch > step)
        return false;
    if (alone)
        return p->epoch * batches + p->index == step;
    if (__builtin_mul_overflow(p->epoch, batches, &most) || __builtin_add_overflow(most, p->index, &most))
        most = UINT64_MAX;
    return p->epoch + (p->index > 0) <= step && step <= most;
}

/* The position belongs to the checkpoint's step, and to this data set's epochs. */
static int check_position(const struct source *source)
{
    const struct sl_position p = position_of(&source->common);
    const uint64_t step = source->checkpoint->step, batches = sl_loader_batches(source->session->train);
    if (p.iteration != step)
        return sl_fail(SL_BAD_DATA, "the position is after %" PRIu64 " steps, the checkpoint's name says %" PRIu64,
                       p.iteration, step);
    if (p.index > batches || p.samples > sl_loader_samples(source->session->train) || !isfinite(p.loss_sum))
        return sl_fail(SL_BAD_DATA, "the position is batch %" PRIu64 " of an epoch of %" PRIu64, p.index, batches);
    if (!position_fits(&p, batches, step, source->common.world == 0))
        return sl_fail(SL_BAD_DATA, "epoch %" PRIu64 ", batch %" PRIu64 " is not where %" PRIu64 " steps end", p.epoch,
                       p.index, step);
    return SL_OK;
}

static int check_world(const struct source *source)
{
    const uint64_t listed = (uint64_t)source->checkpoint->world, said = source->common.world ? source->common.world : 1;
    if (said != listed)
        return sl_fail(SL_BAD_DATA, "the file of rank %d says that %" PRIu64 " ranks saved, and there are files of %d",
                       source->own, said, source->checkpoint->world);
    return SL_OK;
}

/* Every array, in each file that this rank takes it from. */
static int find_arrays(const struct source *source, int then, const struct sl_safetensors *file)
{
    int rc = SL_OK;
    const void *data;
    char name[SL_ARRAY_NAME];
    const struct sl_session *session = source->session;
    for (size_t i = 0; i < session->array_count; i++) {
        const struct sl_session_array *a = &session->arrays[i];
        sl_array_name(a, name);
        if (a->join != SL_SESSION_OWN || then == source->own)
            SL_TRY(sl_session_find(file, name, a->dtype, a->n, &data));
    }
out:
    return rc;
}

/* The files of other ranks that this one takes over from: of the same run and moment as its own. */
static int examine_others(const struct source *source)
{
    int rc = SL_OK;
    struct common other;
    for (int then = 0; then < source->checkpoint->world; then++) {
        const struct sl_safetensors *file = file_of(source->checkpoint, then);
        if (!file)
            continue;
        SL_TRY(find_arrays(source, then, file));
        SL_TRY(sl_session_compare_ranks(source->file, source->own, file, then));
        SL_TRY(read_common(file, &other));
        if (memcmp(&other, &source->common, sizeof other))
            SL_FAIL(SL_BAD_DATA, "the files of rank %d and rank %d contradict each other: position, best or world",
                    source->own, then);
    }
out:
    return rc;
}

static int find_moments(const struct source *source, const void *moments[SL_UPDATER_SLOTS])
{
    int rc = SL_OK;
    char name[SL_ARRAY_NAME];
    const struct sl_session *session = source->session;
    for (int32_t i = 0; i < session->updater->slots; i++) {
        sl_moment_name(i, name);
        SL_TRY(sl_session_find(session->own_moments ? source->file : source->updater,
                               session->own_moments ? name : sl_updater_slot_name(i), SL_F32, session->weights->trained,
                               &moments[i]));
    }
out:
    return rc;
}

/* NULL: the checkpoint is of a process that was alone, and the model has them. */
static int find_statistics(const struct source *source, const void **statistics)
{
    *statistics = NULL;
    if (source->common.world == 0)
        return SL_OK;
    return sl_session_find(source->file, "statistics", SL_F32, source->session->weights->state, statistics);
}

/* What can be refused by this rank alone. */
static int examine(struct source *source, sl_tell_fn *report, void *self)
{
    int rc = SL_OK;
    const void *moments[SL_UPDATER_SLOTS], *statistics;
    const struct sl_checkpoint *checkpoint = source->checkpoint;
    source->own = checkpoint->world ? source->rank % checkpoint->world : 0;
    source->model = sl_checkpoint_file(checkpoint, SL_MODEL_FILE);
    source->updater = sl_checkpoint_file(checkpoint, SL_UPDATER_FILE);
    source->file = file_of(checkpoint, source->own);
    if (!source->model || !source->file)
        SL_FAIL(SL_BAD_DATA, "the checkpoint lacks its model, updater or rank file");
    SL_TRY(sl_session_compare(source->session, source->model, source->file, report, self));
    if (!source->updater && !source->session->own_moments)
        SL_FAIL(SL_BAD_DATA, "the checkpoint lacks its model, updater or rank file");
    SL_TRY(read_common(source->file, &source->common));
    SL_TRY(check_world(source));
    SL_TRY(check_position(source));
    SL_TRY(examine_others(source));
    SL_TRY(find_moments(source, moments));
    SL_TRY(find_statistics(source, &statistics));
out:
    if (rc != SL_OK)
        sl_fail_prefix(rc, "%s", checkpoint->folder);
    return rc;
}

/* Have all ranks found the same? */
static int compare_with_all(const struct source *source)
{
    int rc = SL_OK;
    size_t bytes;
    void *all = NULL;
    SL_TRY(sl_store_gather(source->session->options.group, &source->common, sizeof source->common, &all, &bytes));
    for (size_t i = 0; i < bytes / sizeof source->common; i++)
        if (memcmp((const struct common *)all + i, all, sizeof source->common))
            SL_FAIL(SL_BAD_DATA,
                    "%s: the files that rank 0 and rank %zu go on from contradict each other: position, best or world",
                    source->checkpoint->folder, i);
out:
    free(all);
    return rc;
}

/* ---- Taking over ---- */

static int take_weights(const struct source *source)
{
    int rc = SL_OK;
    const struct sl_session *session = source->session;
    const struct sl_device *device = &session->device;
    const struct sl_weights *weights = session->weights;
    const void *moments[SL_UPDATER_SLOTS], *statistics;
    SL_TRY(find_moments(source, moments));
    SL_TRY(find_statistics(source, &statistics));
    SL_TRY(sl_weights_load(session->weights, source->model));
    for (int32_t i = 0; i < session->updater->slots; i++)
        SL_TRY(device->copy(device->self, session->updater->state[i], moments[i],
                            (size_t)weights->trained * sizeof(float)));
    if (statistics)
        SL_TRY(device->copy(device->self, weights->statistics, statistics, (size_t)weights->state * sizeof(float)));
out:
    return rc;
}

static int take_arrays(const struct source *source)
{
    int rc = SL_OK;
    const struct sl_checkpoint *checkpoint = source->checkpoint;
    const struct sl_safetensors **heritage = calloc((size_t)checkpoint->world, sizeof *heritage);
    struct sl_session_heirs heirs = {&source->session->device, source->file, heritage, 0,
                                     checkpoint->world,        source->world};
    if (!heritage)
        SL_FAIL(SL_SYSTEM, "out of memory for the files of %d ranks", checkpoint->world);
    for (int then = source->rank; then < checkpoint->world; then += source->world)
        heritage[heirs.count++] = file_of(checkpoint, then);
    for (size_t i = 0; i < source->session->array_count; i++)
        SL_TRY(sl_session_join(&heirs, &source->session->arrays[i]));
out:
    free(heritage);
    return rc;
}

static int take_position(const struct source *source)
{
    struct sl_session *session = source->session;
    const struct common *common = &source->common;
    session->position = position_of(common);
    session->best = (struct sl_best){common->best_step, common->best_accuracy};
    session->batch = session->next = NULL;
    const struct sl_position *p = &session->position;
    if (p->index == sl_loader_batches(session->train)) /* the epoch is trained, and perhaps not validated */
        return sl_loader_seek(session->train, p->epoch + 1, 0);
    return sl_loader_seek(session->train, p->epoch, p->index);
}

static int take_over(const struct source *source)
{
    int rc = SL_OK;
    SL_TRY(take_weights(source));
    SL_TRY(take_arrays(source));
    SL_TRY(take_position(source));
out:
    if (rc != SL_OK)
        sl_fail_prefix(rc, "%s", source->checkpoint->folder);
    return rc;
}

static void tell_world(const struct source *source, sl_tell_fn *report, void *self)
{
    if (source->rank == 0 && source->checkpoint->world != source->world)
        sl_tell(report, self, "the checkpoint was made by %d ranks and goes on with %d", source->checkpoint->world,
                source->world);
}

int sl_session_resume(struct sl_session *session, const struct sl_checkpoint *checkpoint, sl_tell_fn *report,
                      void *self)
{
    int rc = SL_OK;
    const struct sl_group *group = session->options.group;
    struct source source = {
        .session = session, .checkpoint = checkpoint, .rank = sl_group_rank(group), .world = sl_group_size(group)};
    SL_TRY(sl_group_settle(group, examine(&source, report, self)));
    SL_TRY(sl_group_settle(group, compare_with_all(&source)));
    SL_TRY(sl_group_settle(group, take_over(&source)));
    tell_world(&source, report, self);
out:
    return rc;
}
