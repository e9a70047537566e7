/* Entries to send, and a message by hand. */
#ifndef SL_TESTS_MESSAGE_FIXTURE_H
#define SL_TESTS_MESSAGE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "comm/message.h"
#include "kernels/threshold/threshold.h"
#include "runtime/base/hash.h"

/* Where the fields of the header stand. */
enum {
    MAGIC_AT = 0,
    VERSION_AT = 4,
    FORM_AT = 6,
    RANK_AT = 8,
    RICE_AT = 12,
    STEP_AT = 16,
    N_AT = 24,
    COUNT_AT = 32,
    PAYLOAD_AT = 40,
    TAU_AT = 48,
    ZERO_AT = 52,
    ENTRIES_AT = 56
};

static inline void *must_have(size_t bytes)
{
    void *at = calloc(bytes ? bytes : 1, 1);
    assert_non_null(at);
    return at;
}

/* What threshold_encode hands over, and the same end to end. */
struct entries {
    int64_t n, count;
    uint32_t *by_chunk, *all;
    int64_t *counts;
};

/* Element i is sent where sends(i) says 1, and negative where it says -1. */
static inline struct entries entries_of(int64_t n, int (*sends)(int64_t i))
{
    struct entries made = {.n = n};
    made.by_chunk = must_have((size_t)n * sizeof *made.by_chunk);
    made.all = must_have((size_t)n * sizeof *made.all);
    made.counts = must_have((size_t)sl_threshold_chunks(n) * sizeof *made.counts);
    memset(made.by_chunk, 0xff, (size_t)n * sizeof *made.by_chunk);
    for (int64_t i = 0; i < n; i++) {
        const int64_t chunk = i / SL_THRESHOLD_CHUNK;
        const int sent = sends(i);
        if (sent == 0)
            continue;
        const uint32_t entry = (uint32_t)i | (sent < 0 ? SL_THRESHOLD_NEGATIVE : 0);
        made.by_chunk[chunk * SL_THRESHOLD_CHUNK + made.counts[chunk]++] = entry;
        made.all[made.count++] = entry;
    }
    return made;
}

static inline void entries_free(struct entries *entries)
{
    free(entries->by_chunk);
    free(entries->all);
    free(entries->counts);
}

/* A message in memory of just its size, so that a sanitizer sees a step past its end. */
struct bytes {
    uint8_t *at;
    size_t size;
};

static const uint64_t a_step = UINT64_C(0x1122334455667788);
enum { A_RANK = 7 };
static const float a_tau = 0.001f;

static inline struct bytes written(const struct entries *entries, bool plain, struct sl_message *message)
{
    *message =
        (struct sl_message){.step = a_step, .rank = A_RANK, .n = entries->n, .tau = a_tau, .plain = plain, .count = -1};
    const size_t most = sl_message_most_bytes(entries->n);
    struct bytes made = {must_have(most), 0};
    sl_message_write(message, entries->by_chunk, entries->counts, made.at, &made.size);
    assert_true(made.size <= most);
    made.at = realloc(made.at, made.size);
    assert_non_null(made.at);
    return made;
}

/* The seal that the bytes ought to have. */
static inline void reseal(struct bytes message)
{
    const uint64_t seal = sl_hash64(message.at, message.size - SL_MESSAGE_SEAL);
    memcpy(message.at + message.size - SL_MESSAGE_SEAL, &seal, sizeof seal);
}

/* What a reader makes of bytes. */
struct reading {
    int rc;
    struct sl_message message;
    uint32_t *entries;
    int64_t *offsets;
};

static inline struct reading read_of(struct bytes bytes, int64_t n)
{
    struct reading made = {.message = {.step = a_step, .rank = A_RANK, .n = n, .count = -1}};
    made.entries = must_have((size_t)n * sizeof *made.entries);
    made.offsets = must_have((size_t)(sl_threshold_chunks(n) + 1) * sizeof *made.offsets);
    sl_clear_error();
    made.rc = sl_message_read(bytes.at, bytes.size, &made.message, made.entries, made.offsets);
    return made;
}

static inline void reading_free(struct reading *reading)
{
    free(reading->entries);
    free(reading->offsets);
}

/* It is refused, and told so with these words. */
static inline void assert_refused(struct bytes bytes, int64_t n, const char *words)
{
    struct reading reading = read_of(bytes, n);
    if (reading.rc != SL_IO)
        fail_msg("%d, not refused for \"%s\"", reading.rc, words);
    if (!strstr(sl_last_error(), words) || !strstr(sl_last_error(), "message from rank 7, step 1234605616436508552: "))
        fail_msg("\"%s\" does not say \"%s\"", sl_last_error(), words);
    reading_free(&reading);
}

/* A message by hand: `payload` bytes after a header that fits them. */
static inline struct bytes sealed(int64_t n, uint64_t count, enum sl_message_form form, uint32_t rice,
                                  const void *payload, size_t payload_bytes)
{
    struct bytes made = {must_have(SL_MESSAGE_HEADER + payload_bytes + SL_MESSAGE_SEAL),
                         SL_MESSAGE_HEADER + payload_bytes + SL_MESSAGE_SEAL};
    const uint32_t rank = A_RANK;
    const uint16_t version = SL_MESSAGE_VERSION, form16 = (uint16_t)form;
    const uint64_t length = payload_bytes;
    memcpy(made.at + MAGIC_AT, "SLTQ", 4);
    memcpy(made.at + VERSION_AT, &version, sizeof version);
    memcpy(made.at + FORM_AT, &form16, sizeof form16);
    memcpy(made.at + RANK_AT, &rank, sizeof rank);
    memcpy(made.at + RICE_AT, &rice, sizeof rice);
    memcpy(made.at + STEP_AT, &a_step, sizeof a_step);
    memcpy(made.at + N_AT, &n, sizeof n);
    memcpy(made.at + COUNT_AT, &count, sizeof count);
    memcpy(made.at + PAYLOAD_AT, &length, sizeof length);
    memcpy(made.at + TAU_AT, &a_tau, sizeof a_tau);
    if (payload_bytes)
        memcpy(made.at + ENTRIES_AT, payload, payload_bytes);
    reseal(made);
    return made;
}
#endif
