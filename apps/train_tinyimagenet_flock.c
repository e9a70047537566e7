#include "apps/train_tinyimagenet_flock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comm/agree.h"
#include "runtime/base/hash.h"
#include "runtime/graph/graph_json.h"
#include "runtime/train/session_identity.h"

int flock_choose(const struct flock_options *options, int world, const struct sl_exchange_row **row)
{
    const char *name = options->exchange;
    *row = NULL;
    if (!strcmp(name, "auto"))
        name = world > 1 ? "threshold" : "none";
    if (strcmp(name, "none")) {
        *row = sl_exchange_find(name);
        return *row ? SL_OK : sl_fail(SL_INTERNAL, "no exchange is called %s", name);
    }
    if (world > 1)
        return sl_fail(SL_BAD_CONFIG,
                       "--exchange none: %d ranks would train %d models; start one rank, or let them share", world,
                       world);
    return SL_OK;
}

static struct sl_exchange_options exchange_options(const struct flock_options *options, const struct cli_ranks *ranks,
                                                   const struct sl_device *device, int64_t n)
{
    return (struct sl_exchange_options){
        .comm = ranks->comm,
        .device = device,
        .n = n,
        .combine = strcmp(options->combine, "sum") ? SL_COMBINE_MEAN : SL_COMBINE_SUM,
        .threshold = options->threshold,
        .clip_multiple = options->clip_multiple,
        .clip_every = options->clip_every,
    };
}

uint64_t flock_memory(const struct flock_options *options, const struct cli_ranks *ranks,
                      const struct sl_device *device, int64_t parameters)
{
    const struct sl_exchange_options exchange = exchange_options(options, ranks, device, parameters);
    const struct sl_exchange_row *row;
    if (flock_choose(options, sl_group_size(ranks->group), &row) != SL_OK || !row)
        return 0;
    return row->memory(&exchange) + (row->update ? (uint64_t)parameters * sizeof(float) : 0);
}

/* ---- Hooks ---- */

static int share_gradient(void *self, struct sl_span part, int32_t samples, bool last)
{
    const struct flock *f = self;
    return f->row->gradient(f->exchange, part, samples, last);
}

static int agree(void *self, struct sl_vote *vote)
{
    struct flock *f = self;
    vote->stop |= *f->stop_signal != 0;
    const int rc = sl_group_vote(f->session->options.group, vote);
    f->stop |= vote->stop;
    return rc;
}

static int share_update(void *self, struct sl_span update, uint64_t step)
{
    const struct flock *f = self;
    return f->row->update(f->exchange, update, step);
}

/* ---- Opening ---- */

/* The parameters by name, as they lie in the flat buffer; running statistics are nobody's but their rank's. */
static int list_tensors(struct flock *f)
{
    int rc = SL_OK;
    const struct sl_weights *w = f->session->weights;
    SL_TRY(sl_weights_image_open(w, &f->weights));
    f->tensors = calloc(f->weights.count + 1, sizeof *f->tensors);
    f->keys = calloc(f->weights.count + 1, sizeof *f->keys);
    f->agreed = calloc(f->weights.count + 1, sizeof *f->agreed);
    if (!f->tensors || !f->keys || !f->agreed)
        SL_FAIL(SL_SYSTEM, "out of memory for the names of %zu tensors", f->weights.count);
    for (int32_t i = 0, at = 0; i < w->graph->layer_count; i++)
        for (int32_t k = 0; k < w->graph->layers[i].parameter_count; k++, at++) {
            const struct sl_parameter *p = &w->graph->layers[i].parameters[k];
            const int64_t floats = sl_parameter_floats(p);
            const char *name = f->weights.tensors[at].name;
            if (p->role == SL_ROLE_STATE)
                continue;
            snprintf(f->keys[f->tensor_count], sizeof *f->keys, "sent.%s", name);
            f->tensors[f->tensor_count] = (struct sl_exchange_tensor){name, w->offsets[i][k], floats};
            f->agreed[f->tensor_count++] = (struct sl_agree_tensor){name, sl_weights_at(w, i, k), floats};
        }
out:
    return rc;
}

/* The exchange's state becomes part of the session's checkpoints. */
static void hand_over_arrays(struct flock *f)
{
    static const enum sl_dtype types[] = {
        [SL_EXCHANGE_F32] = SL_F32, [SL_EXCHANGE_F64] = SL_F64, [SL_EXCHANGE_U64] = SL_U64};
    static const enum sl_session_join joins[] = {
        [SL_JOIN_OWN] = SL_SESSION_OWN, [SL_JOIN_SUM] = SL_SESSION_SUM, [SL_JOIN_MEAN] = SL_SESSION_MEAN};
    struct sl_exchange_array arrays[SL_EXCHANGE_ARRAYS];
    const size_t count = f->row->state ? f->row->state(f->exchange, arrays) : 0;
    for (size_t i = 0; i < count; i++)
        f->arrays[i] = (struct sl_session_array){
            arrays[i].name,       types[arrays[i].type], arrays[i].n, arrays[i].at, arrays[i].type == SL_EXCHANGE_F32,
            joins[arrays[i].join]};
    f->session->arrays = f->arrays;
    f->session->array_count = count;
}

static void name_exchange(struct flock *f)
{
    if (f->row->update)
        snprintf(f->name, sizeof f->name, "%s, %s", f->row->name, f->options->combine);
    else
        snprintf(f->name, sizeof f->name, "%s", f->row->name);
    f->session->exchange = f->name;
}

int flock_open(const struct flock_options *options, const struct cli_ranks *ranks, struct sl_session *session,
               struct flock *f)
{
    int rc = SL_OK;
    f->options = options;
    f->session = session;
    SL_TRY(flock_choose(options, sl_group_size(ranks->group), &f->row));
    if (!f->row)
        goto out;
    SL_TRY(sl_team_open(ranks->comm, &session->device, &f->team));
    SL_TRY(list_tensors(f));
    struct sl_exchange_options exchange = exchange_options(options, ranks, &session->device, session->weights->trained);
    exchange.team = &f->team;
    exchange.tensors = f->tensors;
    exchange.tensor_count = f->tensor_count;
    SL_TRY(f->row->open(&exchange, &f->exchange));
    session->own_moments = f->row->own_moments;
    name_exchange(f);
    hand_over_arrays(f);
    session->hooks = (struct sl_train_hooks){
        .gradient = f->row->gradient ? share_gradient : NULL,
        .agree = agree,
        .update = f->row->update ? share_update : NULL,
        .self = f,
    };
out:
    return rc;
}

int flock_close(struct flock *f, int rc)
{
    if (f->exchange)
        f->row->close(f->exchange);
    const int left = sl_team_close(&f->team, rc);
    sl_weights_image_close(&f->weights);
    free(f->tensors);
    free(f->keys);
    free(f->agreed);
    *f = (struct flock){0};
    return left;
}

/* ---- Agreement ---- */

enum { AGREED_KEYS = 16, AGREED_BYTES = 192 };

/* What may differ: kernels, since hosts do. What they make of a gradient is shared before it becomes a parameter. */
static bool may_differ(const char *key)
{
    return !strcmp(key, "kernels");
}

static int describe_network(const struct flock *f, char text[AGREED_BYTES])
{
    char *json = NULL;
    const int rc = sl_graph_to_json(f->session->model.graph, &json);
    if (rc == SL_OK)
        snprintf(text, AGREED_BYTES, "%s (%016" PRIx64 ")", f->session->model.graph->name,
                 sl_hash64(json, strlen(json)));
    free(json);
    return rc;
}

/* Where each rank's updater moves the parameters by itself, it has to round as the others do: the vectors of every
 * length do, the reference computes in double. */
static const char *describe_updater(const struct flock *f)
{
    const struct sl_kernel_row *row = sl_choice_row(&f->session->updater->step);
    if (!f->row->gradient)
        return "of each rank";
    return row->needs == SL_CPU ? "the reference" : "vectors";
}

static void describe_threshold(const struct flock *f, char text[AGREED_BYTES])
{
    const struct flock_options *o = f->options;
    const struct sl_threshold_options *t = &o->threshold;
    snprintf(text, AGREED_BYTES, "%s %.6g, densities %.6g %.6g %.6g, decay %.6g, cap %.6g, clip %.6g every %" PRId64,
             o->algorithm, t->initial, t->min_density, t->max_density, t->target, t->decay, t->cap, o->clip_multiple,
             o->clip_every);
}

int flock_agree(const struct flock *f, const struct sl_agree_pair *run, size_t count)
{
    int rc = SL_OK;
    const struct sl_session *s = f->session;
    const struct sl_position *p = &s->position;
    struct sl_identity identity;
    char network[AGREED_BYTES], threshold[AGREED_BYTES], position[AGREED_BYTES];
    struct sl_agree_pair pairs[SL_IDENTITY_KEYS + AGREED_KEYS] = {
        {"network", network}, {"threshold", threshold}, {"position", position}};
    size_t n = 3;
    if (sl_group_size(s->options.group) == 1)
        return SL_OK;
    SL_TRY(sl_group_settle(s->options.group, describe_network(f, network)));
    describe_threshold(f, threshold);
    snprintf(position, sizeof position, "epoch %" PRIu64 ", batch %" PRIu64 ", step %" PRIu64, p->epoch, p->index,
             p->iteration);
    sl_session_identify(s, &identity);
    for (int i = 0; i < SL_IDENTITY_KEYS; i++)
        if (!may_differ(identity.pairs[i].key))
            pairs[n++] = (struct sl_agree_pair){identity.pairs[i].key, identity.pairs[i].value};
    for (size_t i = 0; i < count && n + 1 < sizeof pairs / sizeof *pairs; i++)
        pairs[n++] = run[i];
    pairs[n++] = (struct sl_agree_pair){"updater's kernel", describe_updater(f)};
    rc = sl_agree_pairs(s->options.group, pairs, n);
out:
    return rc;
}

/* ---- After a step ---- */

int flock_after_step(struct flock *f)
{
    const uint64_t every = (uint64_t)f->options->hash_every;
    if (!f->row)
        return SL_OK;
    f->row->report(f->exchange, &f->report);
    f->sent += f->report.sent;
    f->dense += f->report.dense;
    if (!every || f->session->position.iteration % every)
        return SL_OK;
    return sl_agree_tensors(f->session->options.group, &f->session->device, f->agreed, f->tensor_count, NULL);
}

static int take_residual(void *self, struct sl_span update)
{
    const struct flock *f = self;
    return f->row->flush(f->exchange, update);
}

int flock_flush(struct flock *f)
{
    if (!f->row || !f->row->flush || !f->options->flush_residual)
        return SL_OK;
    return sl_session_apply(f->session, take_residual, f);
}
