#include "kernels/launch.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(offsetof(struct sl_ready, shape) % _Alignof(int64_t) == 0, "kernels read a shape where it lies");

static void ready_close(struct sl_ready *ready)
{
    if (ready->row && ready->row->kernel->close && ready->state)
        ready->row->kernel->close(ready->state);
    free(ready->state);
    *ready = (struct sl_ready){0};
}

/* SL_UNAVAILABLE: not this row, after all. */
static int ready_open(const struct sl_kernel_row *row, const struct sl_device *device, const struct sl_need *need,
                      const void *shape, struct sl_ready *ready)
{
    int rc = SL_OK;
    *ready = (struct sl_ready){.row = row, .need = *need};
    memcpy(ready->shape, shape, sl_op_shape_bytes(row->op));
    if (need->state) {
        if (!(ready->state = calloc(1, need->state)))
            SL_FAIL(SL_SYSTEM, "out of memory for the kernel %s", row->symbol);
        if (row->kernel->open)
            SL_TRY(row->kernel->open(shape, device, ready->state));
        if (row->kernel->scratch)
            ready->need.scratch = row->kernel->scratch(shape, ready->state);
    }
out:
    if (rc != SL_OK) {
        free(ready->state);
        *ready = (struct sl_ready){0};
    }
    return rc;
}

static bool is_among(const struct sl_kernel_row *row, enum sl_among among)
{
    switch (among) {
    case SL_AMONG_EXACT:
        return !row->kernel->inexact;
    case SL_AMONG_OWN:
        return !(row->needs & SL_CUDNN);
    case SL_AMONG_CUDNN:
        return row->needs & SL_CUDNN;
    default:
        return true;
    }
}

/* SL_UNAVAILABLE: it does not take the shape, or cannot be made ready for it. */
static int open_row(const struct sl_device *device, enum sl_op op, const void *shape, const struct sl_kernel_row *row,
                    struct sl_ready *ready)
{
    struct sl_need need;
    if (!sl_row_takes(row, op, shape, device->isa, &need))
        return SL_UNAVAILABLE;
    return ready_open(row, device, &need, shape, ready);
}

/* The first of the table that SL_KERNEL names, or that is among those. */
static int open_first(const struct sl_choice *choice, const void *shape, bool forced, enum sl_among among,
                      struct sl_ready *ready)
{
    const struct sl_device *device = choice->device;
    int rc = SL_UNAVAILABLE;
    for (size_t i = 0; rc == SL_UNAVAILABLE && i < device->row_count; i++)
        if (forced ? sl_row_forced(&device->rows[i]) : is_among(&device->rows[i], among))
            rc = open_row(device, choice->op, shape, &device->rows[i], ready);
    return rc;
}

static int no_kernel(const struct sl_device *device, enum sl_op op)
{
    return sl_fail(SL_UNAVAILABLE, "the device %s has no kernel for %s at this shape", device->name, sl_op_name(op));
}

/* Is there a row before the chosen one that takes the shape, and is not among those that come first? */
static bool passed_over(const struct sl_choice *choice)
{
    struct sl_need need;
    const struct sl_ready *ready = &choice->ready[0];
    for (const struct sl_kernel_row *row = choice->device->rows; row < ready->row; row++)
        if (!is_among(row, choice->among) && sl_row_takes(row, choice->op, ready->shape, choice->device->isa, &need))
            return true;
    return false;
}

/* As the table has them: what is left when nothing else was said. */
static int choose_first(const void *shape, struct sl_choice *choice)
{
    int rc = open_first(choice, shape, false, choice->among, &choice->ready[0]);
    if (rc == SL_OK)
        choice->reason = passed_over(choice) ? SL_REASON_AMONG : SL_REASON_FIRST;
    if (rc == SL_UNAVAILABLE && choice->among != SL_AMONG_OWN) {
        choice->reason = SL_REASON_FIRST;
        rc = open_first(choice, shape, false, SL_AMONG_ALL, &choice->ready[0]);
    }
    return rc == SL_UNAVAILABLE ? no_kernel(choice->device, choice->op) : rc;
}

static const char *reason_text(const struct sl_choice *choice)
{
    static const char *const reasons[] = {"first in the table", "forced by SL_KERNEL", NULL, "wished"};
    static const char *const among[] = {NULL, "exact", "own", "cudnn"};
    return choice->reason == SL_REASON_AMONG ? among[choice->among] : reasons[choice->reason];
}

int sl_choose_as(const struct sl_device *device, enum sl_op op, const void *shape, const struct sl_wish *wish,
                 struct sl_choice *choice)
{
    *choice = (struct sl_choice){.op = op, .among = wish->among, .device = device, .reason = SL_REASON_FORCED};
    int rc = open_first(choice, shape, true, SL_AMONG_ALL, &choice->ready[0]);
    if (rc == SL_UNAVAILABLE && wish->row) {
        choice->reason = SL_REASON_WISHED;
        rc = open_row(device, op, shape, wish->row, &choice->ready[0]);
    }
    if (rc == SL_UNAVAILABLE)
        rc = choose_first(shape, choice);
    if (rc != SL_OK)
        return rc;
    const bool has = choice->reason == SL_REASON_WISHED && wish->why;
    snprintf(choice->why, sizeof choice->why, "%s", has ? wish->why : reason_text(choice));
    if (!wish->quiet)
        sl_row_say(choice->ready[0].row, choice->why);
    return SL_OK;
}

int sl_choose(const struct sl_device *device, enum sl_op op, const void *shape, struct sl_choice *choice)
{
    static const struct sl_wish none;
    return sl_choose_as(device, op, shape, &none, choice);
}

void sl_choice_close(struct sl_choice *choice)
{
    ready_close(&choice->ready[0]);
    ready_close(&choice->ready[1]);
}

static int64_t records_of(const struct sl_need *need)
{
    return need->records ? need->records : need->units;
}

static int64_t parts_of(const struct sl_need *need)
{
    return need->parts;
}

static int64_t packed_of(const struct sl_need *need)
{
    return (int64_t)need->packed;
}

/* The rows that a launch at another shape asks, in turn: the chosen one, those behind it, and those before it if the
 * chosen one may refuse. NULL past the end. */
static const struct sl_kernel_row *row_in_turn(const struct sl_choice *choice, size_t i)
{
    const struct sl_device *device = choice->device;
    const size_t chosen = (size_t)(choice->ready[0].row - device->rows);
    const size_t count = choice->ready[0].row->kernel->refuses ? device->row_count : device->row_count - chosen;
    return i < count ? &device->rows[(chosen + i) % device->row_count] : NULL;
}

/* Of the rows that a launch at this shape may get. */
static int64_t most_of(const struct sl_choice *choice, const void *shape, int64_t of(const struct sl_need *need))
{
    int64_t most = 0;
    struct sl_need need;
    const struct sl_kernel_row *row;
    for (size_t i = 0; (row = row_in_turn(choice, i)); i++)
        if (sl_row_takes(row, choice->op, shape, choice->device->isa, &need) && of(&need) > most)
            most = of(&need);
    return most;
}

int64_t sl_choice_most_records(const struct sl_choice *choice, const void *shape)
{
    return most_of(choice, shape, records_of);
}

int64_t sl_choice_most_parts(const struct sl_choice *choice, const void *shape)
{
    return most_of(choice, shape, parts_of);
}

size_t sl_choice_most_packed(const struct sl_choice *choice, const void *shape)
{
    const struct sl_ready *chosen = &choice->ready[0];
    return chosen->row->kernel->refuses ? (size_t)most_of(choice, shape, packed_of) : chosen->need.packed;
}

/* What is ready for this shape, or NULL. */
static const struct sl_ready *find_ready(const struct sl_choice *choice, const void *shape)
{
    const size_t bytes = sl_op_shape_bytes(choice->op);
    assert(choice->ready[0].row);
    for (int i = 0; i < 2; i++)
        if (choice->ready[i].row && !memcmp(choice->ready[i].shape, shape, bytes))
            return &choice->ready[i];
    return NULL;
}

int64_t sl_choice_records(const struct sl_choice *choice, const void *shape)
{
    const struct sl_ready *ready = find_ready(choice, shape);
    return ready ? records_of(&ready->need) : 0;
}

/* The first in turn that is among those. */
static int open_in_turn(const struct sl_choice *choice, const void *shape, enum sl_among among, struct sl_ready *ready)
{
    int rc = SL_UNAVAILABLE;
    const struct sl_kernel_row *row;
    for (size_t i = 0; rc == SL_UNAVAILABLE && (row = row_in_turn(choice, i)); i++)
        if (is_among(row, among))
            rc = open_row(choice->device, choice->op, shape, row, ready);
    return rc;
}

/* Those that come first at another shape too, if the chosen one is of them. */
static enum sl_among among_at_another(const struct sl_choice *choice)
{
    const bool held = choice->reason != SL_REASON_FORCED && is_among(choice->ready[0].row, choice->among);
    return held ? choice->among : SL_AMONG_ALL;
}

/* The row made ready for this shape. */
static int ready_for(struct sl_choice *choice, const void *shape, const struct sl_ready **ready)
{
    struct sl_ready *other = &choice->ready[1];
    if ((*ready = find_ready(choice, shape)))
        return SL_OK;
    ready_close(other);
    const enum sl_among among = among_at_another(choice);
    int rc = open_in_turn(choice, shape, among, other);
    if (rc == SL_UNAVAILABLE && among != SL_AMONG_OWN)
        rc = open_in_turn(choice, shape, SL_AMONG_ALL, other);
    if (rc != SL_OK)
        return rc == SL_UNAVAILABLE ? no_kernel(choice->device, choice->op) : rc;
    if (other->row != choice->ready[0].row)
        sl_row_say(other->row, "takes another batch");
    *ready = other;
    return SL_OK;
}

int sl_choice_ready(struct sl_choice *choice, const void *shape, const struct sl_need **need)
{
    const struct sl_ready *ready;
    const int rc = ready_for(choice, shape, &ready);
    if (rc == SL_OK)
        *need = &ready->need;
    return rc;
}

struct job {
    const struct sl_ready *ready;
    const void *args;
    const float *weights;
    void *packed;
    int64_t slices; /* of a kernel that joins units, */
    int64_t grain;  /* cut at multiples of so many units */
};

static void run_slice(void *self, const struct sl_work *work)
{
    const struct job *job = self;
    struct sl_work slice = *work;
    slice.state = job->ready->state;
    job->ready->row->kernel->run(job->ready->shape, job->args, &slice);
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Units that join are cut once for each thread. Where many whole runs of those that share most are there, they are cut
 * between runs, and more often, to level out unequal cores. */
static void cut_joined(struct job *job, int threads)
{
    enum { RUNS_PER_THREAD = 16, SLICES_PER_THREAD = 8 };
    const struct sl_need *need = &job->ready->need;
    const int64_t grain = need->together ? need->together : need->units, runs = (need->units + grain - 1) / grain;
    const bool many = runs >= (int64_t)threads * RUNS_PER_THREAD;
    job->grain = many ? grain : 1;
    job->slices = many ? (int64_t)threads * SLICES_PER_THREAD : smaller(need->units, threads);
}

/* One of `slices` even cuts of all units. */
static void run_joined(void *self, const struct sl_work *work)
{
    const struct job *job = self;
    const int64_t units = job->ready->need.units, grains = (units + job->grain - 1) / job->grain;
    struct sl_work slice = *work;
    slice.begin = grains * work->begin / job->slices * job->grain;
    slice.end = smaller(grains * work->end / job->slices * job->grain, units);
    slice.state = job->ready->state;
    job->ready->row->kernel->run(job->ready->shape, job->args, &slice);
}

static void pack_slice(void *self, const struct sl_work *work)
{
    const struct job *job = self;
    struct sl_work slice = *work;
    slice.state = job->ready->state;
    job->ready->row->kernel->pack(job->ready->shape, job->weights, job->packed, &slice);
}

/* Whoever listens to the device is told of the launch. */
static int launch_job(const struct sl_choice *choice, struct job *job, int64_t units, size_t scratch, sl_task_fn *task)
{
    const struct sl_device *device = choice->device;
    const struct sl_launch_listener *listener = device->listener;
    if (!listener)
        return device->fork(device->self, units, scratch, task, job);
    listener->before(listener->self);
    const int rc = device->fork(device->self, units, scratch, task, job);
    listener->after(listener->self, choice, job->ready->row, task == pack_slice);
    return rc;
}

int sl_launch(struct sl_choice *choice, enum sl_op op, const void *shape, const void *args)
{
    const struct sl_device *device = choice->device;
    struct job job = {.args = args};
    assert(choice->op == op);
    (void)op;
    const int rc = ready_for(choice, shape, &job.ready);
    if (rc != SL_OK)
        return rc;
    const struct sl_need *need = &job.ready->need;
    if (!need->joins || device->threads < 1)
        return launch_job(choice, &job, need->units, need->scratch, run_slice);
    cut_joined(&job, device->threads);
    return launch_job(choice, &job, job.slices, need->scratch, run_joined);
}

static int pack_for(struct sl_choice *choice, const struct sl_ready *ready, const float *weights, void *packed)
{
    struct job job = {.ready = ready, .weights = weights, .packed = packed};
    choice->packer = ready->row;
    return launch_job(choice, &job, ready->need.pack_units, 0, pack_slice);
}

int sl_launch_pack(struct sl_choice *choice, const void *shape, const float *weights, void *packed)
{
    const struct sl_ready *ready;
    const int rc = ready_for(choice, shape, &ready);
    return rc == SL_OK && ready->need.packed ? pack_for(choice, ready, weights, packed) : rc;
}

int sl_choice_weights(struct sl_choice *choice, const void *shape, const float *weights, float *packed,
                      const float **ready)
{
    const struct sl_ready *row;
    const int rc = ready_for(choice, shape, &row);
    if (rc != SL_OK)
        return rc;
    *ready = row->need.packed ? packed : weights;
    return row->need.packed && choice->packer != row->row ? pack_for(choice, row, weights, packed) : SL_OK;
}
