/* Buckets as they are on the wire: a stream cut into rows, the headers before them, and the sum of what comes in. */
#include <string.h>

#include "comm/host_room.h"
#include "comm/reduce_internal.h"
#include "kernels/elementwise/elementwise.h"
#include "runtime/base/hash.h"

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

/* ---- between the stream and the host's buffers ---- */

/* Copies floats [begin, begin + n) of the stream from or to the host. */
static int copy_stream(const struct sl_reduce *r, int64_t begin, int64_t n, float *host, bool to_host)
{
    for (size_t i = 0; i < r->part_count; i++) {
        const struct part *part = &r->parts[i];
        const int64_t from = part->begin > begin ? part->begin : begin;
        const int64_t to = part->end < begin + n ? part->end : begin + n;
        if (from >= to)
            continue;
        float *theirs = part->at + (from - part->begin), *ours = host + (from - begin);
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
                            .rank = (uint32_t)sl_comm_number(r->comm, r->group->rank),
                            .weights = r->how,
                            .samples = (uint64_t)r->samples};
    memcpy(header.magic, magic, sizeof magic);
    return header;
}

int sl_reduce_pack(const struct sl_reduce *r, int64_t bucket, float *rows)
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
    SL_TRY(sl_host_room_wait(r->device));
out:
    return rc;
}

/* ---- what comes in ---- */

static int check_header(const struct sl_reduce *r, int rank, const struct header *theirs, const struct header *mine)
{
    const char *host = r->group->hosts[rank];
    const int number = sl_comm_number(r->comm, rank);
    if (memcmp(theirs->magic, magic, sizeof magic) != 0 || theirs->rank != (uint32_t)number || theirs->zero ||
        theirs->samples > INT32_MAX)
        return sl_fail(SL_IO, "what came from rank %d on %s is damaged: it is no part of a sum", number, host);
    if (theirs->sum != mine->sum || theirs->bucket != mine->bucket)
        return sl_fail(SL_IO, "from rank %d on %s came bucket %llu of sum %llu where %llu of %llu was due", number,
                       host, (unsigned long long)theirs->bucket, (unsigned long long)theirs->sum,
                       (unsigned long long)mine->bucket, (unsigned long long)mine->sum);
    if (theirs->floats != mine->floats || theirs->place != mine->place || theirs->weights != mine->weights)
        return sl_fail(SL_DISAGREE, "rank %d on %s sums other parameters, or in another order, than rank %d on %s",
                       number, host, (int)mine->rank, r->group->hosts[r->group->rank]);
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

int sl_reduce_sum(struct sl_reduce *r, struct slot *slot)
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
    SL_TRY(sl_host_room_wait(device));
out:
    return rc;
}

int sl_reduce_unpack(const struct sl_reduce *r, const struct slot *slot)
{
    const int rc = copy_stream(r, slot->bucket * r->bucket, bucket_floats(r, slot->bucket), slot->in, false);
    return rc == SL_OK ? sl_host_room_wait(r->device) : rc;
}
