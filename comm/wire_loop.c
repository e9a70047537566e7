/* The threads of one process as ranks. The n-th collective calls of all ranks are one meeting; who comes last copies
 * for everybody, so a call is done as soon as all have made it, whoever looks. */
#include "comm/wire_loop.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum verb { ALL_TO_ALL, ALL_GATHER };

/* What one rank brings to a meeting. */
struct offer {
    bool made;
    const char *send;
    char *receive;
    size_t part;         /* of all_to_all */
    const size_t *bytes; /* of all_gather */
};

/* A meeting: all ranks hold the same one. */
struct sl_request {
    struct sl_request *next;
    uint64_t number;
    enum verb verb;
    int arrived, left;
    struct offer offers[];
};

struct member {
    struct loop *loop;
    int rank;
    uint64_t calls;
};

struct loop {
    pthread_mutex_t lock;
    int size, open;
    atomic_int own_end, *ended; /* the status the job was ended with: of a part, that of the whole */
    struct loop *whole;         /* NULL: this is no part */
    struct loop *parts, *next;  /* those that are open, by the number of the call that made them */
    uint64_t number;
    struct sl_request *meetings;
    struct sl_beat *beats;
    struct member members[];
};

static int fail_ended(const struct loop *loop)
{
    const int ended = *loop->ended;
    return sl_fail(SL_IO, "the job was ended with status %d: %s", ended, sl_status_text(ended));
}

static int find_meeting(struct loop *loop, uint64_t number, enum verb verb, struct sl_request **meeting)
{
    struct sl_request *found = loop->meetings;
    while (found && found->number != number)
        found = found->next;
    if (!found) {
        found = calloc(1, sizeof *found + (size_t)loop->size * sizeof *found->offers);
        if (!found)
            return sl_fail(SL_SYSTEM, "out of memory for a call between %d ranks", loop->size);
        found->number = number;
        found->verb = verb;
        found->next = loop->meetings;
        loop->meetings = found;
    }
    *meeting = found;
    return SL_OK;
}

static void drop_meeting(struct loop *loop, struct sl_request *meeting)
{
    if (++meeting->left < loop->size)
        return;
    struct sl_request **at = &loop->meetings;
    while (*at != meeting)
        at = &(*at)->next;
    *at = meeting->next;
    free(meeting);
}

static void copy(char *to, const char *from, size_t bytes)
{
    if (bytes)
        memcpy(to, from, bytes);
}

static void copy_for(const struct sl_request *meeting, int size, int rank)
{
    size_t at = 0;
    for (int i = 0; i < size; i++) {
        const struct offer *mine = &meeting->offers[rank], *from = &meeting->offers[i];
        const size_t bytes = meeting->verb == ALL_TO_ALL ? mine->part : mine->bytes[i];
        copy(mine->receive + at, from->send + (meeting->verb == ALL_TO_ALL ? (size_t)rank * bytes : 0), bytes);
        at += bytes;
    }
}

/* All ranks must mean the same call. */
static bool same_call(const struct sl_request *meeting, enum verb verb, const struct offer *mine, int size)
{
    int other = 0;
    while (other < size && !meeting->offers[other].made)
        other++;
    if (other == size)
        return true;
    if (verb != meeting->verb)
        return false;
    return verb == ALL_TO_ALL
               ? mine->part == meeting->offers[other].part
               : memcmp(mine->bytes, meeting->offers[other].bytes, (size_t)size * sizeof *mine->bytes) == 0;
}

static int meet(struct member *member, enum verb verb, const struct offer *mine, struct sl_request **request)
{
    int rc = SL_OK;
    struct loop *loop = member->loop;
    struct sl_request *meeting = NULL;
    pthread_mutex_lock(&loop->lock);
    if (*loop->ended)
        rc = fail_ended(loop);
    else
        rc = find_meeting(loop, member->calls, verb, &meeting);
    if (rc == SL_OK && !same_call(meeting, verb, mine, loop->size)) {
        *loop->ended = SL_INTERNAL;
        rc = sl_fail(SL_INTERNAL, "call %llu of rank %d differs from that of the other ranks",
                     (unsigned long long)member->calls, member->rank);
    }
    if (rc == SL_OK) {
        member->calls++;
        meeting->offers[member->rank] = *mine;
        *request = meeting;
        if (++meeting->arrived == loop->size)
            for (int i = 0; i < loop->size; i++)
                copy_for(meeting, loop->size, i);
    }
    pthread_mutex_unlock(&loop->lock);
    return rc;
}

static int all_to_all(void *self, const void *send, void *receive, size_t bytes, struct sl_request **request)
{
    return meet(self, ALL_TO_ALL, &(struct offer){.made = true, .send = send, .receive = receive, .part = bytes},
                request);
}

static int all_gather(void *self, const void *mine, void *all, const size_t *bytes, struct sl_request **request)
{
    return meet(self, ALL_GATHER, &(struct offer){.made = true, .send = mine, .receive = all, .bytes = bytes}, request);
}

static int test(void *self, struct sl_request *request, bool *done)
{
    const struct member *member = self;
    struct loop *loop = member->loop;
    pthread_mutex_lock(&loop->lock);
    const int rc = *loop->ended ? fail_ended(loop) : SL_OK;
    *done = rc == SL_OK && request->arrived == loop->size;
    if (*done || rc != SL_OK)
        drop_meeting(loop, request);
    pthread_mutex_unlock(&loop->lock);
    return rc;
}

static int hosts(void *self, int *numbers)
{
    const struct member *member = self;
    memset(numbers, 0, (size_t)member->loop->size * sizeof *numbers);
    return SL_OK;
}

static int tell(void *self, const struct sl_beat *mine)
{
    const struct member *member = self;
    struct loop *loop = member->loop;
    pthread_mutex_lock(&loop->lock);
    const int rc = *loop->ended ? fail_ended(loop) : SL_OK;
    loop->beats[member->rank] = *mine;
    pthread_mutex_unlock(&loop->lock);
    return rc;
}

static int hear(void *self, struct sl_beat *all)
{
    const struct member *member = self;
    struct loop *loop = member->loop;
    pthread_mutex_lock(&loop->lock);
    const int rc = *loop->ended ? fail_ended(loop) : SL_OK;
    memcpy(all, loop->beats, (size_t)loop->size * sizeof *all);
    pthread_mutex_unlock(&loop->lock);
    return rc;
}

static void end(void *self, int code)
{
    const struct member *member = self;
    int none = 0;
    atomic_compare_exchange_strong(member->loop->ended, &none, code);
}

static void free_loop(struct loop *loop)
{
    while (loop->meetings) {
        struct sl_request *next = loop->meetings->next;
        free(loop->meetings);
        loop->meetings = next;
    }
    while (loop->parts) {
        struct loop *next = loop->parts->next;
        free_loop(loop->parts);
        loop->parts = next;
    }
    pthread_mutex_destroy(&loop->lock);
    free(loop->beats);
    free(loop);
}

static void forget_part(struct loop *part)
{
    struct loop **at = &part->whole->parts;
    pthread_mutex_lock(&part->whole->lock);
    while (*at != part)
        at = &(*at)->next;
    *at = part->next;
    pthread_mutex_unlock(&part->whole->lock);
}

static void leave(void *self)
{
    const struct member *member = self;
    struct loop *loop = member->loop;
    pthread_mutex_lock(&loop->lock);
    const bool last = --loop->open == 0;
    pthread_mutex_unlock(&loop->lock);
    if (last && loop->whole)
        forget_part(loop);
    if (last)
        free_loop(loop);
}

/* ---- opening ---- */

/* `whole`: of which it is a part; NULL: of none. */
static int new_loop(int size, struct loop *whole, struct loop **made)
{
    struct loop *loop = calloc(1, sizeof *loop + (size_t)size * sizeof *loop->members);
    struct sl_beat *beats = calloc((size_t)size, sizeof *beats);
    if (!loop || !beats || pthread_mutex_init(&loop->lock, NULL) != 0) {
        free(loop);
        free(beats);
        return sl_fail(SL_SYSTEM, "out of memory for a wire between %d ranks", size);
    }
    loop->size = loop->open = size;
    loop->beats = beats;
    loop->whole = whole;
    loop->ended = whole ? whole->ended : &loop->own_end;
    for (int i = 0; i < size; i++)
        loop->members[i] = (struct member){.loop = loop, .rank = i};
    *made = loop;
    return SL_OK;
}

static struct sl_wire part_of(struct loop *loop, int rank)
{
    return (struct sl_wire){.name = "loop",
                            .rank = rank,
                            .size = loop->size,
                            .self = &loop->members[rank],
                            .all_to_all = all_to_all,
                            .all_gather = all_gather,
                            .test = test,
                            .close = leave};
}

/* Which ranks are members; waits for all of them. */
static int gather_members(struct member *mine, const bool *is_member, bool *members)
{
    int rc = SL_OK;
    bool done = false;
    static const struct timespec moment = {.tv_nsec = 50000};
    struct sl_request *request = NULL;
    size_t *bytes = calloc((size_t)mine->loop->size, sizeof *bytes);
    if (!bytes)
        SL_FAIL(SL_SYSTEM, "out of memory for a part of %d ranks", mine->loop->size);
    for (int i = 0; i < mine->loop->size; i++)
        bytes[i] = sizeof *is_member;
    SL_TRY(all_gather(mine, is_member, members, bytes, &request));
    for (;;) {
        SL_TRY(test(mine, request, &done));
        if (done)
            break;
        nanosleep(&moment, NULL);
    }
out:
    free(bytes);
    return rc;
}

/* The part that this call makes, which its first rank does. */
static int take_part(struct loop *loop, uint64_t number, int size, struct loop **part)
{
    int rc = SL_OK;
    pthread_mutex_lock(&loop->lock);
    struct loop **at = &loop->parts;
    while (*at && (*at)->number != number)
        at = &(*at)->next;
    if (!*at && (rc = new_loop(size, loop, at)) == SL_OK)
        (*at)->number = number;
    *part = *at;
    pthread_mutex_unlock(&loop->lock);
    return rc;
}

static int split(void *self, bool is_member, struct sl_wire *part)
{
    int rc = SL_OK, rank = 0, size = 0;
    struct member *mine = self;
    struct loop *loop = mine->loop, *made;
    const uint64_t number = mine->calls;
    bool *members = calloc((size_t)loop->size, sizeof *members);
    if (!members)
        SL_FAIL(SL_SYSTEM, "out of memory for a part of %d ranks", loop->size);
    SL_TRY(gather_members(mine, &is_member, members));
    for (int i = 0; i < loop->size; i++) {
        rank += i < mine->rank && members[i];
        size += members[i];
    }
    if (!is_member)
        goto out;
    SL_TRY(take_part(loop, number, size, &made));
    *part = part_of(made, rank);
out:
    free(members);
    return rc;
}

int sl_wire_loop_open(int size, struct sl_wire *wires)
{
    struct loop *loop;
    const int rc = new_loop(size, NULL, &loop);
    for (int i = 0; rc == SL_OK && i < size; i++) {
        wires[i] = part_of(loop, i);
        wires[i].hosts = hosts;
        wires[i].split = split;
        wires[i].tell = tell;
        wires[i].hear = hear;
        wires[i].abort = end;
    }
    return rc;
}
