/* A session as a checkpoint; session_resume.c is the way back.
 *   model.safetensors      every parameter by name; the model's description in the metadata
 *   updater.safetensors    the updater's arrays over the flat parameters, unless each rank has its own
 *   rank-NNNN.safetensors  of each rank: the position, the best step so far, and what must not change when resuming
 * A rank of a group adds to its file how many they are ("world"), its live running statistics, the arrays of its hooks
 * ("exchange.NAME") and, where the ranks' updaters go different ways, its updater's ("updater.NAME"). The statistics in
 * the model are the mean over the ranks, so that the model alone is what was validated.
 *
 * Rank 0 writes the model and the updater, each rank its own file, all at once (store.h). What is the same everywhere
 * stands in every rank's file, so that a rank needs no other's to resume, and contradictions show. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/device/host_copy.h"
#include "runtime/plan/choose.h"
#include "runtime/store/model_json.h"
#include "runtime/store/model_weights.h"
#include "runtime/store/run_folder.h"
#include "runtime/train/session_files.h"
#include "runtime/train/session_identity.h"
#include "runtime/train/session_rows.h"
#include "runtime/train/statistics.h"

enum { COMMON_TENSORS = 6, FILES = 3, RANK_METADATA = SL_IDENTITY_KEYS + 1 };

/* One-dimensional tensors in the host's memory, some of them copies. */
struct image {
    size_t count, room;
    struct sl_named_tensor *tensors;
    char (*names)[SL_ARRAY_NAME];
    void **owned;
};

static int image_open(struct image *image, size_t room)
{
    *image = (struct image){0, room, calloc(room, sizeof *image->tensors), calloc(room, sizeof *image->names),
                            calloc(room, sizeof *image->owned)};
    if (!image->tensors || !image->names || !image->owned)
        return sl_fail(SL_SYSTEM, "out of memory for %zu arrays of a checkpoint", room);
    return SL_OK;
}

static void image_close(struct image *image)
{
    for (size_t i = 0; i < image->count; i++)
        free(image->owned[i]);
    free(image->tensors);
    free(image->names);
    free(image->owned);
}

static void add(struct image *image, const char *name, enum sl_dtype dtype, int64_t n, const void *data)
{
    const size_t i = image->count++;
    assert(i < image->room && strlen(name) < SL_ARRAY_NAME);
    strcpy(image->names[i], name);
    image->tensors[i] = (struct sl_named_tensor){image->names[i], dtype, 1, {n}, data};
}

static int add_of_device(struct image *image, const char *name, enum sl_dtype dtype, int64_t n,
                         const struct sl_device *device, const void *at)
{
    const size_t i = image->count;
    add(image, name, dtype, n, NULL);
    return sl_host_copy(device, at, (size_t)n * sl_dtype_bytes(dtype), &image->tensors[i].data, &image->owned[i]);
}

/* What this rank writes, and what it is made of. */
struct saved {
    struct sl_store_file files[FILES];
    size_t file_count;
    struct sl_weights_image weights;
    float *statistics; /* the mean; NULL: alone */
    char *description;
    struct sl_text_pair metadata; /* of the model */
    struct image updater, rank;
    struct sl_identity identity;
    char *rows; /* of the plans */
    struct sl_text_pair rank_metadata[RANK_METADATA];
    char rank_name[SL_STORE_NAME];
    uint64_t position[SL_POSITION_FIELDS], world;
};

static void saved_close(struct saved *saved)
{
    image_close(&saved->updater);
    image_close(&saved->rank);
    sl_weights_image_close(&saved->weights);
    free(saved->statistics);
    free(saved->description);
    free(saved->rows);
}

static int fill_updater(const struct sl_session *session, struct saved *saved)
{
    int rc = SL_OK;
    char name[SL_ARRAY_NAME];
    for (int32_t i = 0; i < session->updater->slots; i++) {
        if (session->own_moments)
            sl_moment_name(i, name);
        else
            strcpy(name, sl_updater_slot_name(i));
        SL_TRY(add_of_device(session->own_moments ? &saved->rank : &saved->updater, name, SL_F32,
                             session->weights->trained, &session->device, session->updater->state[i]));
    }
out:
    return rc;
}

static int fill_arrays(const struct sl_session *session, struct saved *saved)
{
    int rc = SL_OK;
    char name[SL_ARRAY_NAME];
    for (size_t i = 0; i < session->array_count; i++) {
        const struct sl_session_array *a = &session->arrays[i];
        sl_array_name(a, name);
        if (a->on_device)
            SL_TRY(add_of_device(&saved->rank, name, a->dtype, a->n, &session->device, a->at));
        else
            add(&saved->rank, name, a->dtype, a->n, a->at);
    }
out:
    return rc;
}

static void fill_position(const struct sl_session *session, struct saved *saved)
{
    const struct sl_position *p = &session->position;
    const uint64_t position[SL_POSITION_FIELDS] = {p->epoch, p->index, p->iteration, p->samples};
    memcpy(saved->position, position, sizeof position);
    add(&saved->rank, "position", SL_U64, SL_POSITION_FIELDS, saved->position);
    add(&saved->rank, "loss_sum", SL_F64, 1, &p->loss_sum);
    add(&saved->rank, "best_step", SL_U64, 1, &session->best.step);
    add(&saved->rank, "best_accuracy", SL_F64, 1, &session->best.accuracy);
}

/* To become the mean. */
static int copy_statistics(const struct sl_weights *weights, struct saved *saved)
{
    const size_t bytes = (size_t)weights->state * sizeof *saved->statistics;
    const void *live = saved->rank.tensors[saved->rank.count - 1].data;
    if (!(saved->statistics = malloc(bytes + 1)))
        return sl_fail(SL_SYSTEM, "out of memory for the mean of the running statistics");
    memcpy(saved->statistics, live, bytes);
    return SL_OK;
}

/* The file of this rank, and room for the updater's arrays. */
static int fill_rank(const struct sl_session *session, struct saved *saved)
{
    int rc = SL_OK;
    const struct sl_weights *weights = session->weights;
    SL_TRY(image_open(&saved->updater, SL_UPDATER_SLOTS));
    SL_TRY(image_open(&saved->rank, COMMON_TENSORS + SL_UPDATER_SLOTS + session->array_count));
    fill_position(session, saved);
    if (session->options.group) {
        saved->world = (uint64_t)session->options.group->size;
        add(&saved->rank, "world", SL_U64, 1, &saved->world);
        SL_TRY(
            add_of_device(&saved->rank, "statistics", SL_F32, weights->state, &session->device, weights->statistics));
        SL_TRY(copy_statistics(weights, saved));
    }
    SL_TRY(fill_updater(session, saved));
    SL_TRY(fill_arrays(session, saved));
    sl_session_identify(session, &saved->identity);
    SL_TRY(sl_choose_record(session->rows.policy, session->training, session->inference, &saved->rows));
out:
    return rc;
}

static int fill_model(const struct sl_session *session, struct saved *saved)
{
    int rc = SL_OK;
    if (sl_group_rank(session->options.group) > 0)
        goto out;
    SL_TRY(sl_weights_image_open(session->weights, &saved->weights));
    SL_TRY(sl_model_to_json(&session->model, &saved->description));
    saved->metadata = (struct sl_text_pair){SL_MODEL_METADATA, saved->description};
    if (saved->statistics)
        sl_weights_image_statistics(&saved->weights, session->weights, saved->statistics);
out:
    return rc;
}

static void list_files(const struct sl_session *session, struct saved *saved)
{
    const int rank = sl_group_rank(session->options.group);
    const struct sl_identity *identity = &saved->identity;
    struct sl_store_file *next = saved->files;
    if (rank == 0)
        *next++ =
            (struct sl_store_file){SL_MODEL_FILE, saved->weights.tensors, saved->weights.count, &saved->metadata, 1};
    if (rank == 0 && !session->own_moments)
        *next++ = (struct sl_store_file){SL_UPDATER_FILE, saved->updater.tensors, saved->updater.count, NULL, 0};
    sl_checkpoint_rank_name(rank, saved->rank_name);
    const size_t pairs = SL_IDENTITY_KEYS - identity->written;
    memcpy(saved->rank_metadata, identity->pairs + identity->written, pairs * sizeof *identity->pairs);
    saved->rank_metadata[pairs] = (struct sl_text_pair){SL_ROWS_METADATA, saved->rows};
    *next++ = (struct sl_store_file){saved->rank_name, saved->rank.tensors, saved->rank.count, saved->rank_metadata,
                                     pairs + 1};
    saved->file_count = (size_t)(next - saved->files);
}

static int check_world(const struct sl_group *group)
{
    if (sl_group_size(group) <= SL_STORE_MAX_WORLD)
        return SL_OK;
    return sl_group_settle(
        group, sl_fail(SL_BAD_CONFIG, "%d ranks, and a checkpoint has room for %d", group->size, SL_STORE_MAX_WORLD));
}

int sl_session_save(const struct sl_session *session, struct sl_store *store)
{
    int rc = SL_OK;
    struct saved saved = {.file_count = 0};
    const struct sl_group *group = session->options.group;
    SL_TRY(check_world(group));
    SL_TRY(sl_session_settled(session));
    rc = fill_rank(session, &saved);
    if (rc == SL_OK)
        rc = fill_model(session, &saved);
    SL_TRY(sl_group_settle(group, rc));
    SL_TRY(sl_statistics_mean(group, saved.statistics, session->weights->state));
    list_files(session, &saved);
    SL_TRY(sl_store_save_together(group, store, session->position.iteration, saved.files, saved.file_count));
out:
    saved_close(&saved);
    return rc;
}
