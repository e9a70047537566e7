/* A session as a checkpoint, and back.
 *   model.safetensors      every parameter by name; the model's description in the metadata
 *   updater.safetensors    the updater's arrays over the flat parameters
 *   rank-0000.safetensors  the position, the best step so far, and what must not change when resuming */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/device/host_copy.h"
#include "runtime/store/model_json.h"
#include "runtime/store/model_weights.h"
#include "runtime/train/session_identity.h"

enum { POSITION_FIELDS = 4 };

int sl_session_save(const struct sl_session *session, struct sl_store *store)
{
    int rc = SL_OK;
    struct sl_weights_image weights = {0};
    struct sl_named_tensor updater[SL_UPDATER_SLOTS];
    void *copies[SL_UPDATER_SLOTS] = {NULL};
    char *description = NULL;
    struct sl_identity identity;
    const struct sl_position *p = &session->position;
    const uint64_t position[POSITION_FIELDS] = {p->epoch, p->index, p->iteration, p->samples};
    SL_TRY(sl_weights_image_open(session->weights, &weights));
    SL_TRY(sl_model_to_json(&session->model, &description));
    for (int32_t i = 0; i < session->updater->slots; i++) {
        updater[i] = (struct sl_named_tensor){
            .name = sl_updater_slot_name(i), .dtype = SL_F32, .rank = 1, .shape = {session->weights->trained}};
        SL_TRY(sl_host_copy(&session->device, session->updater->state[i],
                            (size_t)session->weights->trained * sizeof(float), &updater[i].data, &copies[i]));
    }
    sl_session_identify(session, &identity);
    const struct sl_named_tensor rank[] = {
        {"position", SL_U64, 1, {POSITION_FIELDS}, position},
        {"loss_sum", SL_F64, 1, {1}, &p->loss_sum},
        {"best_step", SL_U64, 1, {1}, &session->best.step},
        {"best_accuracy", SL_F64, 1, {1}, &session->best.accuracy},
    };
    const struct sl_text_pair model_metadata = {SL_MODEL_METADATA, description};
    const struct sl_store_file files[] = {
        {"model.safetensors", weights.tensors, weights.count, &model_metadata, 1},
        {"updater.safetensors", updater, (size_t)session->updater->slots, NULL, 0},
        {"rank-0000.safetensors", rank, sizeof rank / sizeof *rank, identity.pairs, SL_IDENTITY_KEYS},
    };
    SL_TRY(sl_store_save(store, p->iteration, files, sizeof files / sizeof *files));
out:
    for (int32_t i = 0; i < SL_UPDATER_SLOTS; i++)
        free(copies[i]);
    sl_weights_image_close(&weights);
    free(description);
    return rc;
}

static int find_array(const struct sl_safetensors *file, const char *name, enum sl_dtype dtype, int64_t n,
                      const void **data)
{
    const struct sl_named_tensor *tensor = file ? sl_safetensors_find(file, name) : NULL;
    if (!tensor || tensor->dtype != dtype || tensor->rank != 1 || tensor->shape[0] != n)
        return sl_fail(SL_BAD_CONFIG, "the checkpoint's \"%s\" is missing or of another size", name);
    *data = tensor->data;
    return SL_OK;
}

static int read_array(const struct sl_safetensors *file, const char *name, enum sl_dtype dtype, int64_t n, size_t size,
                      void *to)
{
    const void *data = NULL;
    const int rc = find_array(file, name, dtype, n, &data);
    if (rc == SL_OK)
        memcpy(to, data, (size_t)n * size);
    return rc;
}

/* Everything is found before anything changes. */
static int load_arrays(struct sl_session *session, const struct sl_safetensors *model,
                       const struct sl_safetensors *updater)
{
    int rc = SL_OK;
    const struct sl_device *device = &session->device;
    const int64_t n = session->weights->trained;
    const void *slots[SL_UPDATER_SLOTS];
    for (int32_t i = 0; i < session->updater->slots; i++)
        SL_TRY(find_array(updater, sl_updater_slot_name(i), SL_F32, n, &slots[i]));
    SL_TRY(sl_weights_load(session->weights, model));
    for (int32_t i = 0; i < session->updater->slots; i++)
        SL_TRY(device->copy(device->self, session->updater->state[i], slots[i], (size_t)n * sizeof(float)));
out:
    return rc;
}

/* The position belongs to the checkpoint's step, and to this data set's epochs. */
static int check_position(const struct sl_session *session, uint64_t step, const struct sl_position *p)
{
    const uint64_t batches = sl_loader_batches(session->train);
    if (p->iteration != step)
        return sl_fail(SL_BAD_DATA, "the position is after %" PRIu64 " steps, the checkpoint's name says %" PRIu64,
                       p->iteration, step);
    if (p->index > batches || p->samples > sl_loader_samples(session->train) || !isfinite(p->loss_sum))
        return sl_fail(SL_BAD_DATA, "the position is batch %" PRIu64 " of an epoch of %" PRIu64, p->index, batches);
    if (p->epoch > step || p->epoch * batches + p->index != step)
        return sl_fail(SL_BAD_DATA, "epoch %" PRIu64 ", batch %" PRIu64 " is not where %" PRIu64 " steps end", p->epoch,
                       p->index, step);
    return SL_OK;
}

static int read_position(const struct sl_session *session, const struct sl_checkpoint *checkpoint,
                         const struct sl_safetensors *rank, struct sl_position *position)
{
    int rc = SL_OK;
    uint64_t fields[POSITION_FIELDS];
    double loss_sum;
    SL_TRY(read_array(rank, "position", SL_U64, POSITION_FIELDS, sizeof *fields, fields));
    SL_TRY(read_array(rank, "loss_sum", SL_F64, 1, sizeof loss_sum, &loss_sum));
    *position = (struct sl_position){fields[0], fields[1], fields[2], fields[3], loss_sum};
    rc = check_position(session, checkpoint->step, position);
out:
    return rc;
}

/* Older versions knew no best. */
static int read_best(const struct sl_safetensors *rank, struct sl_best *best)
{
    int rc = SL_OK;
    *best = (struct sl_best){0};
    if (!sl_safetensors_find(rank, "best_step"))
        goto out;
    SL_TRY(read_array(rank, "best_step", SL_U64, 1, sizeof best->step, &best->step));
    SL_TRY(read_array(rank, "best_accuracy", SL_F64, 1, sizeof best->accuracy, &best->accuracy));
out:
    return rc;
}

int sl_session_resume(struct sl_session *session, const struct sl_checkpoint *checkpoint, sl_store_report_fn *report,
                      void *self)
{
    int rc = SL_OK;
    const struct sl_safetensors *model = sl_checkpoint_file(checkpoint, "model.safetensors");
    const struct sl_safetensors *updater = sl_checkpoint_file(checkpoint, "updater.safetensors");
    const struct sl_safetensors *rank = sl_checkpoint_file(checkpoint, "rank-0000.safetensors");
    struct sl_position position;
    struct sl_best best;
    if (!model || !updater || !rank)
        SL_FAIL(SL_BAD_DATA, "the checkpoint lacks its model, updater or rank file");
    SL_TRY(sl_session_compare(session, model, rank, report, self));
    SL_TRY(read_position(session, checkpoint, rank, &position));
    SL_TRY(read_best(rank, &best));
    SL_TRY(load_arrays(session, model, updater));
    session->position = position;
    session->best = best;
    session->batch = NULL;
    if (position.index == sl_loader_batches(session->train)) /* the epoch is trained, and perhaps not validated */
        SL_TRY(sl_loader_seek(session->train, position.epoch + 1, 0));
    else
        SL_TRY(sl_loader_seek(session->train, position.epoch, position.index));
out:
    if (rc != SL_OK)
        sl_fail_prefix(rc, "%s", checkpoint->folder);
    return rc;
}
