/* A case on a device that has memory of its own: its buffers are copied there, between poisoned margins, the pointers
 * among its arguments are led to the copies, and what was written comes back. */
#include <stdlib.h>
#include <string.h>

#include "tests/check.h"

enum { MARGIN = 256, POISON = 0xa5 };

/* The copies of a case's buffers. */
struct there {
    struct check_case *c;
    unsigned char *block[CHECK_BUFFERS]; /* margin, data, margin; NULL: none */
    unsigned char *host;                 /* room for the largest block */
    union {
        double align;
        unsigned char bytes[sizeof((struct check_case *)0)->args];
    } args;
};

static size_t block_bytes(const struct check_buffer *b)
{
    return (b->bytes + 63) / 64 * 64 + 2 * MARGIN;
}

/* Writes the copies' addresses for those that lie in a buffer of the case. */
static void lead(const struct there *t, unsigned char *words, size_t bytes)
{
    for (size_t i = 0; i + sizeof(uintptr_t) <= bytes; i += sizeof(uintptr_t)) {
        uintptr_t word;
        memcpy(&word, words + i, sizeof word);
        for (int k = 0; k < t->c->count; k++) {
            const struct check_buffer *b = &t->c->buffers[k];
            const uintptr_t at = (uintptr_t)b->at;
            if (!t->block[k] || word < at || word - at >= b->bytes)
                continue;
            const uintptr_t moved = (uintptr_t)t->block[k] + MARGIN + (word - at);
            memcpy(words + i, &moved, sizeof moved);
            break;
        }
    }
}

static int take_blocks(struct there *t)
{
    const struct sl_device *device = t->c->device;
    size_t most = 0;
    int rc = SL_OK;
    for (int k = 0; k < t->c->count; k++) {
        const struct check_buffer *b = &t->c->buffers[k];
        if (b->at == (unsigned char *)t->c->scratch) /* the device has its own */
            continue;
        void *block;
        SL_TRY(device->alloc(device->self, block_bytes(b), &block));
        t->block[k] = block;
        most = most > block_bytes(b) ? most : block_bytes(b);
    }
    t->host = malloc(most + 1);
    if (!t->host)
        SL_FAIL(SL_SYSTEM, "out of memory for a copy of %zu bytes", most);
out:
    return rc;
}

static void release_blocks(struct there *t)
{
    for (int k = 0; k < t->c->count; k++)
        if (t->block[k])
            t->c->device->free(t->c->device->self, t->block[k]);
    free(t->host);
}

/* The buffers and the arguments. */
static int bring(struct there *t)
{
    const struct sl_device *device = t->c->device;
    int rc = SL_OK;
    SL_TRY(take_blocks(t));
    memcpy(t->args.bytes, t->c->args.bytes, sizeof t->args.bytes);
    lead(t, t->args.bytes, sizeof t->args.bytes);
    for (int k = 0; k < t->c->count; k++) {
        const struct check_buffer *b = &t->c->buffers[k];
        if (!t->block[k])
            continue;
        memset(t->host, POISON, block_bytes(b));
        memcpy(t->host + MARGIN, b->at, b->bytes);
        if (b->holds_pointers)
            lead(t, t->host + MARGIN, b->bytes);
        SL_TRY(device->copy(device->self, t->block[k], t->host, block_bytes(b)));
        SL_TRY(device->sync(device->self));
    }
out:
    return rc;
}

static bool is_poison(const unsigned char *from, const unsigned char *to)
{
    while (from < to && *from == POISON)
        from++;
    return from == to;
}

static int fetch(struct there *t)
{
    const struct sl_device *device = t->c->device;
    int rc = SL_OK;
    for (int k = 0; k < t->c->count; k++) {
        struct check_buffer *b = &t->c->buffers[k];
        if (!t->block[k])
            continue;
        SL_TRY(device->copy(device->self, t->host, t->block[k], block_bytes(b)));
        SL_TRY(device->sync(device->self));
        const unsigned char *data = t->host + MARGIN;
        if (b->is_output)
            memcpy(b->at, data, b->bytes);
        const bool changed = !b->is_output && !b->holds_pointers && memcmp(b->at, data, b->bytes) != 0;
        b->overrun = changed || !is_poison(t->host, data) || !is_poison(data + b->bytes, t->host + block_bytes(b));
    }
out:
    return rc;
}

static void run_there(void *self, const struct sl_work *work)
{
    const struct there *t = self;
    struct sl_work all = *work;
    all.state = t->c->state;
    t->c->kernel->run(t->c->shape, t->args.bytes, &all);
}

bool check_run_there(struct check_case *c)
{
    struct there t = {.c = c};
    const struct sl_device *device = c->device;
    int rc = SL_OK;
    SL_TRY(bring(&t));
    SL_TRY(device->fork(device->self, c->need.units, c->need.scratch, run_there, &t));
    SL_TRY(device->sync(device->self));
    SL_TRY(fetch(&t));
out:
    release_blocks(&t);
    return rc == SL_OK;
}

enum { ROUNDS = 64 };

static int compare_seconds(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double check_time_there(struct check_case *c, int rounds, int launches, double (*clock)(void))
{
    struct there t = {.c = c};
    const struct sl_device *device = c->device;
    double seconds[ROUNDS];
    int rc = SL_OK;
    check_must(rounds <= ROUNDS, "too many rounds");
    SL_TRY(bring(&t));
    for (int i = -1; i < rounds; i++) { /* the first warms up */
        const double begin = clock();
        for (int k = 0; k < launches; k++)
            SL_TRY(device->fork(device->self, c->need.units, c->need.scratch, run_there, &t));
        SL_TRY(device->sync(device->self));
        if (i >= 0)
            seconds[i] = (clock() - begin) / launches;
    }
    qsort(seconds, (size_t)rounds, sizeof *seconds, compare_seconds);
out:
    release_blocks(&t);
    return rc == SL_OK ? seconds[rounds / 2] : -1.0;
}

struct packing {
    const struct check_case *c;
    void *weights, *packed;
};

static void pack_there(void *self, const struct sl_work *work)
{
    const struct packing *p = self;
    struct sl_work all = *work;
    all.state = p->c->state;
    p->c->kernel->pack(p->c->shape, p->weights, p->packed, &all);
}

void check_pack_there(struct check_case *c, const float *weights, float *packed)
{
    const struct sl_device *device = c->device;
    const size_t bytes = check_buffer_at(c, weights)->bytes;
    struct packing p = {.c = c};
    int rc = SL_OK;
    SL_TRY(device->alloc(device->self, bytes, &p.weights));
    SL_TRY(device->alloc(device->self, c->need.packed, &p.packed));
    SL_TRY(device->copy(device->self, p.weights, weights, bytes));
    SL_TRY(device->copy(device->self, p.packed, packed, c->need.packed));
    SL_TRY(device->fork(device->self, c->need.pack_units, 0, pack_there, &p));
    SL_TRY(device->sync(device->self));
    SL_TRY(device->copy(device->self, packed, p.packed, c->need.packed));
    SL_TRY(device->sync(device->self));
out:
    device->free(device->self, p.packed);
    device->free(device->self, p.weights);
    (void)rc; /* what could not be packed stays NaN, and the run meets the same fault */
}
