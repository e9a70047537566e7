/* Messages: what goes in comes out, in as few bytes as the forms allow. */
#include <sys/mman.h>

#include "tests/message_fixture.h"

/* Numbers that look random and are the same everywhere: splitmix64 of the index. */
static uint64_t noise(uint64_t i)
{
    uint64_t z = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static double density; /* of `at_random` */

static int at_random(int64_t i)
{
    const uint64_t z = noise((uint64_t)i);
    return (double)(z >> 11) * 0x1p-53 < density ? (z & 1 ? 1 : -1) : 0;
}

static int none(int64_t i)
{
    return i < 0;
}

static int the_first(int64_t i)
{
    return i == 0;
}

static int all_up(int64_t i)
{
    return i >= 0;
}

static int all_down(int64_t i)
{
    return -(i >= 0);
}

static int in_turns(int64_t i)
{
    return i % 2 ? -1 : 1;
}

/* Runs of 40 in every 3,000. */
static int clustered(int64_t i)
{
    return i % 3000 < 40 ? (i % 3 ? 1 : -1) : 0;
}

static int at_borders(int64_t i)
{
    const int64_t in_chunk = i % SL_THRESHOLD_CHUNK;
    return in_chunk == 0 ? 1 : -(in_chunk == SL_THRESHOLD_CHUNK - 1);
}

/* Runs of ones of every length: gaps 0, 1, 2, 4 ... between clusters. */
static int far_between(int64_t i)
{
    return (i & (i - 1)) == 0 ? -1 : i > 100000;
}

/* Gaps of 1, 1, 3: their mean is below 2, and b = 1 is better than b = 0 all the same. */
static int odd_gaps(int64_t i)
{
    return i % 8 == 1 || i % 8 == 7 ? 1 : -(i % 8 == 3);
}

static const int64_t lengths[] = {1, 2, 15, 16, 17, 31, 32, 33, 65535, 65536, 65537, 200001};
enum { LENGTHS = sizeof lengths / sizeof *lengths };

/* Calls it for every pattern. */
static void for_every_pattern(int64_t n, void (*test)(const struct entries *))
{
    static int (*const fixed[])(int64_t) = {none,      the_first,  all_up,      all_down, in_turns,
                                            clustered, at_borders, far_between, odd_gaps};
    static const double densities[] = {1e-4, 1e-3, 1e-2, 1.0 / 16, 0.1, 0.3, 0.5, 0.8, 0.99, 1};
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
        struct entries entries = entries_of(n, fixed[i]);
        test(&entries);
        entries_free(&entries);
    }
    for (size_t i = 0; i < sizeof densities / sizeof *densities; i++) {
        density = densities[i];
        struct entries entries = entries_of(n, at_random);
        test(&entries);
        entries_free(&entries);
    }
}

static void assert_comes_back(const struct entries *sent, struct bytes bytes, const struct sl_message *message)
{
    struct reading got = read_of(bytes, sent->n);
    if (got.rc != SL_OK)
        fail_msg("%s", sl_last_error());
    assert_int_equal(got.message.count, sent->count);
    assert_int_equal(message->count, sent->count);
    assert_int_equal(got.message.form, message->form);
    assert_memory_equal(&got.message.tau, &a_tau, sizeof a_tau);
    assert_memory_equal(got.entries, sent->all, (size_t)sent->count * sizeof *sent->all);
    int64_t at = 0;
    for (int64_t c = 0; c < sl_threshold_chunks(sent->n); at += sent->counts[c++])
        assert_int_equal(got.offsets[c], at);
    assert_int_equal(got.offsets[sl_threshold_chunks(sent->n)], sent->count);
    reading_free(&got);
}

static void round_trip(const struct entries *sent)
{
    for (int plain = 0; plain < 2; plain++) {
        struct sl_message message, again;
        struct bytes bytes = written(sent, plain, &message), twin = written(sent, plain, &again);
        assert_comes_back(sent, bytes, &message);
        assert_int_equal(bytes.size, twin.size);
        assert_memory_equal(bytes.at, twin.at, bytes.size);
        free(bytes.at);
        free(twin.at);
    }
}

static void what_goes_in_comes_out(void **state)
{
    (void)state;
    for (int i = 0; i < LENGTHS; i++)
        for_every_pattern(lengths[i], round_trip);
}

enum { STAIRS = 180000 };
static int8_t stairs[STAIRS];

static int on_stairs(int64_t i)
{
    return stairs[i];
}

/* Runs of k ones for all k up to 127, each beginning at every bit of a byte: 100 entries of 2 bits before each keep b
 * at 0, and one entry of 3 bits before each round shifts all by a bit. */
static void runs_of_ones_lie_anywhere(void **state)
{
    (void)state;
    int64_t at = 0;
    for (int shift = 0; shift < 8; shift++) {
        stairs[++at] = -1;
        for (int gap = 0; gap < 128; gap++) {
            for (int i = 0; i < 100; i++)
                stairs[++at] = 1;
            at += gap;
            stairs[++at] = -1;
        }
        at++;
    }
    assert_true(at < STAIRS);
    struct entries entries = entries_of(STAIRS, on_stairs);
    struct sl_message message;
    struct bytes bytes = written(&entries, false, &message);
    assert_int_equal(bytes.at[RICE_AT], 0);
    free(bytes.at);
    round_trip(&entries);
    entries_free(&entries);
}

/* Bits of one entry after the other, as the header says it. */
static uint64_t rice_by_hand(const struct entries *sent, unsigned b)
{
    uint64_t bits = 0, next = 0;
    for (int64_t k = 0; k < sent->count; k++) {
        const uint64_t index = sent->all[k] & ~SL_THRESHOLD_NEGATIVE;
        bits += ((index - next) >> b) + 1 + b + 1;
        next = index + 1;
    }
    return bits;
}

static void smallest(const struct entries *sent)
{
    const uint64_t n = (uint64_t)sent->n, count = (uint64_t)sent->count;
    uint64_t rice = UINT64_MAX;
    for (unsigned b = 0; b <= 30; b++) {
        const uint64_t bits = rice_by_hand(sent, b);
        rice = bits < rice ? bits : rice;
    }
    for (int plain = 0; plain < 2; plain++) {
        const uint64_t sizes[] = {4 * count, plain ? UINT64_MAX : (rice + 7) / 8, 4 * ((n + 15) / 16),
                                  count == n ? (n + 7) / 8 : UINT64_MAX};
        int best = 0;
        for (int form = 1; form < SL_MESSAGE_FORMS; form++)
            if (sizes[form] < sizes[best])
                best = form;
        struct sl_message message;
        struct bytes bytes = written(sent, plain, &message);
        assert_int_equal(message.form, best);
        assert_int_equal(bytes.size, 64 + sizes[best]);
        free(bytes.at);
    }
}

static void the_smallest_form_is_taken(void **state)
{
    (void)state;
    for (int i = 0; i < LENGTHS; i++)
        for_every_pattern(lengths[i], smallest);
}

static enum sl_message_form form_at(double wanted, bool plain, double *bits_an_entry)
{
    struct sl_message message;
    density = wanted;
    struct entries entries = entries_of(1077160, at_random);
    struct bytes bytes = written(&entries, plain, &message);
    *bits_an_entry = 8.0 * (double)(bytes.size - 64) / (double)entries.count;
    free(bytes.at);
    entries_free(&entries);
    return message.form;
}

static void forms_by_density(void **state)
{
    (void)state;
    double bits;
    const double sparse[] = {1e-4, 1e-3, 1e-2, 6.2e-2}, dense[] = {6.3e-2, 0.5, 0.999};
    for (int i = 0; i < 4; i++)
        assert_int_equal(form_at(sparse[i], true, &bits), SL_MESSAGE_INDEX);
    for (int i = 0; i < 3; i++)
        assert_int_equal(form_at(dense[i], true, &bits), SL_MESSAGE_BITMAP);
    assert_int_equal(form_at(1, true, &bits), SL_MESSAGE_SIGNS);
    assert_int_equal(form_at(1, false, &bits), SL_MESSAGE_SIGNS);
    assert_int_equal(form_at(0.999, false, &bits), SL_MESSAGE_RICE);
}

/* Gaps of independent elements are geometric: H(p)/p bits an entry, and one for the sign. Rice code is known to lie
 * within 5 % of the gap's part where p is small. */
static void rice_is_near_the_entropy(void **state)
{
    (void)state;
    const double densities[] = {1e-3, 3.7e-3, 1e-2, 3e-2, 0.1};
    for (int i = 0; i < 5; i++) {
        const double p = densities[i], entropy = -log2(p) - (1 - p) / p * log2(1 - p) + 1;
        double bits;
        assert_int_equal(form_at(p, false, &bits), SL_MESSAGE_RICE);
        if (bits < 0.96 * entropy || bits > 1.05 * entropy)
            fail_msg("density %g: %g bits an entry, the entropy is %g", p, bits, entropy);
    }
}

/* The names a log has. */
static void forms_have_names(void **state)
{
    (void)state;
    assert_string_equal(sl_message_form_name(SL_MESSAGE_INDEX), "index");
    assert_string_equal(sl_message_form_name(SL_MESSAGE_RICE), "rice");
    assert_string_equal(sl_message_form_name(SL_MESSAGE_BITMAP), "bitmap");
    assert_string_equal(sl_message_form_name(SL_MESSAGE_SIGNS), "signs");
}

/* 4 up and 9 down. */
static int two_of_40(int64_t i)
{
    return i == 4 ? 1 : -(i == 9);
}

/* An outlier behind two that are close: with b = 0, 1, 2, 3, 4 the gaps 0, 0, 60 take 66, 39, 27, 22, 21 bits, then
 * 22; the one of 60 is 3 ones, a zero, and 12 in 4 bits. */
static int outlier(int64_t i)
{
    return i < 2 ? 1 : -(i == 62);
}

/* Of DL4J's bitmap test, at tau 1e-3: {0, -6e-4, 1e-3, -1e-3, 0, 0}. Its word is 655372 = 0xa000c: set are 2 and 3,
 * minus 3, and 1 for a half step, which does not exist here. */
static int dl4j_bitmap(int64_t i)
{
    return i == 2 ? 1 : -(i == 3);
}

static int every_other_down(int64_t i)
{
    return i < 64 ? (i % 2 ? -1 : 1) : -(i == 65);
}

static void assert_bytes(int64_t n, int (*sends)(int64_t), bool plain, const uint8_t *wanted, size_t payload)
{
    struct sl_message message;
    struct entries entries = entries_of(n, sends);
    struct bytes bytes = written(&entries, plain, &message);
    assert_int_equal(bytes.size, SL_MESSAGE_HEADER + payload + SL_MESSAGE_SEAL);
    assert_memory_equal(bytes.at, wanted, SL_MESSAGE_HEADER + payload);
    free(bytes.at);
    entries_free(&entries);
}

#define HEADER(form, rice, n, count, payload)                                                                        \
    'S', 'L', 'T', 'Q', 1, 0, form, 0, 7, 0, 0, 0, rice, 0, 0, 0, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, n, \
        0, 0, 0, 0, 0, 0, 0, count, 0, 0, 0, 0, 0, 0, 0, payload, 0, 0, 0, 0, 0, 0, 0, 0x6f, 0x12, 0x83, 0x3a, 0, 0, \
        0, 0

static void bytes_are_these(void **state)
{
    (void)state;
    /* b = 1, gaps 4 and 4: "11 0 0 +", "11 0 0 -", lowest bit first; b = 2 takes 10 bits, too, and b = 0 takes 12. */
    const uint8_t rice[] = {HEADER(SL_MESSAGE_RICE, 1, 40, 2, 2), 0x63, 0x02};
    /* b = 4: "0 0000 +" twice, "111 0 0011 -" (12 = 1100, its low bit first). */
    const uint8_t far[] = {HEADER(SL_MESSAGE_RICE, 4, 64, 3, 3), 0x00, 0x70, 0x1c};
    const uint8_t index[] = {HEADER(SL_MESSAGE_INDEX, 0, 40, 2, 8), 4, 0, 0, 0, 9, 0, 0, 0x80};
    const uint8_t bitmap[] = {HEADER(SL_MESSAGE_BITMAP, 0, 6, 2, 4), 0x0c, 0x00, 0x08, 0x00};
    const uint8_t words[] = {HEADER(SL_MESSAGE_BITMAP, 0, 66, 65, 20),
                             0xff,
                             0xff,
                             0xaa,
                             0xaa,
                             0xff,
                             0xff,
                             0xaa,
                             0xaa,
                             0xff,
                             0xff,
                             0xaa,
                             0xaa,
                             0xff,
                             0xff,
                             0xaa,
                             0xaa,
                             0x02,
                             0x00,
                             0x02,
                             0x00};
    const uint8_t signs[] = {HEADER(SL_MESSAGE_SIGNS, 0, 10, 10, 2), 0xaa, 0x02};
    const uint8_t empty[] = {HEADER(SL_MESSAGE_INDEX, 0, 9, 0, 0)};
    assert_bytes(40, two_of_40, false, rice, 2);
    assert_bytes(64, outlier, false, far, 3);
    assert_bytes(40, two_of_40, true, index, 8);
    assert_bytes(6, dl4j_bitmap, true, bitmap, 4);
    assert_bytes(66, every_other_down, true, words, 20);
    assert_bytes(10, in_turns, true, signs, 2);
    assert_bytes(9, none, false, empty, 0);
    /* The seal, last, is that of all before it. */
    struct bytes message = sealed(40, 2, SL_MESSAGE_RICE, 1, rice + SL_MESSAGE_HEADER, 2);
    assert_memory_equal(message.at, rice, sizeof rice);
    struct reading reading = read_of(message, 40);
    assert_int_equal(reading.rc, SL_OK);
    reading_free(&reading);
    free(message.at);
}

/* DL4J's facts about lengths: a message is shorter than n/16 + 6 words, header included, at any density. Our header and
 * seal are 16 words, DL4J's is 4. A bitmap is n/16 words rounded up, where DL4J's is n/16 + 1. */
static void no_message_is_longer_than_a_bitmap(void **state)
{
    (void)state;
    const int64_t n = 100000, bitmap_lengths[][2] = {{6, 1}, {15, 1}, {31, 2}, {32, 2}};
    for (int64_t every = 10; every <= n / 5; every *= 2)
        for (int plain = 0; plain < 2; plain++) {
            struct sl_message message;
            density = 1.0 / (double)every;
            struct entries entries = entries_of(n, at_random);
            struct bytes bytes = written(&entries, plain, &message);
            assert_true((bytes.size - 64) / 4 + 4 < (size_t)n / 16 + 6);
            free(bytes.at);
            entries_free(&entries);
        }
    for (int i = 0; i < 4; i++)
        assert_int_equal(sl_message_most_bytes(bitmap_lengths[i][0]), 64 + 4 * bitmap_lengths[i][1]);
    assert_int_equal(sl_message_most_bytes(INT32_MAX), 64 + 4 * INT64_C(134217728));
}

/* Memory of which only what is touched exists. */
static void *vast(size_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_ptr_not_equal(at, MAP_FAILED);
    return at;
}

/* The highest index, behind a gap of 2^31 - 2, in each form that can say so in a few bytes. */
static void the_last_element_can_be_sent(void **state)
{
    (void)state;
    const int64_t n = INT32_MAX, at = (n - 1) / SL_THRESHOLD_CHUNK, chunks = sl_threshold_chunks(n);
    const uint32_t entry = (uint32_t)(n - 1) | SL_THRESHOLD_NEGATIVE;
    const size_t entry_bytes = (size_t)n * sizeof entry, message_bytes = sl_message_most_bytes(n);
    uint32_t *entries = vast(entry_bytes), *got = vast(entry_bytes);
    int64_t *counts = must_have((size_t)chunks * sizeof *counts);
    int64_t *offsets = must_have((size_t)(chunks + 1) * sizeof *offsets);
    uint8_t *bytes = vast(message_bytes);
    entries[at * SL_THRESHOLD_CHUNK] = entry;
    counts[at] = 1;
    for (int plain = 0; plain < 2; plain++) {
        size_t size;
        struct sl_message message = {.n = n, .tau = a_tau, .plain = plain}, back = {.n = n};
        sl_message_write(&message, entries, counts, bytes, &size);
        assert_int_equal(size, 68);
        got[0] = 0;
        assert_int_equal(sl_message_read(bytes, size, &back, got, offsets), SL_OK);
        assert_int_equal(back.count, 1);
        assert_int_equal(got[0], entry);
        assert_int_equal(offsets[at], 0);
        assert_int_equal(offsets[at + 1], 1);
    }
    munmap(entries, entry_bytes);
    munmap(got, entry_bytes);
    munmap(bytes, message_bytes);
    free(counts);
    free(offsets);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_in_comes_out),
        cmocka_unit_test(runs_of_ones_lie_anywhere),
        cmocka_unit_test(the_smallest_form_is_taken),
        cmocka_unit_test(forms_by_density),
        cmocka_unit_test(rice_is_near_the_entropy),
        cmocka_unit_test(forms_have_names),
        cmocka_unit_test(bytes_are_these),
        cmocka_unit_test(no_message_is_longer_than_a_bitmap),
        cmocka_unit_test(the_last_element_can_be_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
