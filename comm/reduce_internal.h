/* What reduce.c (the order of calls) and reduce_rows.c (what is in them) share. */
#ifndef SL_COMM_REDUCE_INTERNAL_H
#define SL_COMM_REDUCE_INTERNAL_H

#include "comm/reduce.h"
#include "kernels/launch.h"

/* AHEAD buckets bring slices while as many take sums back. */
enum { HEADER_FLOATS = 16, AHEAD = 2, SLOTS = 2 * AHEAD };

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

static inline int64_t bucket_floats(const struct sl_reduce *r, int64_t bucket)
{
    const int64_t left = r->n - bucket * r->bucket;
    return left < r->bucket ? left : r->bucket;
}

static inline int64_t slice_floats(const struct sl_reduce *r, int64_t bucket)
{
    const int64_t slice = (bucket_floats(r, bucket) + r->group->size - 1) / r->group->size;
    return (slice + HEADER_FLOATS - 1) / HEADER_FLOATS * HEADER_FLOATS;
}

/* A slice and its header. */
static inline int64_t row_floats(const struct sl_reduce *r, int64_t bucket)
{
    return HEADER_FLOATS + slice_floats(r, bucket);
}

/* The rows of a bucket, one for each rank. */
int sl_reduce_pack(const struct sl_reduce *r, int64_t bucket, float *rows);

/* The slices of all ranks have come: their sum goes into the first row of `out`. SL_IO, SL_DISAGREE. */
int sl_reduce_sum(struct sl_reduce *r, struct slot *slot);

/* The sums of all slices have come: they go to where the bucket came from. */
int sl_reduce_unpack(const struct sl_reduce *r, const struct slot *slot);

#endif
