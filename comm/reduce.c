/* In which order the calls of the wire are made, and what happens between them. */
#include "comm/reduce.h"

#include <assert.h>
#include <stdlib.h>

#include "comm/host_room.h"
#include "comm/reduce_internal.h"
#include "kernels/elementwise/elementwise.h"

/* Does what has become possible at a slot. */
static int take(struct sl_reduce *r, struct slot *slot, bool *moved)
{
    int rc = SL_OK;
    if (slot->stage == FREE || slot->stage == SUMMED)
        goto out;
    SL_TRY(sl_comm_test(r->comm, &slot->request));
    if (slot->request)
        goto out;
    *moved = true;
    if (slot->stage == SCATTERING) {
        SL_TRY(sl_reduce_sum(r, slot));
        slot->stage = SUMMED;
    } else {
        SL_TRY(sl_reduce_unpack(r, slot));
        slot->stage = FREE;
        r->done++;
    }
out:
    return rc;
}

/* ---- what goes out ---- */

static int start_scatter(struct sl_reduce *r, int64_t bucket)
{
    int rc = SL_OK;
    struct slot *slot = &r->slots[bucket % SLOTS];
    const size_t bytes = (size_t)row_floats(r, bucket) * sizeof(float);
    slot->bucket = bucket;
    SL_TRY(sl_reduce_pack(r, bucket, slot->out));
    SL_TRY(sl_comm_all_to_all(r->comm, slot->out, slot->in, bytes, &slot->request));
    slot->stage = SCATTERING;
out:
    return rc;
}

static int start_gather(struct sl_reduce *r, int64_t bucket)
{
    int rc = SL_OK;
    struct slot *slot = &r->slots[bucket % SLOTS];
    for (int j = 0; j < r->group->size; j++)
        slot->bytes[j] = (size_t)slice_floats(r, bucket) * sizeof(float);
    SL_TRY(sl_comm_all_gather(r->comm, slot->out + HEADER_FLOATS, slot->in, slot->bytes, &slot->request));
    slot->stage = GATHERING;
out:
    return rc;
}

/* The order of starts: the first AHEAD buckets go out, then bucket 0 comes back, bucket AHEAD goes out, bucket 1 comes
 * back, and so on. It depends on no rank's timing. */
struct start {
    int64_t bucket;
    bool gather;
};

static struct start start_at(int64_t i)
{
    const int64_t turn = i - AHEAD;
    if (turn < 0)
        return (struct start){i, false};
    return (struct start){turn % 2 ? AHEAD + turn / 2 : turn / 2, turn % 2 == 0};
}

static bool all_started(const struct sl_reduce *r)
{
    return r->next >= AHEAD + 2 * r->buckets - 1;
}

/* Starts what is next if it can be started. */
static int start_next(struct sl_reduce *r, bool *moved)
{
    int rc = SL_OK;
    if (all_started(r))
        goto out;
    const struct start start = start_at(r->next);
    const struct slot *slot = &r->slots[start.bucket % SLOTS];
    const bool exists = start.bucket < r->buckets;
    if (exists && start.gather) {
        if (slot->stage != SUMMED)
            goto out;
        SL_TRY(start_gather(r, start.bucket));
    } else if (exists) {
        if (slot->stage != FREE || r->given < start.bucket * r->bucket + bucket_floats(r, start.bucket))
            goto out;
        SL_TRY(start_scatter(r, start.bucket));
    }
    r->next++;
    *moved = true;
out:
    return rc;
}

/* Everything that is possible without waiting. */
static int advance(struct sl_reduce *r)
{
    int rc = SL_OK;
    bool moved = r->buckets > 0;
    while (moved) {
        moved = false;
        for (int i = 0; i < SLOTS; i++)
            SL_TRY(take(r, &r->slots[i], &moved));
        SL_TRY(start_next(r, &moved));
    }
out:
    return rc;
}

/* Waits for what holds up the next start, or at the end for anything. */
static int wait_for_others(struct sl_reduce *r)
{
    struct slot *slot = &r->slots[0];
    if (!all_started(r))
        slot = &r->slots[start_at(r->next).bucket % SLOTS];
    while (all_started(r) && slot->stage != GATHERING)
        slot++;
    assert(slot < r->slots + SLOTS && (slot->stage == SCATTERING || slot->stage == GATHERING));
    return sl_comm_wait(r->comm, &slot->request);
}

/* ---- the caller's side ---- */

void sl_reduce_begin(struct sl_reduce *r, enum sl_reduce_weights weights, int32_t samples)
{
    assert(r->done == r->buckets && samples >= 0);
    r->how = weights;
    r->samples = samples;
    r->sums++;
    r->given = r->done = r->next = 0;
    r->part_count = 0;
}

int sl_reduce_put(struct sl_reduce *r, struct sl_span part)
{
    int rc = SL_OK;
    assert(part.n <= (size_t)(r->n - r->given));
    if (r->part_count == r->part_room) {
        const size_t room = 2 * r->part_room + 64;
        struct part *parts = realloc(r->parts, room * sizeof *parts);
        if (!parts)
            SL_FAIL(SL_SYSTEM, "out of memory for the %zu parts of a sum", room);
        r->parts = parts;
        r->part_room = room;
    }
    r->parts[r->part_count++] = (struct part){part.at, r->given, r->given + (int64_t)part.n};
    r->given += (int64_t)part.n;
    SL_TRY(advance(r));
out:
    return rc;
}

int sl_reduce_finish(struct sl_reduce *r)
{
    int rc = SL_OK;
    assert(r->given == r->n);
    SL_TRY(advance(r));
    while (r->done < r->buckets) {
        SL_TRY(wait_for_others(r));
        SL_TRY(advance(r));
    }
out:
    return rc;
}

/* ---- opening ---- */

static int open_slot(const struct sl_reduce *r, struct slot *slot)
{
    const size_t ranks = (size_t)r->group->size, bytes = ranks * (size_t)row_floats(r, 0) * sizeof(float);
    float **const rooms[] = {&slot->out, &slot->in};
    if (!(slot->bytes = calloc(ranks, sizeof *slot->bytes)))
        return sl_fail(SL_SYSTEM, "out of memory for the buckets of a sum over %zu ranks", ranks);
    for (int i = 0; i < 2; i++) {
        void *room;
        const int rc = sl_host_room_open(r->device, bytes, &room);
        if (rc != SL_OK)
            return rc;
        *rooms[i] = room;
    }
    return SL_OK;
}

/* A device that does not read the host's memory sums in its own. */
static int open_device_buffers(struct sl_reduce *r)
{
    int rc = SL_OK;
    const struct sl_device *device = r->device;
    const size_t ranks = (size_t)r->group->size, row = (size_t)row_floats(r, 0) * sizeof(float);
    const struct {
        float **at;
        size_t bytes;
    } buffers[] = {{&r->device_in, ranks * row}, {&r->device_sum, row}, {&r->device_weights, ranks * sizeof(float)}};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) {
        void *memory;
        SL_TRY(device->alloc(device->self, buffers[i].bytes, &memory));
        *buffers[i].at = memory;
    }
out:
    return rc;
}

/* All that summing needs where there is somebody to sum with. */
static int open_buckets(struct sl_reduce *r)
{
    int rc = SL_OK;
    r->buckets = r->done = (r->n + r->bucket - 1) / r->bucket;
    const struct sl_weighted_sum_shape shape = {.n = row_floats(r, 0), .parts = r->group->size};
    SL_TRY(sl_choose_weighted_sum(r->device, &shape, &r->sum));
    if (!(r->weights = calloc((size_t)r->group->size, sizeof *r->weights)))
        SL_FAIL(SL_SYSTEM, "out of memory for the weights of %d ranks", r->group->size);
    for (int i = 0; i < SLOTS && i < r->buckets; i++)
        SL_TRY(open_slot(r, &r->slots[i]));
    if (!r->device->host_memory)
        SL_TRY(open_device_buffers(r));
out:
    return rc;
}

static struct sl_reduce describe(const struct sl_reduce_options *options)
{
    assert(options->n >= 1 && options->bucket >= 0);
    return (struct sl_reduce){
        .comm = options->comm,
        .group = sl_comm_group(options->comm),
        .device = options->device,
        .n = options->n,
        .bucket = options->bucket ? options->bucket : SL_REDUCE_BUCKET,
    };
}

uint64_t sl_reduce_memory(const struct sl_reduce_options *options)
{
    const struct sl_reduce r = describe(options);
    const int64_t buckets = (r.n + r.bucket - 1) / r.bucket, slots = buckets < SLOTS ? buckets : SLOTS;
    const uint64_t ranks = (uint64_t)r.group->size, row = (uint64_t)row_floats(&r, 0) * sizeof(float);
    if (ranks == 1)
        return 0;
    return 2 * (uint64_t)slots * ranks * row + (r.device->host_memory ? 0 : (ranks + 1) * row);
}

/* Each bucket goes out and comes back. */
int64_t sl_reduce_calls(int ranks, int64_t n)
{
    return ranks > 1 ? 2 * ((n + SL_REDUCE_BUCKET - 1) / SL_REDUCE_BUCKET) : 0;
}

int sl_reduce_open(const struct sl_reduce_options *options, struct sl_reduce **reduce)
{
    int rc = SL_OK;
    struct sl_reduce *r = calloc(1, sizeof *r);
    if (!r)
        SL_FAIL(SL_SYSTEM, "out of memory for a sum over ranks");
    *r = describe(options);
    if (r->group->size > 1)
        SL_TRY(open_buckets(r));
    *reduce = r;
    r = NULL;
out:
    sl_reduce_close(r);
    return rc;
}

/* What the wire may still read or write, after a failure, is left to it. */
static void close_slot(const struct sl_reduce *r, struct slot *slot)
{
    if (slot->request)
        return;
    sl_host_room_close(r->device, slot->out);
    sl_host_room_close(r->device, slot->in);
    free(slot->bytes);
}

void sl_reduce_close(struct sl_reduce *r)
{
    if (!r)
        return;
    for (int i = 0; i < SLOTS; i++)
        close_slot(r, &r->slots[i]);
    r->device->free(r->device->self, r->device_in);
    r->device->free(r->device->self, r->device_sum);
    r->device->free(r->device->self, r->device_weights);
    sl_choice_close(&r->sum);
    free(r->weights);
    free(r->parts);
    free(r);
}
