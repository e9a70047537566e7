/* A wire in front of another, which changes what a rank sends. */
#ifndef SL_TESTS_BAD_WIRE_H
#define SL_TESTS_BAD_WIRE_H

#include <stdlib.h>
#include <string.h>

#include "comm/wire.h"

struct bad_wire {
    struct sl_wire inner;
    /* Gets a copy of what is sent: `parts` of `bytes` each. */
    void (*change)(struct bad_wire *wire, char *sent, int parts, size_t bytes);
    void *self;
    struct copy {
        struct copy *next;
        char sent[];
    } * copies; /* freed at the close: the wire reads them until a call is done */
};

static inline char *bad_wire_copy(struct bad_wire *bad, const void *sent, int parts, size_t bytes)
{
    struct copy *copy = malloc(sizeof *copy + (size_t)parts * bytes + 1);
    if (!copy)
        abort();
    copy->next = bad->copies;
    bad->copies = copy;
    if (bytes)
        memcpy(copy->sent, sent, (size_t)parts * bytes);
    bad->change(bad, copy->sent, parts, bytes);
    return copy->sent;
}

static inline int bad_wire_all_to_all(void *self, const void *send, void *receive, size_t bytes,
                                      struct sl_request **request)
{
    struct bad_wire *bad = self;
    const char *sent = bad_wire_copy(bad, send, bad->inner.size, bytes);
    return bad->inner.all_to_all(bad->inner.self, sent, receive, bytes, request);
}

static inline int bad_wire_all_gather(void *self, const void *mine, void *all, const size_t *bytes,
                                      struct sl_request **request)
{
    struct bad_wire *bad = self;
    const char *sent = bad_wire_copy(bad, mine, 1, bytes[bad->inner.rank]);
    return bad->inner.all_gather(bad->inner.self, sent, all, bytes, request);
}

static inline int bad_wire_test(void *self, struct sl_request *request, bool *done)
{
    struct bad_wire *bad = self;
    return bad->inner.test(bad->inner.self, request, done);
}

static inline int bad_wire_hosts(void *self, int *hosts)
{
    struct bad_wire *bad = self;
    return bad->inner.hosts(bad->inner.self, hosts);
}

static inline int bad_wire_tell(void *self, const struct sl_beat *mine)
{
    struct bad_wire *bad = self;
    return bad->inner.tell(bad->inner.self, mine);
}

static inline int bad_wire_hear(void *self, struct sl_beat *all)
{
    struct bad_wire *bad = self;
    return bad->inner.hear(bad->inner.self, all);
}

static inline void bad_wire_abort(void *self, int code)
{
    struct bad_wire *bad = self;
    bad->inner.abort(bad->inner.self, code);
}

static inline void bad_wire_close(void *self)
{
    struct bad_wire *bad = self;
    bad->inner.close(bad->inner.self);
    while (bad->copies) {
        struct copy *next = bad->copies->next;
        free(bad->copies);
        bad->copies = next;
    }
}

/* *wire becomes the bad one; `bad` lives as long as it. */
static inline void bad_wire_open(struct bad_wire *bad, struct sl_wire *wire,
                                 void (*change)(struct bad_wire *, char *, int, size_t), void *self)
{
    *bad = (struct bad_wire){.inner = *wire, .change = change, .self = self};
    *wire = (struct sl_wire){.name = wire->name,
                             .rank = wire->rank,
                             .size = wire->size,
                             .self = bad,
                             .all_to_all = bad_wire_all_to_all,
                             .all_gather = bad_wire_all_gather,
                             .test = bad_wire_test,
                             .hosts = bad_wire_hosts,
                             .tell = bad_wire_tell,
                             .hear = bad_wire_hear,
                             .abort = bad_wire_abort,
                             .close = bad_wire_close};
}
#endif
