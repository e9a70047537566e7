/* Sizes are computed before anything is written, so that nothing is undone. */
#include <assert.h>
#include <math.h>

#include "comm/message_internal.h"
#include "runtime/base/hash.h"

/* What is to be written, chunk by chunk. */
struct source {
    const uint32_t *entries;
    const int64_t *counts;
    int64_t n, chunks;
    uint64_t count;
    uint64_t span; /* the last index + 1; 0: there is none */
};

static struct source source_of(int64_t n, const uint32_t *entries, const int64_t *counts)
{
    struct source from = {.entries = entries, .counts = counts, .n = n, .chunks = sl_threshold_chunks(n)};
    for (int64_t c = 0; c < from.chunks; c++) {
        assert(0 <= counts[c] && counts[c] <= n - c * SL_THRESHOLD_CHUNK && counts[c] <= SL_THRESHOLD_CHUNK);
        if (counts[c] == 0)
            continue;
        from.count += (uint64_t)counts[c];
        from.span = (entries[c * SL_THRESHOLD_CHUNK + counts[c] - 1] & ~SL_THRESHOLD_NEGATIVE) + UINT64_C(1);
    }
    assert(from.span <= (uint64_t)n);
    return from;
}

/* Bits in Golomb-Rice code with parameter b. */
static uint64_t rice_bits(const struct source *from, unsigned b)
{
    uint64_t quotients = 0;
    uint32_t next = 0;
    for (int64_t c = 0; c < from->chunks; c++) {
        const uint32_t *entries = from->entries + c * SL_THRESHOLD_CHUNK;
        for (int64_t i = 0; i < from->counts[c]; i++) {
            const uint32_t index = entries[i] & ~SL_THRESHOLD_NEGATIVE;
            assert(index >= next);
            quotients += (index - next) >> b;
            next = index + 1;
        }
    }
    return quotients + from->count * (b + 2);
}

/* The smallest of the best parameters. A step from b to b + 1 costs a bit for each entry and saves half of its quotient
 * rounded up, which is less with every step: the cost has one valley, and the mean gap lies near its bottom. */
static unsigned rice_parameter(const struct source *from, uint64_t *bits)
{
    unsigned b = 0;
    *bits = 0;
    if (from->count == 0)
        return 0;
    for (uint64_t mean = (from->span - from->count) / from->count; mean > 1; mean /= 2)
        b++;
    *bits = rice_bits(from, b);
    for (uint64_t next; b < SL_MESSAGE_RICE_MOST && (next = rice_bits(from, b + 1)) < *bits; b++)
        *bits = next;
    for (uint64_t next; b > 0 && (next = rice_bits(from, b - 1)) <= *bits; b--)
        *bits = next;
    return b;
}

static void choose(const struct source *from, bool plain, struct sl_message_header *header)
{
    size_t bytes[SL_MESSAGE_FORMS];
    uint64_t bits = 0;
    const unsigned b = plain ? 0 : rice_parameter(from, &bits);
    bytes[SL_MESSAGE_INDEX] = from->count * sizeof *from->entries;
    bytes[SL_MESSAGE_RICE] = plain ? SIZE_MAX : (size_t)((bits + 7) / 8);
    bytes[SL_MESSAGE_BITMAP] = sl_message_bitmap_bytes((uint64_t)from->n);
    bytes[SL_MESSAGE_SIGNS] = from->count == (uint64_t)from->n ? sl_message_signs_bytes(from->count) : SIZE_MAX;
    unsigned best = 0;
    for (unsigned form = 1; form < SL_MESSAGE_FORMS; form++)
        if (bytes[form] < bytes[best])
            best = form;
    header->form = (uint16_t)best;
    header->payload = bytes[best];
    header->rice = best == SL_MESSAGE_RICE ? b : 0;
}

static void write_index(const struct source *from, const struct sl_message_header *header, uint8_t *to)
{
    (void)header;
    for (int64_t c = 0; c < from->chunks; c++) {
        const size_t bytes = (size_t)from->counts[c] * sizeof *from->entries;
        memcpy(to, from->entries + c * SL_THRESHOLD_CHUNK, bytes);
        to += bytes;
    }
}

/* A gap whose ones do not fit into one go. */
static void put_long_gap(struct sl_bit_writer *writer, uint32_t quotient, uint64_t rest, unsigned b)
{
    const uint32_t run = 32;
    for (; quotient >= run; quotient -= run)
        sl_bits_put(writer, UINT32_MAX, run);
    sl_bits_put(writer, (UINT64_C(1) << quotient) - 1, quotient + 1);
    sl_bits_put(writer, rest, b + 1);
}

static void write_rice(const struct source *from, const struct sl_message_header *header, uint8_t *to)
{
    struct sl_bit_writer writer = {.at = to};
    const unsigned b = header->rice;
    uint32_t next = 0;
    for (int64_t c = 0; c < from->chunks; c++) {
        const uint32_t *entries = from->entries + c * SL_THRESHOLD_CHUNK;
        for (int64_t i = 0; i < from->counts[c]; i++) {
            const uint32_t index = entries[i] & ~SL_THRESHOLD_NEGATIVE, gap = index - next, quotient = gap >> b;
            const uint64_t low = gap & ((UINT64_C(1) << b) - 1), rest = low | (uint64_t)(entries[i] >> 31) << b;
            if (quotient + b + 2 <= SL_BITS_MOST)
                sl_bits_put(&writer, ((UINT64_C(1) << quotient) - 1) | rest << (quotient + 1), quotient + b + 2);
            else
                put_long_gap(&writer, quotient, rest, b);
            next = index + 1;
        }
    }
    assert(writer.at + (writer.bits > 0) == to + header->payload);
}

static void write_bitmap(const struct source *from, const struct sl_message_header *header, uint8_t *to)
{
    memset(to, 0, header->payload);
    for (int64_t c = 0; c < from->chunks; c++) {
        const uint32_t *entries = from->entries + c * SL_THRESHOLD_CHUNK;
        for (int64_t i = 0; i < from->counts[c]; i++) {
            const uint32_t index = entries[i] & ~SL_THRESHOLD_NEGATIVE;
            uint32_t word;
            memcpy(&word, to + index / 16 * 4, sizeof word);
            word |= (1 | entries[i] >> 31 << 16) << index % 16;
            memcpy(to + index / 16 * 4, &word, sizeof word);
        }
    }
}

static void write_signs(const struct source *from, const struct sl_message_header *header, uint8_t *to)
{
    memset(to, 0, header->payload);
    for (int64_t i = 0; i < from->n; i++) /* every chunk is full: entries lie end to end */
        to[i / 8] |= (uint8_t)(from->entries[i] >> 31 << i % 8);
}

void sl_message_write(struct sl_message *message, const uint32_t *entries, const int64_t *counts, void *to,
                      size_t *bytes)
{
    static void (*const write[SL_MESSAGE_FORMS])(const struct source *, const struct sl_message_header *, uint8_t *) = {
        [SL_MESSAGE_INDEX] = write_index,
        [SL_MESSAGE_RICE] = write_rice,
        [SL_MESSAGE_BITMAP] = write_bitmap,
        [SL_MESSAGE_SIGNS] = write_signs,
    };
    assert(message->n > 0 && message->n <= INT32_MAX && isfinite(message->tau) && message->tau > 0);
    const struct source from = source_of(message->n, entries, counts);
    struct sl_message_header header = {
        .magic = SL_MESSAGE_MAGIC,
        .version = SL_MESSAGE_VERSION,
        .rank = message->rank,
        .step = message->step,
        .n = (uint64_t)message->n,
        .count = from.count,
        .tau = message->tau,
    };
    uint8_t *const begin = to, *const payload = begin + sizeof header;
    choose(&from, message->plain, &header);
    memcpy(begin, &header, sizeof header);
    write[header.form](&from, &header, payload);
    const uint64_t seal = sl_hash64(begin, sizeof header + (size_t)header.payload);
    memcpy(payload + header.payload, &seal, sizeof seal);
    message->count = (int64_t)header.count;
    message->form = (enum sl_message_form)header.form;
    *bytes = sizeof header + (size_t)header.payload + sizeof seal;
}
