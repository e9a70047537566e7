#include "runtime/plan/choose.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/hash.h"
#include "runtime/plan/row_cache.h"

/* A rank's part of the agreement. */
struct part {
    int32_t status; /* of the rank, so far */
    uint32_t policy, isa;
    uint64_t record; /* a hash of what it can take from its record; 0: it can take nothing */
};

static const char RECORD[] = "checkpoint", SHARED[] = "rank 0";

/* Seconds for measuring, at least. */
static const double training_seconds = 5, inference_seconds = 2;

/* ---- a record ---- */

/* Row by row. */
static int record_plan(const struct sl_plan *plan, bool training, struct sl_selection *rows)
{
    int rc = SL_OK;
    const struct sl_plan_choice *choices;
    const size_t count = sl_plan_choices(plan, &choices);
    for (size_t i = 0; i < count; i++) {
        const struct sl_choice *choice = choices[i].choice;
        struct sl_selected selected = {.source = SL_SOURCE_CHECKPOINT};
        sl_selection_key(choice->op, choice->ready[0].shape, training, selected.key);
        snprintf(selected.row, sizeof selected.row, "%s", sl_choice_row(choice)->name);
        SL_TRY(sl_selection_put(rows, &selected));
    }
out:
    return rc;
}

int sl_choose_record(enum sl_policy policy, const struct sl_plan *training, const struct sl_plan *inference,
                     char **text)
{
    int rc = SL_OK;
    struct sl_selection rows = {.policy = policy};
    SL_TRY(record_plan(training, true, &rows));
    SL_TRY(record_plan(inference, false, &rows));
    SL_TRY(sl_selection_to_json(&rows, RECORD, text));
out:
    sl_selection_close(&rows);
    return rc;
}

/* The operation in "training conv2d_fwd 0123456789abcdef"; SL_OP_COUNT: there is none. */
static enum sl_op op_of(const char *key)
{
    const char *name = strchr(key, ' ');
    int op = 0;
    if (!name)
        return SL_OP_COUNT;
    const size_t n = strcspn(++name, " ");
    while (op < SL_OP_COUNT &&
           (strlen(sl_op_name((enum sl_op)op)) != n || strncmp(sl_op_name((enum sl_op)op), name, n)))
        op++;
    return (enum sl_op)op;
}

/* Does the device have the row of every entry, and what that needs? Otherwise `missing` is one that it has not. */
static bool can_run(const struct sl_selection *rows, const struct sl_device *device, const struct sl_selected **missing)
{
    for (size_t i = 0; i < rows->count; i++) {
        const enum sl_op op = op_of(rows->list[i].key);
        const struct sl_kernel_row *row = op == SL_OP_COUNT ? NULL : sl_selection_row(device, op, rows->list[i].row);
        *missing = &rows->list[i];
        if (!row || (row->needs & ~device->isa))
            return false;
    }
    return true;
}

/* Can this device's rows be chosen that way? */
static int check_policy(const struct sl_device *device, uint32_t policy)
{
    if (policy != SL_POLICY_CUDNN || device->isa & SL_CUDNN)
        return SL_OK;
    if (device->host_memory)
        return sl_fail(SL_UNAVAILABLE, "--kernels cudnn: cuDNN is for GPUs, and the device is %s", device->name);
    return sl_fail(SL_UNAVAILABLE,
                   "--kernels cudnn: cuDNN 9 was not found for %s (starling-doctor says why); SL_CUDNN_PATH may name "
                   "its library",
                   device->name);
}

/* The policy that the record names counts where the options name none and it can; its rows where both are one. */
static void take_record(const struct sl_choose_options *o, const struct sl_device *device, struct part *part,
                        struct sl_selection *rows)
{
    struct sl_selection recorded = {0};
    const struct sl_selected *missing;
    if (!o->record)
        return;
    if (sl_selection_from_json(o->record, strlen(o->record), RECORD, SL_SOURCE_CHECKPOINT, &recorded) != SL_OK) {
        sl_tell(o->say, o->self, "the checkpoint's kernels are not taken: %s", sl_last_error());
        return;
    }
    if (o->policy == SL_POLICY_DEFAULT && check_policy(device, recorded.policy) == SL_OK)
        part->policy = recorded.policy;
    else if (o->policy == SL_POLICY_DEFAULT)
        sl_tell(o->say, o->self, "the checkpoint's kernels are not taken: %s", sl_last_error());
    if (part->policy == (uint32_t)recorded.policy && can_run(&recorded, device, &missing)) {
        part->record = sl_hash64(o->record, strlen(o->record)) | 1;
        *rows = recorded;
    } else
        sl_selection_close(&recorded);
}

/* ---- measuring ---- */

static int measure(const struct sl_choose_options *o, const struct sl_device *device, struct sl_selection *rows)
{
    int rc = SL_OK;
    struct sl_measure_options options = {.graph = o->graph,
                                         .device = device,
                                         .batch = o->batch,
                                         .precision = o->precision,
                                         .memory_limit = o->memory_limit,
                                         .seconds = inference_seconds,
                                         .say = o->say,
                                         .self = o->self};
    SL_TRY(sl_measure_rows(&options, rows));
    options.training = true;
    options.seconds = training_seconds;
    if (o->training)
        SL_TRY(sl_measure_rows(&options, rows));
out:
    return rc;
}

static size_t count_measured(const struct sl_selection *rows)
{
    size_t count = 0;
    for (size_t i = 0; i < rows->count; i++)
        count += rows->list[i].source == SL_SOURCE_MEASURED;
    return count;
}

/* What was measured is worth keeping; what was read has been kept. */
static void keep(const struct sl_choose_options *o, const struct sl_row_cache *cache, const struct sl_selection *rows)
{
    if (sl_row_cache_write(cache, rows) == SL_OK)
        sl_tell(o->say, o->self, "the fastest kernels are remembered in %s", cache->path);
    else
        sl_tell(o->say, o->self, "the fastest kernels are not remembered: %s", sl_last_error());
}

static int find_fastest(const struct sl_choose_options *o, const struct sl_device *device, struct sl_selection *rows)
{
    int rc = SL_OK;
    struct sl_row_cache cache;
    if ((rc = sl_row_cache_open(device, &cache)) != SL_MISSING)
        SL_TRY(rc);
    if (cache.path && sl_row_cache_read(&cache, rows) != SL_OK)
        sl_tell(o->say, o->self, "measuring anew: %s", sl_last_error());
    rows->policy = SL_POLICY_FASTEST;
    SL_TRY(measure(o, device, rows));
    if (count_measured(rows))
        keep(o, &cache, rows);
out:
    sl_row_cache_close(&cache);
    return rc;
}

/* ---- together ---- */

/* What rank 0 found, on every rank. A rank that fails brings an empty text, which the others pass over. */
static int share(const struct sl_choose_options *o, int status, const struct sl_device *device,
                 struct sl_selection *rows)
{
    int rc = status;
    const struct sl_group *group = o->group;
    const struct sl_selected *missing;
    char *text = NULL, *all = NULL;
    size_t *offsets = calloc((size_t)group->size + 1, sizeof *offsets);
    if (rc == SL_OK && group->rank == 0)
        rc = sl_selection_to_json(rows, SHARED, &text);
    if (!offsets)
        rc = sl_fail(SL_SYSTEM, "out of memory for what %d ranks choose", group->size);
    else {
        void *parts = NULL;
        const int gathered =
            group->gather_parts(group->self, text ? text : "", text ? strlen(text) : 0, &parts, offsets);
        rc = gathered != SL_OK ? gathered : rc;
        all = parts;
    }
    if (rc != SL_OK || group->rank == 0 || offsets[1] == 0)
        goto out;
    SL_TRY(sl_selection_from_json(all, offsets[1], SHARED, SL_SOURCE_MEASURED, rows));
    if (!can_run(rows, device, &missing))
        SL_FAIL(SL_DISAGREE,
                "rank 0 found %s the fastest for %s, and this rank has no such row; start the same version "
                "everywhere, or use --kernels shipped",
                missing->row, missing->key);
out:
    free(offsets);
    free(text);
    free(all);
    return rc;
}

static int gather(const struct sl_choose_options *o, const struct part *mine, struct part **all)
{
    const int size = sl_group_size(o->group);
    if (!(*all = calloc((size_t)size, sizeof **all)))
        return sl_fail(SL_SYSTEM, "out of memory for what %d ranks choose", size);
    (*all)[0] = *mine;
    return size == 1 ? SL_OK : o->group->gather(o->group->self, mine, sizeof *mine, *all);
}

static int check_policies(const struct sl_group *group, const struct part *all)
{
    for (int i = 1; i < sl_group_size(group); i++)
        if (all[i].policy != all[0].policy)
            return sl_fail(SL_DISAGREE, "--kernels is %s on rank 0 (%s) and %s on rank %d (%s)",
                           sl_policy_name((enum sl_policy)all[0].policy), group->hosts[0],
                           sl_policy_name((enum sl_policy)all[i].policy), i, group->hosts[i]);
    return SL_OK;
}

/* The sets that all ranks have. Then the plans of all ranks can hold the same rows, also those that nobody measures. */
static void hold_down(const struct sl_choose_options *o, const struct part *all, struct sl_device *device)
{
    uint32_t common = device->isa;
    bool less = false;
    for (int i = 0; i < sl_group_size(o->group); i++) {
        less |= all[i].isa != all[0].isa;
        common &= all[i].isa;
    }
    if (less)
        sl_tell(o->say, o->self, "--kernels fastest: all ranks take kernels of the instruction sets that each has: %s",
                sl_isa_text(common));
    device->isa = common;
}

/* Can all ranks take their records, and are these the same? */
static bool share_a_record(const struct part *all, int size)
{
    bool shared = all[0].record != 0;
    for (int i = 1; i < size; i++)
        shared &= all[i].record == all[0].record;
    return shared;
}

static int choose_fastest(const struct sl_choose_options *o, const struct part *all, struct sl_device *device,
                          struct sl_selection *rows)
{
    int rc = SL_OK;
    hold_down(o, all, device);
    if (share_a_record(all, sl_group_size(o->group)))
        return SL_OK;
    sl_selection_close(rows);
    if (sl_group_rank(o->group) == 0)
        rc = find_fastest(o, device, rows);
    return sl_group_size(o->group) > 1 ? share(o, rc, device, rows) : rc;
}

static bool any_failed(const struct part *all, int size)
{
    bool failed = false;
    for (int i = 0; i < size; i++)
        failed |= all[i].status != SL_OK;
    return failed;
}

int sl_choose_rows(const struct sl_choose_options *options, int status, struct sl_device *device,
                   struct sl_selection *rows)
{
    int rc = SL_OK;
    const int size = sl_group_size(options->group);
    struct part mine = {.status = status,
                        .policy = options->policy ? options->policy : SL_POLICY_SHIPPED,
                        .isa = device->isa},
                *all = NULL;
    *rows = (struct sl_selection){0};
    if (status == SL_OK) {
        take_record(options, device, &mine, rows);
        mine.status = check_policy(device, mine.policy);
    }
    SL_TRY(gather(options, &mine, &all));
    if (any_failed(all, size)) { /* the job is about to end, and whoever failed says why */
        rc = mine.status;
        goto out;
    }
    SL_TRY(check_policies(options->group, all));
    rows->policy = (enum sl_policy)mine.policy;
    if (mine.policy == SL_POLICY_FASTEST)
        SL_TRY(choose_fastest(options, all, device, rows));
    rows->policy = (enum sl_policy)mine.policy;
out:
    free(all);
    if (rc != SL_OK)
        sl_selection_close(rows);
    return rc;
}
