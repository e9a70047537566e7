#include "runtime/train/session_identity.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/hash.h"
#include "runtime/graph/graph_json.h"
#include "runtime/plan/precision.h"
#include "runtime/store/model_json.h"

/* Of checkpoints that name no exchange. */
#define NO_EXCHANGE "none"

enum key { EXCHANGE, SEED, BATCH_SIZE, SAMPLES, OPTIMIZER, WEIGHT_DECAY, AUGMENTATION, DATA_SET, KERNELS, PRECISION };

static const struct {
    const char *name;
    bool later;         /* the first checkpoints lack it */
    bool may_vary;      /* a difference is told, and the run goes on */
    const char *absent; /* what a checkpoint has that does not name it; NULL: nobody knows */
} keys[SL_IDENTITY_KEYS] = {
    [EXCHANGE] = {"exchange", false, false, NO_EXCHANGE},
    [SEED] = {"seed", false, false, NULL},
    [BATCH_SIZE] = {"batch-size", false, false, NULL},
    [SAMPLES] = {"training-samples", false, false, NULL},
    [OPTIMIZER] = {"optimizer", false, false, NULL},
    [WEIGHT_DECAY] = {"weight-decay", false, false, NULL},
    [AUGMENTATION] = {"augmentation", false, false, NULL},
    [DATA_SET] = {"data-set", true, false, NULL},
    [KERNELS] = {"kernels", true, true, NULL},
    [PRECISION] = {"precision", true, false, "fp32"},
};

static void __attribute__((format(printf, 3, 4)))
set(struct sl_identity *identity, enum key key, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(identity->texts[key], SL_IDENTITY_BYTES, format, arguments);
    va_end(arguments);
    identity->pairs[key] = (struct sl_text_pair){keys[key].name, identity->texts[key]};
}

/* The policy, unless it is the default; the names of the rows that the training plan chose, each once; a hash of which
 * operation has which. */
static void name_kernels(const struct sl_plan *plan, enum sl_policy policy, char text[SL_IDENTITY_BYTES])
{
    const struct sl_plan_choice *choices;
    const size_t count = sl_plan_choices(plan, &choices);
    uint64_t hash = 0;
    size_t n = 0;
    if (policy != SL_POLICY_SHIPPED)
        n = (size_t)snprintf(text, SL_IDENTITY_BYTES, "%s: ", sl_policy_name(policy));
    for (size_t i = 0; i < count; i++) {
        const struct sl_kernel_row *row = sl_choice_row(choices[i].choice);
        size_t before = 0;
        hash = hash * 31 + sl_hash64(row->symbol, strlen(row->symbol));
        while (before < i && strcmp(sl_choice_row(choices[before].choice)->name, row->name))
            before++;
        if (before == i && n < SL_IDENTITY_BYTES / 2)
            n += (size_t)snprintf(text + n, SL_IDENTITY_BYTES - n, "%.20s ", row->name);
    }
    snprintf(text + n, SL_IDENTITY_BYTES - n, "(%016" PRIx64 ")", hash);
}

void sl_session_identify(const struct sl_session *session, struct sl_identity *identity)
{
    const struct sl_session_options *o = &session->options;
    set(identity, EXCHANGE, "%s", session->exchange ? session->exchange : NO_EXCHANGE);
    identity->written = strcmp(identity->texts[EXCHANGE], NO_EXCHANGE) ? EXCHANGE : EXCHANGE + 1;
    set(identity, SEED, "%" PRIu64, o->seed);
    set(identity, BATCH_SIZE, "%" PRId32, o->batch_size);
    set(identity, SAMPLES, "%" PRIu64, sl_loader_samples(session->train));
    if (o->updater.kind == SL_UPDATER_SGD)
        set(identity, OPTIMIZER, "sgd, momentum %.9g", o->updater.momentum);
    else
        set(identity, OPTIMIZER, "%s", sl_updater_name(o->updater.kind));
    set(identity, WEIGHT_DECAY, "%.17g", o->updater.l2);
    set(identity, AUGMENTATION, "flip %d, crop %" PRId32 ", range %d%s", o->flip, o->crop_padding, (int)o->range,
        o->fast_decode ? ", fast decode" : "");
    set(identity, DATA_SET, "%016" PRIx64, session->dataset->hash);
    char kernels[SL_IDENTITY_BYTES];
    name_kernels(session->training, session->rows.policy, kernels);
    set(identity, KERNELS, "%s", kernels);
    set(identity, PRECISION, "%s", sl_precision_name(o->precision));
}

/* ---- Comparing ---- */

/* "; the one; the other". What does not fit is left out. */
struct differences {
    char text[1024];
    size_t n;
};

static void __attribute__((format(printf, 2, 3))) differ(struct differences *found, const char *format, ...)
{
    char *to = found->text + found->n;
    const size_t room = sizeof found->text - found->n;
    va_list arguments;
    if (room < 3)
        return;
    strcpy(to, "; ");
    va_start(arguments, format);
    const int n = vsnprintf(to + 2, room - 2, format, arguments);
    va_end(arguments);
    if (n > 0 && (size_t)n < room - 2)
        found->n += 2 + (size_t)n;
    else
        *to = '\0';
}

static int compare_networks(const struct sl_graph *then, const struct sl_graph *now, struct differences *found)
{
    int rc = SL_OK;
    char *ours = NULL, *theirs = NULL;
    SL_TRY(sl_graph_to_json(then, &theirs));
    SL_TRY(sl_graph_to_json(now, &ours));
    if (strcmp(ours, theirs))
        differ(found, "its network \"%s\" (%" PRIu64 " parameters) is not this run's \"%s\" (%" PRIu64 ")", then->name,
               sl_graph_parameters(then), now->name, sl_graph_parameters(now));
out:
    free(ours);
    free(theirs);
    return rc;
}

/* The first class that differs; the rest may only have moved. */
static void compare_classes(const struct sl_model *then, const struct sl_model *now, struct differences *found)
{
    for (size_t i = 0; i < then->class_count && i < now->class_count; i++)
        if (strcmp(then->classes[i].id, now->classes[i].id)) {
            differ(found, "its class %zu is %.64s and this run's %.64s", i, then->classes[i].id, now->classes[i].id);
            return;
        }
    if (then->class_count != now->class_count)
        differ(found, "it has %zu classes and this run %zu", then->class_count, now->class_count);
}

static int compare_models(const struct sl_session *session, const struct sl_safetensors *file,
                          struct differences *found)
{
    int rc = SL_OK;
    struct sl_model model = {0};
    const char *text = sl_safetensors_metadata(file, SL_MODEL_METADATA);
    if (!text)
        SL_FAIL(SL_BAD_DATA, "the checkpoint's model does not describe its network");
    SL_TRY(sl_model_from_json(text, strlen(text), &model));
    SL_TRY(compare_networks(model.graph, session->model.graph, found));
    compare_classes(&model, &session->model, found);
out:
    sl_model_close(&model);
    return rc;
}

/* NULL: the file does not say. */
static const char *value_of(const struct sl_safetensors *rank, int key)
{
    const char *value = sl_safetensors_metadata(rank, keys[key].name);
    return value ? value : keys[key].absent;
}

/* Rows are the same if their hashes are: it is not the policy that decides about bits. */
static bool is_same(int key, const char *then, const char *now)
{
    const char *hash_then = strrchr(then, '('), *hash_now = strrchr(now, '(');
    return !strcmp(then, now) || (key == KERNELS && hash_then && hash_now && !strcmp(hash_then, hash_now));
}

static void compare_keys(const struct sl_session *session, const struct sl_safetensors *rank, struct differences *found,
                         sl_tell_fn *report, void *self)
{
    struct sl_identity identity;
    sl_session_identify(session, &identity);
    for (int i = 0; i < SL_IDENTITY_KEYS; i++) {
        const struct sl_text_pair *now = &identity.pairs[i];
        const char *then = value_of(rank, i);
        if (!then && keys[i].later)
            sl_tell(report, self, "the checkpoint is of an older version and does not name its %s: not compared",
                    now->key);
        else if (!then || (!is_same(i, then, now->value) && !keys[i].may_vary))
            differ(found, "it has %s %.64s and this run %s", now->key, then ? then : "(none)", now->value);
        else if (!is_same(i, then, now->value))
            sl_tell(report, self,
                    "the checkpoint was made with the %s %.95s and this run has %s: it goes on, but not to the same "
                    "bits (--backend and --kernels choose, SL_ISA holds instruction sets down)",
                    now->key, then, now->value);
    }
}

int sl_session_compare(const struct sl_session *session, const struct sl_safetensors *model,
                       const struct sl_safetensors *rank, sl_tell_fn *report, void *self)
{
    int rc = SL_OK;
    struct differences found = {.n = 0};
    SL_TRY(compare_models(session, model, &found));
    compare_keys(session, rank, &found, report, self);
    if (found.n)
        SL_FAIL(SL_BAD_CONFIG, "the checkpoint is of another run: %s; resume with the same, or start a new --run",
                found.text + 2);
out:
    return rc;
}

int sl_session_compare_ranks(const struct sl_safetensors *a, int rank_a, const struct sl_safetensors *b, int rank_b)
{
    for (int i = 0; i < SL_IDENTITY_KEYS; i++) {
        const char *one = value_of(a, i), *other = value_of(b, i);
        if (!keys[i].may_vary && strcmp(one ? one : "", other ? other : ""))
            return sl_fail(SL_BAD_DATA, "the files of rank %d and rank %d are of two runs: %s %.64s and %.64s", rank_a,
                           rank_b, keys[i].name, one ? one : "(none)", other ? other : "(none)");
    }
    return SL_OK;
}
