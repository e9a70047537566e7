/* A session as a checkpoint, and back.
 *   model.safetensors      every parameter by name; the model's description in the metadata
 *   updater.safetensors    the updater's arrays over the flat parameters
 *   rank-0000.safetensors  the position, and what must not change when resuming */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/session.h"

enum { TEXT_BYTES = 32, POSITION_FIELDS = 4 };

/* What a resumed run must share with the one that saved: same bits need same seed, batches and data. */
struct identity {
    char seed[TEXT_BYTES], batch_size[TEXT_BYTES], samples[TEXT_BYTES], l2[TEXT_BYTES], updater[TEXT_BYTES];
    char augmentation[TEXT_BYTES];
};

enum { IDENTITY_KEYS = 6 };

static void identify(const struct sl_session *s, struct identity *id, struct sl_text_pair pairs[IDENTITY_KEYS])
{
    const struct sl_session_options *o = &s->options;
    snprintf(id->seed, TEXT_BYTES, "%" PRIu64, o->seed);
    snprintf(id->batch_size, TEXT_BYTES, "%" PRId32, o->batch_size);
    snprintf(id->samples, TEXT_BYTES, "%" PRIu64, sl_loader_samples(s->train));
    snprintf(id->l2, TEXT_BYTES, "%.17g", o->updater.l2);
    snprintf(id->updater, TEXT_BYTES, "%s", sl_updater_name(o->updater.kind));
    if (o->updater.kind == SL_UPDATER_SGD)
        snprintf(id->updater, TEXT_BYTES, "sgd, momentum %.9g", o->updater.momentum);
    snprintf(id->augmentation, TEXT_BYTES, "flip %d, crop %" PRId32 ", range %d", o->flip, o->crop_padding,
             (int)o->range);
    const struct sl_text_pair list[IDENTITY_KEYS] = {
        {"seed", id->seed},         {"batch-size", id->batch_size}, {"training-samples", id->samples},
        {"optimizer", id->updater}, {"weight-decay", id->l2},       {"augmentation", id->augmentation},
    };
    memcpy(pairs, list, sizeof list);
}

int sl_session_save(const struct sl_session *session, struct sl_store *store)
{
    int rc = SL_OK;
    struct sl_named_tensor *weights = NULL, updater[SL_UPDATER_SLOTS];
    size_t weight_count = 0;
    char *description = NULL;
    struct identity id;
    struct sl_text_pair identity[IDENTITY_KEYS];
    const struct sl_position *p = &session->position;
    const uint64_t position[POSITION_FIELDS] = {p->epoch, p->index, p->iteration, p->samples};
    SL_TRY(sl_weights_tensors(session->weights, &weights, &weight_count));
    SL_TRY(sl_model_to_json(&session->model, &description));
    for (int32_t i = 0; i < session->updater->slots; i++)
        updater[i] = (struct sl_named_tensor){
            sl_updater_slot_name(i), SL_F32, 1, {session->weights->trained}, session->updater->state[i]};
    identify(session, &id, identity);
    const struct sl_named_tensor rank[] = {
        {"position", SL_U64, 1, {POSITION_FIELDS}, position},
        {"loss_sum", SL_F64, 1, {1}, &p->loss_sum},
    };
    const struct sl_text_pair model_metadata = {SL_MODEL_METADATA, description};
    const struct sl_store_file files[] = {
        {"model.safetensors", weights, weight_count, &model_metadata, 1},
        {"updater.safetensors", updater, (size_t)session->updater->slots, NULL, 0},
        {"rank-0000.safetensors", rank, 2, identity, IDENTITY_KEYS},
    };
    SL_TRY(sl_store_save(store, p->iteration, files, sizeof files / sizeof *files));
out:
    free(weights);
    free(description);
    return rc;
}

static int check_identity(const struct sl_session *session, const struct sl_safetensors *rank)
{
    struct identity id;
    struct sl_text_pair now[IDENTITY_KEYS];
    identify(session, &id, now);
    for (int i = 0; i < IDENTITY_KEYS; i++) {
        const char *then = sl_safetensors_metadata(rank, now[i].key);
        if (!then || strcmp(then, now[i].value))
            return sl_fail(SL_BAD_CONFIG,
                           "the checkpoint has %s %s and this run %s; resume with the same, or start a new --run",
                           now[i].key, then ? then : "(none)", now[i].value);
    }
    return SL_OK;
}

static int read_array(const struct sl_safetensors *file, const char *name, enum sl_dtype dtype, int64_t n, size_t size,
                      void *to)
{
    const struct sl_named_tensor *tensor = file ? sl_safetensors_find(file, name) : NULL;
    if (!tensor || tensor->dtype != dtype || tensor->rank != 1 || tensor->shape[0] != n)
        return sl_fail(SL_BAD_CONFIG, "the checkpoint's \"%s\" is missing or of another size", name);
    memcpy(to, tensor->data, (size_t)n * size);
    return SL_OK;
}

static int check_network(const struct sl_session *session, const struct sl_safetensors *file)
{
    int rc = SL_OK;
    struct sl_model model = {0};
    char *ours = NULL, *theirs = NULL;
    const char *text = sl_safetensors_metadata(file, SL_MODEL_METADATA);
    if (!text)
        SL_FAIL(SL_BAD_DATA, "the checkpoint's model does not describe its network");
    SL_TRY(sl_model_from_json(text, strlen(text), &model));
    SL_TRY(sl_graph_to_json(model.graph, &theirs));
    SL_TRY(sl_graph_to_json(session->model.graph, &ours));
    if (strcmp(ours, theirs))
        SL_FAIL(SL_BAD_CONFIG,
                "the checkpoint's network \"%s\" (%" PRIu64 " parameters) is not this run's \"%s\" (%" PRIu64 ")",
                model.graph->name, sl_graph_parameters(model.graph), session->model.graph->name,
                sl_graph_parameters(session->model.graph));
out:
    free(ours);
    free(theirs);
    sl_model_close(&model);
    return rc;
}

int sl_session_resume(struct sl_session *session, const struct sl_checkpoint *checkpoint)
{
    int rc = SL_OK;
    const struct sl_safetensors *model = sl_checkpoint_file(checkpoint, "model.safetensors");
    const struct sl_safetensors *updater = sl_checkpoint_file(checkpoint, "updater.safetensors");
    const struct sl_safetensors *rank = sl_checkpoint_file(checkpoint, "rank-0000.safetensors");
    uint64_t position[POSITION_FIELDS];
    double loss_sum;
    if (!model || !updater || !rank)
        SL_FAIL(SL_BAD_DATA, "the checkpoint lacks its model, updater or rank file");
    SL_TRY(check_network(session, model));
    SL_TRY(check_identity(session, rank));
    SL_TRY(read_array(rank, "position", SL_U64, POSITION_FIELDS, sizeof *position, position));
    SL_TRY(read_array(rank, "loss_sum", SL_F64, 1, sizeof loss_sum, &loss_sum));
    SL_TRY(sl_weights_load(session->weights, model));
    for (int32_t i = 0; i < session->updater->slots; i++)
        SL_TRY(read_array(updater, sl_updater_slot_name(i), SL_F32, session->weights->trained, sizeof(float),
                          session->updater->state[i]));
    session->position = (struct sl_position){position[0], position[1], position[2], position[3], loss_sum};
    session->batch = NULL;
    if (position[1] == sl_loader_batches(session->train)) /* the epoch is trained, and perhaps not validated */
        SL_TRY(sl_loader_seek(session->train, position[0] + 1, 0));
    else
        SL_TRY(sl_loader_seek(session->train, position[0], position[1]));
out:
    if (rc != SL_OK)
        sl_fail_prefix(rc, "%s", checkpoint->folder);
    return rc;
}
