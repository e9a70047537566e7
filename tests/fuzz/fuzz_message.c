/* A number of elements (two bytes) and a message -> sl_message_read, as it is, with its seal set right, and with its
 * lengths as well. What is read is written again and must come back. */
#include "comm/message.h"
#include "kernels/threshold/threshold.h"
#include "runtime/base/hash.h"
#include "tests/fuzz/fuzz.h"

enum { MOST = 3 * SL_THRESHOLD_CHUNK / 2, STEP = 3, RANK = 1, N_AT = 24, PAYLOAD_AT = 40 };

/* What the next reading fills; one more than is allowed, to see that it is not touched. */
static uint32_t entries[MOST + 1];
static int64_t offsets[4];

static int read_message(const void *bytes, size_t length, struct sl_message *message)
{
    const size_t chunks = (size_t)sl_threshold_chunks(message->n);
    *message = (struct sl_message){.step = STEP, .rank = RANK, .n = message->n};
    entries[message->n] = 0x55555555;
    offsets[chunks + 1] = -1;
    const int rc = sl_message_read(bytes, length, message, entries, offsets);
    FUZZ_MUST(rc == SL_OK || rc == SL_IO);
    FUZZ_MUST(entries[message->n] == 0x55555555 && offsets[chunks + 1] == -1);
    return rc;
}

static void judge_entries(const struct sl_message *message)
{
    const int64_t chunks = sl_threshold_chunks(message->n);
    FUZZ_MUST(0 <= message->count && message->count <= message->n && message->tau > 0);
    FUZZ_MUST(offsets[0] == 0 && offsets[chunks] == message->count);
    int64_t next = 0;
    for (int64_t c = 0; c < chunks; c++)
        for (int64_t k = offsets[c]; k < offsets[c + 1]; k++) {
            const int64_t index = entries[k] & ~SL_THRESHOLD_NEGATIVE;
            FUZZ_MUST(index >= next && index < message->n && index / SL_THRESHOLD_CHUNK == c);
            next = index + 1;
        }
}

/* The writer may know a shorter way to say the same. */
static void write_again(const struct sl_message *message, size_t length)
{
    static uint32_t by_chunk[MOST], before[MOST];
    int64_t counts[3];
    size_t written;
    struct sl_message again = *message;
    char *bytes = malloc(sl_message_most_bytes(message->n));
    FUZZ_MUST(bytes != NULL);
    memcpy(before, entries, (size_t)message->count * sizeof *entries);
    for (int64_t c = 0; c < sl_threshold_chunks(message->n); c++) {
        counts[c] = offsets[c + 1] - offsets[c];
        memcpy(by_chunk + c * SL_THRESHOLD_CHUNK, entries + offsets[c], (size_t)counts[c] * sizeof *entries);
    }
    sl_message_write(&again, by_chunk, counts, bytes, &written);
    FUZZ_MUST(written <= length && again.count == message->count);
    FUZZ_MUST(read_message(bytes, written, &again) == SL_OK);
    FUZZ_MUST(again.count == message->count && memcmp(&again.tau, &message->tau, sizeof again.tau) == 0);
    FUZZ_MUST(memcmp(before, entries, (size_t)message->count * sizeof *entries) == 0);
    free(bytes);
}

static void judge(const void *bytes, size_t length, int64_t n)
{
    struct sl_message message = {.n = n};
    if (read_message(bytes, length, &message) != SL_OK)
        return;
    judge_entries(&message);
    write_again(&message, length);
}

static void reseal(char *bytes, size_t length)
{
    const uint64_t seal = sl_hash64(bytes, length - SL_MESSAGE_SEAL);
    memcpy(bytes + length - SL_MESSAGE_SEAL, &seal, sizeof seal);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t length)
{
    if (length < 2)
        return 0;
    const uint64_t n = 1 + (uint64_t)(input[0] | input[1] << 8) * 3 / 2;
    length -= 2;
    char *bytes = fuzz_copy(input + 2, length, 0);
    bytes = realloc(bytes, length ? length : 1); /* of just its size, so that a sanitizer sees a step past its end */
    FUZZ_MUST(bytes != NULL);
    judge(bytes, length, (int64_t)n);
    if (length >= SL_MESSAGE_HEADER + SL_MESSAGE_SEAL) {
        const uint64_t payload = length - SL_MESSAGE_HEADER - SL_MESSAGE_SEAL;
        reseal(bytes, length);
        judge(bytes, length, (int64_t)n);
        memcpy(bytes + N_AT, &n, sizeof n);
        memcpy(bytes + PAYLOAD_AT, &payload, sizeof payload);
        reseal(bytes, length);
        judge(bytes, length, (int64_t)n);
    }
    free(bytes);
    return 0;
}
