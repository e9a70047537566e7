#include "comm/reduce.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/elementwise/elementwise.h"
#include "kernels/launch.h"
#include "runtime/base/hash.h"

/* AHEAD buckets bring slices while as many take sums back. */
enum { HEADER_FLOATS = 16, AHEAD = 2, SLOTS = 2 * AHEAD };

/* Goes before each slice, in the place of 16 floats. What its floats become in the sum is ignored. */
struct header {
    char magic[8];
    uint64_t sum, bucket, floats; /* which, and floats of the stream */
    uint64_t place;               /* a hash of where the bucket's floats come from */
    uint32_t rank, weights;
    uint64_t samples, zero;
};
_Static_assert(sizeof(struct header) == HEADER_FLOATS * sizeof(float), "a header stands before each slice");

static const char magic[8] = "SLSUM01";

/* Floats [begin, end) of the stream. */
struct part {
    float *at;
    int64_t begin, end;
};

/* A bucket on its way. */
struct slot {
    enum { FREE, SCATTERING, SUMMED, GATHERING } stage;
    int64_t bucket;
    struct sl_request *request;
    /* On the host. [rank][row]: what goes out, then the own slice's sum in the first row; what comes in, then the sums
     * of all slices end to end. */
    float *out, *in;
    size_t *bytes; /* [ranks] of the sums */
};

struct sl_reduce {
    struct sl_comm *comm;
    const struct sl_group *group;
    const struct sl_device *device;
    int64_t n, bucket, buckets; /* no buckets where there is one rank */
    struct slot slots[SLOTS];
    struct sl_choice sum;
    float *weights;                                 /* [ranks], on the host */
    float *device_in, *device_sum, *device_weights; /* NULL where the host's serve */
    struct part *parts;
    size_t part_count, part_room;
    /* Of the sum that is under way. */
    enum sl_reduce_weights how;
    int32_t samples;
    uint64_t sums;       /* begun so far */
    int64_t given, done; /* floats, buckets */
    int64_t next;        /* in the order of starts */
};

/* ---- sizes ---- */

static int64_t bucket_floats(const struct sl_reduce *r, int64_t bucket)
{
    const int64_t left = r->n - bucket * r->bucket;
    return left < r->bucket ? left : r->bucket;
}

static int64_t slice_floats(const struct sl_reduce *r, int64_t bucket)
{
    const int64_t slice = (bucket_floats(r, bucket) + r->group->size - 1) / r->group->size;
    return (slice + HEADER_FLOATS - 1) / HEADER_FLOATS * HEADER_FLOATS;
}

/* A slice and its header. */
static int64_t row_floats(const struct sl_reduce *r, int64_t bucket)
{
    return HEADER_FLOATS + slice_floats(r, bucket);
}

/* ---- between the stream and the host's buffers ---- */

/* Copies floats [begin, begin + n) of the stream from or to the host. */
static int copy_stream(const struct sl_reduce *r, int64_t begin, int64_t n, float *host, bool to_host)
{
    for (size_t i = 0; i < r->part_count; i++) {
        const struct part *part = &r->parts[i];
        const int64_t from = part->begin > begin ? part->begin : begin;
        const int64_t to = part->end < begin + n ? part->end : begin + n;
        float *theirs = part->at + (from - part->begin), *ours = host + (from - begin);
        if (from >= to)
            continue;
        const size_t bytes = (size_t)(to - from) * sizeof(float);
        const int rc = r->device->copy(r->device->self, to_host ? ours : theirs, to_host ? theirs : ours, bytes);
        if (rc != SL_OK)
            return rc;
    }
    return SL_OK;
}

/* Where a bucket's floats lie, counted from the first part: the same on all ranks, or they sum different things. */
static uint64_t hash_place(const struct sl_reduce *r, int64_t bucket)
{
    const int64_t begin = bucket * r->bucket, end = begin + bucket_floats(r, bucket);
    uint64_t hash = 0;
    for (size_t i = 0; i < r->part_count; i++) {
        const struct part *part = &r->parts[i];
        if (part->end <= begin || part->begin >= end)
            continue;
        const uint64_t place[] = {hash, (uint64_t)part->begin, (uint64_t)part->end,
                                  (uint64_t)((intptr_t)part->at - (intptr_t)r->parts[0].at)};
        hash = sl_hash64(place, sizeof place);
    }
    return hash;
}

static struct header make_header(const struct sl_reduce *r, int64_t bucket)
{
    struct header header = {.sum = r->sums,
                            .bucket = (uint64_t)bucket,
                            .floats = (uint64_t)r->n,
                            .place = hash_place(r, bucket),
                            .rank = (uint32_t)r->group->rank,
                            .weights = r->how,
                            .samples = (uint64_t)r->samples};
    memcpy(header.magic, magic, sizeof magic);
    return header;
}

/* The rows of a bucket, one for each rank. */
static int pack(const struct sl_reduce *r, int64_t bucket, float *rows)
{
    int rc = SL_OK;
    const int64_t floats = bucket_floats(r, bucket), slice = slice_floats(r, bucket), row = HEADER_FLOATS + slice;
    const struct header header = make_header(r, bucket);
    const bool zeros = r->how == SL_REDUCE_SAMPLES && r->samples == 0;
    SL_TRY(r->device->sync(r->device->self));
    for (int j = 0; j < r->group->size; j++) {
        float *to = rows + j * row;
        const int64_t left = zeros ? 0 : floats - j * slice;
        const int64_t there = left < 0 ? 0 : left < slice ? left : slice;
        memcpy(to, &header, sizeof header);
        SL_TRY(copy_stream(r, bucket * r->bucket + j * slice, there, to + HEADER_FLOATS, true));
        memset(to + HEADER_FLOATS + there, 0, (size_t)(slice - there) * sizeof *to);
    }
out:
    return rc;
}

/* ---- what comes in ---- */

static int check_header(const struct sl_reduce *r, int rank, const struct header *theirs, const struct header *mine)
{
    const char *host = r->group->hosts[rank];
    if (memcmp(theirs->magic, magic, sizeof magic) != 0 || theirs->rank != (uint32_t)rank || theirs->zero ||
        theirs->samples > INT32_MAX)
        return sl_fail(SL_IO, "what came from rank %d on %s is damaged: it is no part of a sum", rank, host);
    if (theirs->sum != mine->sum || theirs->bucket != mine->bucket)
        return sl_fail(SL_IO, "rank %d on %s sent bucket %llu of sum %llu where %llu of %llu was due", rank, host,
                       (unsigned long long)theirs->bucket, (unsigned long long)theirs->sum,
                       (unsigned long long)mine->bucket, (unsigned long long)mine->sum);
    if (theirs->floats != mine->floats || theirs->place != mine->place || theirs->weights != mine->weights)
        return sl_fail(SL_DISAGREE, "rank %d on %s sums other parameters, or in another order, than rank %d on %s",
                       rank, host, r->group->rank, r->group->hosts[r->group->rank]);
    return SL_OK;
}

/* Checks the headers of all rows and makes weights of them. */
static int read_headers(const struct sl_reduce *r, const struct slot *slot)
{
    int rc = SL_OK;
    const int64_t row = row_floats(r, slot->bucket);
    const struct header mine = make_header(r, slot->bucket);
    struct header theirs;
    uint64_t total = 0;
    for (int j = 0; j < r->group->size; j++) {
        memcpy(&theirs, slot->in + j * row, sizeof theirs);
        SL_TRY(check_header(r, j, &theirs, &mine));
        total += theirs.samples;
    }
    for (int j = 0; j < r->group->size; j++) {
        memcpy(&theirs, slot->in + j * row, sizeof theirs);
        const double share = total ? (double)theirs.samples / (double)total : 0.0;
        r->weights[j] = (float)(r->how == SL_REDUCE_SUM    ? 1.0
                                : r->how == SL_REDUCE_MEAN ? 1.0 / r->group->size
                                                           : share);
    }
out:
    return rc;
}

/* The slices of all ranks have come: their sum goes into the first row of `out`. */
static int sum_slices(struct sl_reduce *r, struct slot *slot)
{
    int rc = SL_OK;
    const struct sl_device *device = r->device;
    const int64_t row = row_floats(r, slot->bucket);
    const struct sl_weighted_sum_shape shape = {.n = row, .parts = r->group->size};
    const size_t bytes = (size_t)row * sizeof(float), ranks = (size_t)r->group->size;
    SL_TRY(read_headers(r, slot));
    if (device->host_memory) {
        const struct sl_weighted_sum args = {slot->in, r->weights, slot->out};
        SL_TRY(sl_launch_weighted_sum(&r->sum, &shape, &args));
        SL_TRY(device->sync(device->self));
        goto out;
    }
    const struct sl_weighted_sum args = {r->device_in, r->device_weights, r->device_sum};
    SL_TRY(device->copy(device->self, r->device_in, slot->in, ranks * bytes));
    SL_TRY(device->copy(device->self, r->device_weights, r->weights, ranks * sizeof(float)));
    SL_TRY(sl_launch_weighted_sum(&r->sum, &shape, &args));
    SL_TRY(device->sync(device->self));
    SL_TRY(device->copy(device->self, slot->out, r->device_sum, bytes));
out:
    return rc;
}

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
        SL_TRY(sum_slices(r, slot));
        slot->stage = SUMMED;
    } else {
        SL_TRY(copy_stream(r, slot->bucket * r->bucket, bucket_floats(r, slot->bucket), slot->in, false));
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
    SL_TRY(pack(r, bucket, slot->out));
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
    slot->out = aligned_alloc(64, bytes);
    slot->in = aligned_alloc(64, bytes);
    slot->bytes = calloc(ranks, sizeof *slot->bytes);
    if (!slot->out || !slot->in || !slot->bytes)
        return sl_fail(SL_SYSTEM, "out of memory for the buckets of a sum over %zu ranks", ranks);
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

int sl_reduce_open(const struct sl_reduce_options *options, struct sl_reduce **reduce)
{
    int rc = SL_OK;
    struct sl_reduce *r = calloc(1, sizeof *r);
    assert(options->n >= 1 && options->bucket >= 0);
    if (!r)
        SL_FAIL(SL_SYSTEM, "out of memory for a sum over ranks");
    r->comm = options->comm;
    r->group = sl_comm_group(options->comm);
    r->device = options->device;
    r->n = options->n;
    r->bucket = options->bucket ? options->bucket : SL_REDUCE_BUCKET;
    if (r->group->size > 1)
        SL_TRY(open_buckets(r));
    *reduce = r;
    r = NULL;
out:
    sl_reduce_close(r);
    return rc;
}

/* What the wire may still read or write, after a failure, is left to it. */
static void close_slot(struct slot *slot)
{
    if (slot->request)
        return;
    free(slot->out);
    free(slot->in);
    free(slot->bytes);
}

void sl_reduce_close(struct sl_reduce *r)
{
    if (!r)
        return;
    for (int i = 0; i < SLOTS; i++)
        close_slot(&r->slots[i]);
    r->device->free(r->device->self, r->device_in);
    r->device->free(r->device->self, r->device_sum);
    r->device->free(r->device->self, r->device_weights);
    sl_choice_close(&r->sum);
    free(r->weights);
    free(r->parts);
    free(r);
}
