/* Every loop here is bounded by bytes that have come or by the expected n, never by what a message says of itself. */
#include <assert.h>
#include <inttypes.h>
#include <math.h>

#include "comm/message_internal.h"
#include "runtime/base/hash.h"

/* The bytes as a whole: whose they are, how many, and whether they are sound. */
static int check_bytes(const uint8_t *bytes, size_t size, const struct sl_message *expected,
                       struct sl_message_header *header)
{
    int rc = SL_OK;
    uint64_t seal;
    const size_t most = sl_message_most_bytes(expected->n);
    if (size < sizeof *header + sizeof seal || size > most)
        SL_FAIL(SL_IO, "%zu bytes, where %zu to %zu are expected", size, sizeof *header + sizeof seal, most);
    memcpy(header, bytes, sizeof *header);
    memcpy(&seal, bytes + size - sizeof seal, sizeof seal);
    if (memcmp(header->magic, SL_MESSAGE_MAGIC, sizeof header->magic) != 0)
        SL_FAIL(SL_IO, "this is not a message");
    if (header->version != SL_MESSAGE_VERSION)
        SL_FAIL(SL_IO, "version %u, where %d is expected; run the same program on all hosts", header->version,
                SL_MESSAGE_VERSION);
    if (header->payload != size - sizeof *header - sizeof seal)
        SL_FAIL(SL_IO, "%zu bytes have come, and the payload is said to be %" PRIu64, size, header->payload);
    if (seal != sl_hash64(bytes, size - sizeof seal))
        SL_FAIL(SL_IO, "damaged on its way: the seal does not fit");
out:
    return rc;
}

/* What a sound header says. */
static int check_header(const struct sl_message_header *header, const struct sl_message *expected)
{
    int rc = SL_OK;
    if (header->rank != expected->rank)
        SL_FAIL(SL_IO, "it says that it is from rank %" PRIu32, header->rank);
    if (header->step != expected->step)
        SL_FAIL(SL_IO, "it says that it is of step %" PRIu64, header->step);
    if (header->n != (uint64_t)expected->n)
        SL_FAIL(SL_IO, "over %" PRIu64 " elements, where %" PRId64 " are expected", header->n, expected->n);
    if (header->count > header->n)
        SL_FAIL(SL_IO, "%" PRIu64 " entries for %" PRIu64 " elements", header->count, header->n);
    if (!isfinite(header->tau) || header->tau <= 0)
        SL_FAIL(SL_IO, "the threshold is %g", (double)header->tau);
    if (header->form >= SL_MESSAGE_FORMS)
        SL_FAIL(SL_IO, "form %u is not known", header->form);
    if (header->rice > (header->form == SL_MESSAGE_RICE ? SL_MESSAGE_RICE_MOST : 0))
        SL_FAIL(SL_IO, "Rice parameter %" PRIu32 " in form %s", header->rice,
                sl_message_form_name((enum sl_message_form)header->form));
    if (header->zero != 0)
        SL_FAIL(SL_IO, "a reserved field is not zero");
out:
    return rc;
}

static int check_payload(const struct sl_message_header *header, uint64_t wanted)
{
    if (header->payload == wanted)
        return SL_OK;
    return sl_fail(SL_IO, "%" PRIu64 " bytes of form %s, where %" PRIu64 " are expected", header->payload,
                   sl_message_form_name((enum sl_message_form)header->form), wanted);
}

static int read_index(const struct sl_message_header *header, const uint8_t *payload, uint32_t *entries)
{
    int rc = SL_OK;
    uint32_t next = 0;
    SL_TRY(check_payload(header, header->count * sizeof *entries));
    memcpy(entries, payload, (size_t)header->payload);
    for (uint64_t k = 0; k < header->count; k++) {
        const uint32_t index = entries[k] & ~SL_THRESHOLD_NEGATIVE;
        if (index < next || index >= header->n)
            SL_FAIL(SL_IO, "entry %" PRIu64 ": index %" PRIu32 ", where %" PRIu32 " to %" PRIu64 " may follow", k,
                    index, next, header->n - 1);
        next = index + 1;
    }
out:
    return rc;
}

struct entry {
    uint64_t gap;
    uint32_t sign;
};

/* An entry that is too long for one go. The reader is past its end afterwards where the bits did not suffice. */
static struct entry take_long_entry(struct sl_bit_reader *bits, unsigned b)
{
    struct entry entry = {0};
    uint64_t quotient = 0;
    unsigned ones = SL_BITS_MOST;
    while (ones == SL_BITS_MOST && bits->at <= bits->end) {
        ones = sl_bits_ones(sl_bits_peek(bits));
        quotient += ones;
        bits->at += ones;
    }
    bits->at++;
    if (bits->at <= bits->end) {
        const uint64_t rest = sl_bits_peek(bits);
        entry.gap = quotient << b | (rest & ((UINT64_C(1) << b) - 1));
        entry.sign = rest >> b & 1;
    }
    bits->at += b + 1;
    return entry;
}

static inline struct entry take_entry(struct sl_bit_reader *bits, unsigned b)
{
    const uint64_t word = sl_bits_peek(bits);
    const unsigned ones = sl_bits_ones(word);
    if (ones + b + 2 > SL_BITS_MOST)
        return take_long_entry(bits, b);
    const uint64_t rest = word >> (ones + 1);
    bits->at += ones + b + 2;
    return (struct entry){(uint64_t)ones << b | (rest & ((UINT64_C(1) << b) - 1)), rest >> b & 1};
}

static int read_rice(const struct sl_message_header *header, const uint8_t *payload, uint32_t *entries)
{
    int rc = SL_OK;
    struct sl_bit_reader bits = {.bytes = payload, .end = header->payload * 8};
    uint64_t next = 0;
    for (uint64_t k = 0; k < header->count; k++) {
        const struct entry entry = take_entry(&bits, header->rice);
        const uint64_t index = next + entry.gap;
        if (bits.at > bits.end)
            SL_FAIL(SL_IO, "its bytes end within entry %" PRIu64 " of %" PRIu64, k, header->count);
        if (index >= header->n)
            SL_FAIL(SL_IO, "entry %" PRIu64 ": index %" PRIu64 " of %" PRIu64 " elements", k, index, header->n);
        entries[k] = (uint32_t)index | entry.sign << 31;
        next = index + 1;
    }
    if (bits.end - bits.at >= 8)
        SL_FAIL(SL_IO, "bytes follow the last entry");
    if (bits.at < bits.end && (payload[bits.at / 8] >> bits.at % 8) != 0)
        SL_FAIL(SL_IO, "the bits behind the last entry are not zero");
out:
    return rc;
}

static int read_bitmap(const struct sl_message_header *header, const uint8_t *payload, uint32_t *entries)
{
    int rc = SL_OK;
    uint64_t count = 0;
    SL_TRY(check_payload(header, sl_message_bitmap_bytes(header->n)));
    for (uint64_t first = 0; first < header->n; first += 16) {
        uint32_t word;
        memcpy(&word, payload + first / 4, sizeof word);
        uint32_t set = word & 0xffff;
        const uint32_t minus = word >> 16;
        if (minus & ~set)
            SL_FAIL(SL_IO, "word %" PRIu64 ": a sign of something that is not sent", first / 16);
        if (header->n - first < 16 && set >> (header->n - first) != 0)
            SL_FAIL(SL_IO, "the bits behind the last element are not zero");
        for (; set; set &= set - 1) {
            const unsigned bit = (unsigned)__builtin_ctz(set);
            entries[count++] = ((uint32_t)first + bit) | (minus >> bit & 1) << 31;
        }
    }
    if (count != header->count)
        SL_FAIL(SL_IO, "%" PRIu64 " entries, where %" PRIu64 " are said to be", count, header->count);
out:
    return rc;
}

static int read_signs(const struct sl_message_header *header, const uint8_t *payload, uint32_t *entries)
{
    int rc = SL_OK;
    if (header->count != header->n)
        SL_FAIL(SL_IO, "signs alone, and %" PRIu64 " entries for %" PRIu64 " elements", header->count, header->n);
    SL_TRY(check_payload(header, sl_message_signs_bytes(header->n)));
    if (header->n % 8 != 0 && payload[header->n / 8] >> header->n % 8 != 0)
        SL_FAIL(SL_IO, "the bits behind the last element are not zero");
    for (uint64_t i = 0; i < header->n; i++)
        entries[i] = (uint32_t)i | (uint32_t)(payload[i / 8] >> i % 8 & 1) << 31;
out:
    return rc;
}

int sl_message_read(const void *bytes, size_t size, struct sl_message *message, uint32_t *entries, int64_t *offsets)
{
    static int (*const read[SL_MESSAGE_FORMS])(const struct sl_message_header *, const uint8_t *, uint32_t *) = {
        [SL_MESSAGE_INDEX] = read_index,
        [SL_MESSAGE_RICE] = read_rice,
        [SL_MESSAGE_BITMAP] = read_bitmap,
        [SL_MESSAGE_SIGNS] = read_signs,
    };
    int rc = SL_OK;
    struct sl_message_header header;
    assert(message->n > 0 && message->n <= INT32_MAX);
    SL_TRY(check_bytes(bytes, size, message, &header));
    SL_TRY(check_header(&header, message));
    SL_TRY(read[header.form](&header, (const uint8_t *)bytes + sizeof header, entries));
    message->count = (int64_t)header.count;
    message->tau = header.tau;
    message->form = (enum sl_message_form)header.form;
    for (int64_t c = 0; c <= sl_threshold_chunks(message->n); c++)
        offsets[c] = sl_threshold_count_below(entries, message->count, c * SL_THRESHOLD_CHUNK);
out:
    if (rc != SL_OK)
        sl_fail_prefix(rc, "message from rank %" PRIu32 ", step %" PRIu64, message->rank, message->step);
    return rc;
}
