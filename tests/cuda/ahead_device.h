/* The emulated device as a GPU that works while the host goes on: all that is started is noted, and runs when somebody
 * waits for it and no sooner. So what the host touches too early shows, as does a number that was recorded and should
 * have changed. What is sent beside the work arrives at one of the two ends of the time that it may take. */
#ifndef SL_TESTS_CUDA_AHEAD_DEVICE_H
#define SL_TESTS_CUDA_AHEAD_DEVICE_H

#include "kernels/cuda/emulated_launch.h"
#include "tests/cuda/emulated_device.h"

enum ahead_kind { AHEAD_LAUNCH, AHEAD_COPY, AHEAD_FILL };

struct ahead_piece {
    enum ahead_kind kind;
    struct sl_emulated_launch launch; /* with a copy of its arguments */
    void *to;
    const void *from; /* of a copy: memory of the device or pinned, read when it runs */
    void *own;        /* instead: what pageable memory held */
    size_t bytes;
    int byte;
};

struct ahead_queue {
    struct ahead_piece *pieces;
    size_t count, room;
};

enum { AHEAD_PINNED = 16 };

struct ahead_device {
    void *strict;
    bool send_late;     /* what is sent arrives when somebody has to have it; else at once */
    bool cannot_record; /* work fails while it is recorded */
    struct ahead_queue work, sends, recording;
    bool records;
    size_t done, marks[SL_DEVICE_MARKS]; /* pieces of the work */
    void *scratch;
    size_t scratch_bytes;
    struct {
        char *at;
        size_t bytes;
    } pinned[AHEAD_PINNED];
    unsigned sent, recorded, replayed, refused; /* so far */
};

struct ahead_recording {
    struct ahead_queue pieces;
    const void *scratch;
};

/* ---- pieces of work ---- */

static inline void *ahead_copy_of(const void *from, size_t bytes)
{
    const size_t line = 64;
    void *copy = aligned_alloc(line, (bytes + line) / line * line);
    assert_non_null(copy);
    return memcpy(copy, from, bytes);
}

static inline void ahead_add(struct ahead_queue *queue, struct ahead_piece piece)
{
    if (queue->count == queue->room) {
        queue->room = queue->room ? 2 * queue->room : 64;
        queue->pieces = realloc(queue->pieces, queue->room * sizeof *queue->pieces);
        assert_non_null(queue->pieces);
    }
    queue->pieces[queue->count++] = piece;
}

static inline void ahead_run(struct ahead_device *ahead, const struct ahead_piece *piece)
{
    strict_protect(ahead->strict, PROT_READ | PROT_WRITE);
    if (piece->kind == AHEAD_LAUNCH)
        sl_emulated_run(&piece->launch);
    else if (piece->kind == AHEAD_COPY)
        memcpy(piece->to, piece->own ? piece->own : piece->from, piece->bytes);
    else
        memset(piece->to, piece->byte, piece->bytes);
    strict_protect(ahead->strict, PROT_NONE);
}

static inline void ahead_drop(struct ahead_piece *piece)
{
    free(piece->launch.self);
    free(piece->own);
    *piece = (struct ahead_piece){0};
}

static inline void ahead_close_queue(struct ahead_queue *queue)
{
    for (size_t i = 0; i < queue->count; i++)
        ahead_drop(&queue->pieces[i]);
    free(queue->pieces);
    *queue = (struct ahead_queue){0};
}

/* The work up to here, of which some may be done. */
static inline void ahead_run_until(struct ahead_device *ahead, size_t end)
{
    for (; ahead->done < end; ahead->done++) {
        ahead_run(ahead, &ahead->work.pieces[ahead->done]);
        ahead_drop(&ahead->work.pieces[ahead->done]);
    }
}

static inline struct ahead_queue *ahead_to(struct ahead_device *ahead)
{
    return ahead->records ? &ahead->recording : &ahead->work;
}

static inline void ahead_note(void *self, const struct sl_emulated_launch *launch)
{
    struct ahead_piece piece = {.kind = AHEAD_LAUNCH, .launch = *launch};
    piece.launch.self = ahead_copy_of(launch->self, launch->bytes);
    ahead_add(ahead_to(self), piece);
}

/* ---- the device ---- */

static inline int ahead_sync(void *self)
{
    struct ahead_device *ahead = self;
    ahead_run_until(ahead, ahead->work.count);
    return strict_sync(ahead->strict);
}

static inline int ahead_alloc(void *self, size_t bytes, void **memory)
{
    return strict_alloc(((struct ahead_device *)self)->strict, bytes, memory);
}

static inline void ahead_free(void *self, void *memory)
{
    ahead_sync(self);
    strict_free(((struct ahead_device *)self)->strict, memory);
}

static inline bool ahead_pinned(const struct ahead_device *ahead, const void *at)
{
    for (int i = 0; i < AHEAD_PINNED; i++)
        if (ahead->pinned[i].at && ahead->pinned[i].at <= (const char *)at &&
            (const char *)at < ahead->pinned[i].at + ahead->pinned[i].bytes)
            return true;
    return false;
}

static inline int ahead_copy(void *self, void *to, const void *from, size_t bytes)
{
    struct ahead_device *ahead = self;
    struct ahead_piece piece = {.kind = AHEAD_COPY, .to = to, .from = from, .bytes = bytes};
    if (ahead->records)
        return sl_fail(SL_INTERNAL, "a recording cannot copy");
    const bool here = !strict_owns(ahead->strict, to) && !ahead_pinned(ahead, to);
    if (here && ahead->done < ahead->work.count) {
        fprintf(stderr, "%zu bytes are read before the device is done with them\n", bytes);
        abort();
    }
    if (!strict_owns(ahead->strict, from) && !ahead_pinned(ahead, from))
        piece.own = ahead_copy_of(from, bytes);
    ahead_add(&ahead->work, piece);
    return here ? ahead_sync(self) : SL_OK;
}

static inline int ahead_fill(void *self, void *to, int byte, size_t bytes)
{
    ahead_add(ahead_to(self), (struct ahead_piece){.kind = AHEAD_FILL, .to = to, .byte = byte, .bytes = bytes});
    return SL_OK;
}

static inline int ahead_reserve(struct ahead_device *ahead, size_t bytes)
{
    if (bytes <= ahead->scratch_bytes)
        return SL_OK;
    if (ahead->records)
        return sl_fail(SL_INTERNAL, "a recording cannot allocate");
    ahead_sync(ahead);
    strict_free(ahead->strict, ahead->scratch);
    ahead->scratch_bytes = bytes;
    return strict_alloc(ahead->strict, bytes, &ahead->scratch);
}

/* Scratch holds nothing of an earlier task. */
static inline int ahead_fork(void *self, int64_t units, size_t scratch_bytes, sl_task_fn *task, void *task_self)
{
    struct ahead_device *ahead = self;
    const int rc = ahead_reserve(ahead, scratch_bytes);
    if (rc != SL_OK)
        return rc;
    if (ahead->records && ahead->cannot_record && ++ahead->refused % 10 == 0)
        return sl_fail(SL_UNAVAILABLE, "this work cannot be recorded");
    const struct sl_work work = {.begin = 0, .end = units, .scratch = ahead->scratch};
    if (scratch_bytes)
        ahead_fill(self, ahead->scratch, 0xff, scratch_bytes);
    sl_emulated_note(ahead_note, ahead);
    task(task_self, &work);
    sl_emulated_note(NULL, NULL);
    return SL_OK;
}

static inline int ahead_alloc_pinned(void *self, size_t bytes, void **memory)
{
    struct ahead_device *ahead = self;
    const size_t rounded = (bytes + 64) / 64 * 64;
    int i = 0;
    while (ahead->pinned[i].at)
        assert_true(++i < AHEAD_PINNED);
    ahead->pinned[i].at = aligned_alloc(64, rounded);
    ahead->pinned[i].bytes = rounded;
    assert_non_null(ahead->pinned[i].at);
    *memory = memset(ahead->pinned[i].at, 0xff, rounded);
    return SL_OK;
}

static inline void ahead_free_pinned(void *self, void *memory)
{
    struct ahead_device *ahead = self;
    int i = 0;
    if (!memory)
        return;
    assert_int_equal(ahead->done, ahead->work.count);
    while (ahead->pinned[i].at != memory)
        assert_true(++i < AHEAD_PINNED);
    free(memory);
    ahead->pinned[i].at = NULL;
}

static inline int ahead_send(void *self, void *to, const void *from, size_t bytes)
{
    struct ahead_device *ahead = self;
    const struct ahead_piece piece = {.kind = AHEAD_COPY, .to = to, .from = from, .bytes = bytes};
    assert_true(ahead_pinned(ahead, from) && strict_owns(ahead->strict, to) && !ahead->records);
    ahead->sent++;
    if (ahead->send_late)
        ahead_add(&ahead->sends, piece);
    else
        ahead_run(ahead, &piece);
    return SL_OK;
}

static inline int ahead_sent(void *self)
{
    struct ahead_device *ahead = self;
    for (size_t i = 0; i < ahead->sends.count; i++)
        ahead_add(&ahead->work, ahead->sends.pieces[i]);
    ahead->sends.count = 0;
    return SL_OK;
}

static inline int ahead_mark(void *self, int number)
{
    struct ahead_device *ahead = self;
    assert_true(number >= 0 && number < SL_DEVICE_MARKS && !ahead->records);
    ahead->marks[number] = ahead->work.count;
    return SL_OK;
}

static inline int ahead_reach(void *self, int number)
{
    struct ahead_device *ahead = self;
    ahead_run_until(ahead, ahead->marks[number]);
    return SL_OK;
}

/* ---- recordings ---- */

static inline int ahead_record_begin(void *self)
{
    struct ahead_device *ahead = self;
    assert_false(ahead->records);
    ahead->records = true;
    return SL_OK;
}

static inline int ahead_record_end(void *self, void **recording)
{
    struct ahead_device *ahead = self;
    struct ahead_recording *made = recording ? calloc(1, sizeof *made) : NULL;
    assert_true(ahead->records);
    ahead->records = false;
    if (made) {
        *made = (struct ahead_recording){ahead->recording, ahead->scratch};
        *recording = made;
        ahead->recording = (struct ahead_queue){0};
        ahead->recorded++;
    }
    ahead_close_queue(&ahead->recording);
    return SL_OK;
}

static inline int ahead_replay(void *self, void *memory, bool *run)
{
    struct ahead_device *ahead = self;
    const struct ahead_recording *recording = memory;
    *run = recording->scratch == ahead->scratch;
    for (size_t i = 0; *run && i < recording->pieces.count; i++) {
        struct ahead_piece piece = recording->pieces.pieces[i];
        if (piece.launch.self)
            piece.launch.self = ahead_copy_of(piece.launch.self, piece.launch.bytes);
        ahead_add(&ahead->work, piece);
    }
    ahead->replayed += *run;
    return SL_OK;
}

static inline void ahead_forget(void *self, void *memory)
{
    struct ahead_recording *recording = memory;
    (void)self;
    ahead_close_queue(&recording->pieces);
    free(recording);
}

static inline void ahead_close(void *self)
{
    struct ahead_device *ahead = self;
    ahead_sync(ahead);
    for (int i = 0; i < AHEAD_PINNED; i++)
        assert_null(ahead->pinned[i].at);
    strict_free(ahead->strict, ahead->scratch);
    strict_close(ahead->strict);
    free(ahead->work.pieces);
    free(ahead->sends.pieces);
    free(ahead);
}

static inline void ahead_device_open(bool send_late, bool records, struct sl_device *device)
{
    struct ahead_device *ahead = calloc(1, sizeof *ahead);
    assert_non_null(ahead);
    emulated_device_open(0, device);
    *ahead = (struct ahead_device){.strict = device->self, .send_late = send_late};
    device->self = ahead;
    device->alloc = ahead_alloc;
    device->free = ahead_free;
    device->copy = ahead_copy;
    device->fill = ahead_fill;
    device->fork = ahead_fork;
    device->sync = ahead_sync;
    device->close = ahead_close;
    device->alloc_pinned = ahead_alloc_pinned;
    device->free_pinned = ahead_free_pinned;
    device->send = ahead_send;
    device->sent = ahead_sent;
    device->mark = ahead_mark;
    device->reach = ahead_reach;
    if (!records)
        return;
    device->record_begin = ahead_record_begin;
    device->record_end = ahead_record_end;
    device->replay = ahead_replay;
    device->forget = ahead_forget;
}
#endif
