/* Messages that were damaged on their way, and messages that lie: refused by name, never believed. */
#include "tests/message_fixture.h"

static int a_few(int64_t i)
{
    return i % 37 == 5 ? 1 : -(i % 101 == 7);
}

static int odd_ones(int64_t i)
{
    return i % 2 ? 1 : -(i % 4 == 0);
}

static int everything(int64_t i)
{
    return i % 3 ? 1 : -1;
}

static int nothing(int64_t i)
{
    return i < 0;
}

/* One message of each form: over 3000 elements INDEX and RICE, over 300 BITMAP and SIGNS, and one without entries. */
static struct bytes one_of(enum sl_message_form form, int64_t *n)
{
    static int (*const sends[])(int64_t) = {a_few, a_few, odd_ones, everything};
    struct sl_message message;
    *n = form == SL_MESSAGE_INDEX || form == SL_MESSAGE_RICE ? 3000 : 300;
    struct entries entries = entries_of(*n, form < SL_MESSAGE_FORMS ? sends[form] : nothing);
    struct bytes bytes = written(&entries, form != SL_MESSAGE_RICE, &message);
    assert_int_equal(message.form, form % SL_MESSAGE_FORMS);
    entries_free(&entries);
    return bytes;
}

static void every_damaged_byte_is_noticed(void **state)
{
    (void)state;
    const uint8_t flips[] = {1, 32, 0xff};
    for (int form = 0; form <= SL_MESSAGE_FORMS; form++) {
        int64_t n;
        struct bytes bytes = one_of((enum sl_message_form)form, &n);
        for (size_t at = 0; at < bytes.size; at++)
            for (int f = 0; f < 3; f++) {
                bytes.at[at] ^= flips[f];
                assert_refused(bytes, n, "");
                bytes.at[at] ^= flips[f];
            }
        free(bytes.at);
    }
}

/* Cut short, as it came and with the seal at the new end made right; and with bytes behind its end. */
static void every_other_length_is_refused(void **state)
{
    (void)state;
    for (int form = 0; form <= SL_MESSAGE_FORMS; form++) {
        int64_t n;
        struct bytes bytes = one_of((enum sl_message_form)form, &n);
        for (size_t size = 0; size < bytes.size; size++) {
            struct bytes shorter = {must_have(size), size};
            memcpy(shorter.at, bytes.at, size);
            assert_refused(shorter, n, size < 64 ? "bytes, where 64 to" : "the payload is said to be");
            if (size >= 64) {
                const uint64_t payload = size - 64;
                memcpy(shorter.at + PAYLOAD_AT, &payload, sizeof payload);
                reseal(shorter);
                assert_refused(shorter, n, "");
            }
            free(shorter.at);
        }
        const size_t most = sl_message_most_bytes(n);
        struct bytes longer = {must_have(most + 1), bytes.size + 1};
        memcpy(longer.at, bytes.at, bytes.size);
        assert_refused(longer, n, longer.size > most ? "bytes, where 64 to" : "the payload is said to be");
        longer.size = most + 1;
        assert_refused(longer, n, "bytes, where 64 to");
        free(longer.at);
        free(bytes.at);
    }
}

/* May a sound message have another value there? Where nothing is sent, the form is free; a short entry of Rice code may
 * fit into the padding. */
static bool may_differ(enum sl_message_form form, size_t at)
{
    return at >= ENTRIES_AT || (at >= TAU_AT && at < ZERO_AT) || (at >= RICE_AT && at < STEP_AT) ||
           (at >= FORM_AT && at < RANK_AT && form == SL_MESSAGE_FORMS) || (at == COUNT_AT && form == SL_MESSAGE_RICE);
}

/* With the seal made right, every byte changed in every bit is refused, or read as something else that is sound: an
 * entry's sign, its place, tau. */
static void sound_seals_are_not_believed(void **state)
{
    (void)state;
    for (int form = 0; form <= SL_MESSAGE_FORMS; form++) {
        int64_t n;
        struct bytes bytes = one_of((enum sl_message_form)form, &n);
        for (size_t bit = 0; bit < 8 * (bytes.size - SL_MESSAGE_SEAL); bit++) {
            bytes.at[bit / 8] ^= (uint8_t)(1 << bit % 8);
            reseal(bytes);
            struct reading reading = read_of(bytes, n);
            assert_true(reading.rc == SL_OK || reading.rc == SL_IO);
            if (reading.rc != SL_IO && !may_differ((enum sl_message_form)form, bit / 8))
                fail_msg("form %d, bit %zu: not refused", form, bit);
            for (int64_t k = 0; reading.rc == SL_OK && k < reading.message.count; k++) {
                const uint32_t index = reading.entries[k] & ~SL_THRESHOLD_NEGATIVE;
                assert_true(index < n && (k == 0 || index > (reading.entries[k - 1] & ~SL_THRESHOLD_NEGATIVE)));
            }
            reading_free(&reading);
            bytes.at[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        free(bytes.at);
    }
}

/* A value at a place of the header. */
struct forgery {
    size_t at;
    const void *value;
    size_t bytes;
    const char *words;
};

static void assert_forgery_refused(enum sl_message_form form, const struct forgery *forgery)
{
    int64_t n;
    struct bytes bytes = one_of(form, &n);
    memcpy(bytes.at + forgery->at, forgery->value, forgery->bytes);
    reseal(bytes);
    assert_refused(bytes, n, forgery->words);
    free(bytes.at);
}

static void forged_headers_are_refused(void **state)
{
    (void)state;
    const float not_a_number = NAN, infinite = INFINITY, zero = 0, negative = -0.001f;
    const uint32_t rank = 8, parameter = 31, reserved = 1;
    const uint16_t version = 2, form = SL_MESSAGE_FORMS;
    const uint64_t step = a_step + 1, more = 3001, fewer = 2999, all = 3000, huge = UINT64_MAX, none = 0;
    const struct forgery forgeries[] = {
        {MAGIC_AT, "SLTR", 4, "not a message"},
        {VERSION_AT, &version, 2, "version 2, where 1 is expected; run the same program on all hosts"},
        {FORM_AT, &form, 2, "form 4 is not known"},
        {RANK_AT, &rank, 4, "it says that it is from rank 8"},
        {RICE_AT, &parameter, 4, "Rice parameter 31 in form"},
        {STEP_AT, &step, 8, "it says that it is of step 1234605616436508553"},
        {N_AT, &more, 8, "over 3001 elements, where 3000 are expected"},
        {N_AT, &fewer, 8, "over 2999 elements, where 3000 are expected"},
        {N_AT, &huge, 8, "elements, where 3000 are expected"},
        {N_AT, &none, 8, "over 0 elements"},
        {COUNT_AT, &more, 8, "3001 entries for 3000 elements"},
        {COUNT_AT, &huge, 8, "entries for 3000 elements"},
        {COUNT_AT, &all, 8, ""},
        {COUNT_AT, &none, 8, ""},
        {PAYLOAD_AT, &huge, 8, "the payload is said to be 18446744073709551615"},
        {PAYLOAD_AT, &none, 8, "the payload is said to be 0"},
        {TAU_AT, &not_a_number, 4, "the threshold is"},
        {TAU_AT, &infinite, 4, "the threshold is inf"},
        {TAU_AT, &zero, 4, "the threshold is 0"},
        {TAU_AT, &negative, 4, "the threshold is -0.001"},
        {ZERO_AT, &reserved, 4, "a reserved field is not zero"},
    };
    for (size_t i = 0; i < sizeof forgeries / sizeof *forgeries; i++) {
        assert_forgery_refused(SL_MESSAGE_INDEX, &forgeries[i]);
        assert_forgery_refused(SL_MESSAGE_RICE, &forgeries[i]);
    }
}

/* Fields that do not fit each other. */
static void forms_are_not_exchanged(void **state)
{
    (void)state;
    const uint16_t index = SL_MESSAGE_INDEX, bitmap = SL_MESSAGE_BITMAP, signs = SL_MESSAGE_SIGNS;
    const uint32_t parameter = 1;
    const struct forgery forgeries[] = {
        {FORM_AT, &bitmap, 2, "440 bytes of form bitmap, where 752 are expected"},
        {FORM_AT, &signs, 2, "signs alone, and 110 entries for 3000 elements"},
        {RICE_AT, &parameter, 4, "Rice parameter 1 in form index"},
    };
    for (size_t i = 0; i < sizeof forgeries / sizeof *forgeries; i++)
        assert_forgery_refused(SL_MESSAGE_INDEX, &forgeries[i]);
    assert_forgery_refused(SL_MESSAGE_RICE, &(struct forgery){FORM_AT, &index, 2, "Rice parameter 4 in form index"});
}

static void assert_payload_refused(int64_t n, uint64_t count, enum sl_message_form form, uint32_t rice,
                                   const void *payload, size_t bytes, const char *words)
{
    struct bytes message = sealed(n, count, form, rice, payload, bytes);
    assert_refused(message, n, words);
    free(message.at);
}

static void indices_ascend_within_n(void **state)
{
    (void)state;
    const uint32_t twice[] = {3, 3}, twice_with_signs[] = {3, 0x80000003}, back[] = {4, 3}, beyond[] = {3, 100};
    const uint32_t far[] = {3, 0xffffffff};
    assert_payload_refused(100, 2, SL_MESSAGE_INDEX, 0, twice, 8, "entry 1: index 3, where 4 to 99 may follow");
    assert_payload_refused(100, 2, SL_MESSAGE_INDEX, 0, twice_with_signs, 8, "entry 1: index 3, where 4 to 99");
    assert_payload_refused(100, 2, SL_MESSAGE_INDEX, 0, back, 8, "entry 1: index 3, where 5 to 99 may follow");
    assert_payload_refused(100, 2, SL_MESSAGE_INDEX, 0, beyond, 8, "entry 1: index 100, where 4 to 99 may follow");
    assert_payload_refused(100, 2, SL_MESSAGE_INDEX, 0, far, 8, "entry 1: index 2147483647, where 4 to 99");
    assert_payload_refused(100, 1, SL_MESSAGE_INDEX, 0, twice, 8, "8 bytes of form index, where 4 are expected");
    assert_payload_refused(100, 3, SL_MESSAGE_INDEX, 0, twice, 8, "8 bytes of form index, where 12 are expected");
}

static void rice_code_is_bounded(void **state)
{
    (void)state;
    uint8_t ones[400], zeros[400] = {0};
    memset(ones, 0xff, sizeof ones);
    /* With n = 1700 a message has 428 bytes of room at most. Of ones: no entry ends; of zeros: each is of 2 + b bits.
     */
    for (size_t bytes = 0; bytes < sizeof ones; bytes++)
        for (uint32_t b = 0; b <= 30; b += 5)
            assert_payload_refused(1700, 1, SL_MESSAGE_RICE, b, ones, bytes, "its bytes end within entry 0 of 1");
    assert_payload_refused(1700, 1601, SL_MESSAGE_RICE, 0, zeros, 400, "its bytes end within entry 1600 of 1601");
    assert_payload_refused(1700, 1596, SL_MESSAGE_RICE, 0, zeros, 400, "bytes follow the last entry");
    assert_payload_refused(1700, 101, SL_MESSAGE_RICE, 30, zeros, 400, "its bytes end within entry 100 of 101");
    /* An entry that ends within the seal. */
    assert_payload_refused(1700, 1, SL_MESSAGE_RICE, 7, zeros, 1, "its bytes end within entry 0 of 1");
    assert_payload_refused(1700, 1, SL_MESSAGE_RICE, 0, NULL, 0, "its bytes end within entry 0 of 1");
    /* Gaps beyond n: 16 ones; 1 one with b = 30; as many as the message has room for. */
    const uint8_t sixteen[] = {0xff, 0xff, 0x00}, far[] = {0x01, 0x00, 0x00, 0x00, 0x00};
    assert_payload_refused(160, 1, SL_MESSAGE_RICE, 4, sixteen, 3, "entry 0: index 256 of 160 elements");
    assert_payload_refused(160, 1, SL_MESSAGE_RICE, 30, far, 5, "entry 0: index 1073741824 of 160 elements");
    ones[399] = 0x7f; /* 3199 ones */
    memset(ones + 396, 0, 4);
    assert_payload_refused(1700, 1, SL_MESSAGE_RICE, 0, ones, 397, "entry 0: index 3168 of 1700 elements");
    assert_payload_refused(1700, 1, SL_MESSAGE_RICE, 20, ones, 399, "entry 0: index 3321888768 of 1700 elements");
    /* Bits behind the last entry, and a byte of them. */
    const uint8_t padded[] = {0x04, 0x00};
    assert_payload_refused(160, 1, SL_MESSAGE_RICE, 0, padded, 1, "the bits behind the last entry are not zero");
    assert_payload_refused(160, 1, SL_MESSAGE_RICE, 0, padded, 2, "bytes follow the last entry");
    assert_payload_refused(160, 0, SL_MESSAGE_RICE, 0, padded, 1, "bytes follow the last entry");
}

static void bitmaps_are_canonical(void **state)
{
    (void)state;
    const uint32_t half_step = 655372, beyond[] = {1, 1 << 4}, sound[] = {1, 1 << 3};
    const uint8_t signs[] = {0x01, 0x10};
    struct bytes message = sealed(20, 2, SL_MESSAGE_BITMAP, 0, sound, 8);
    struct reading reading = read_of(message, 20);
    assert_int_equal(reading.rc, SL_OK);
    reading_free(&reading);
    free(message.at);
    /* DL4J's -tau/2: a sign where nothing is sent. */
    assert_payload_refused(6, 2, SL_MESSAGE_BITMAP, 0, &half_step, 4, "word 0: a sign of something that is not sent");
    assert_payload_refused(20, 2, SL_MESSAGE_BITMAP, 0, beyond, 8, "the bits behind the last element are not zero");
    assert_payload_refused(20, 3, SL_MESSAGE_BITMAP, 0, sound, 8, "2 entries, where 3 are said to be");
    assert_payload_refused(20, 1, SL_MESSAGE_BITMAP, 0, sound, 8, "2 entries, where 1 are said to be");
    assert_payload_refused(20, 2, SL_MESSAGE_BITMAP, 0, sound, 4, "4 bytes of form bitmap, where 8 are expected");
    assert_payload_refused(12, 12, SL_MESSAGE_SIGNS, 0, signs, 2, "the bits behind the last element are not zero");
    assert_payload_refused(13, 12, SL_MESSAGE_SIGNS, 0, signs, 2, "signs alone, and 12 entries for 13 elements");
    assert_payload_refused(13, 13, SL_MESSAGE_SIGNS, 0, signs, 1, "1 bytes of form signs, where 2 are expected");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_damaged_byte_is_noticed), cmocka_unit_test(every_other_length_is_refused),
        cmocka_unit_test(sound_seals_are_not_believed),  cmocka_unit_test(forged_headers_are_refused),
        cmocka_unit_test(forms_are_not_exchanged),       cmocka_unit_test(indices_ascend_within_n),
        cmocka_unit_test(rice_code_is_bounded),          cmocka_unit_test(bitmaps_are_canonical),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
