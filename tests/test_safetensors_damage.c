/* A safetensors file cut, lengthened or flipped anywhere. */
#include "tests/safetensors_fixture.h"

static void refuses_every_truncation_and_extension(void **state)
{
    (void)state;
    unsigned char bytes[1024];
    assert_int_equal(sl_safetensors_write(path, some, SOME, pairs, PAIRS, NULL, NULL), SL_OK);
    const size_t n = get(bytes, sizeof bytes - 1);
    for (size_t length = 0; length < n; length++) {
        put(bytes, length);
        assert_int_equal(verdict(), SL_BAD_DATA);
    }
    bytes[n] = 0;
    put(bytes, n + 1);
    assert_int_equal(verdict(), SL_BAD_DATA);
}

/* Every flip of a bit of a sealed model is refused, in the seal's own key too. */
static void notices_every_flipped_bit(void **state)
{
    (void)state;
    unsigned char bytes[1024];
    assert_int_equal(sl_safetensors_write(path, some, SOME, pairs, PAIRS, NULL, NULL), SL_OK);
    const size_t n = get(bytes, sizeof bytes);
    for (size_t i = 0; i < n; i++)
        for (int bit = 0; bit < 8; bit++) {
            bytes[i] ^= (unsigned char)(1 << bit);
            put(bytes, n);
            const int rc = verdict();
            if (rc != SL_BAD_DATA)
                fail_msg("byte %zu bit %d: status %d", i, bit, rc);
            bytes[i] ^= (unsigned char)(1 << bit);
        }
}

/* Without a seal a flipped header is refused or still describes exactly this file. */
static void survives_flips_without_a_seal(void **state)
{
    (void)state;
    unsigned char bytes[1024];
    assert_int_equal(sl_safetensors_write(path, some, SOME, &pairs[1], 1, NULL, NULL), SL_OK);
    const size_t n = get(bytes, sizeof bytes);
    for (size_t i = 0; i < n - 39; i++)
        for (int bit = 0; bit < 8; bit++) {
            struct sl_safetensors *file;
            bytes[i] ^= (unsigned char)(1 << bit);
            put(bytes, n);
            if (sl_safetensors_open(path, &file) == SL_OK) {
                uint64_t sum = 0;
                for (size_t t = 0; t < sl_safetensors_count(file); t++) {
                    uint64_t size;
                    assert_int_equal(sl_named_tensor_bytes(sl_safetensors_at(file, t), &size), SL_OK);
                    sum += size + (size ? *(const unsigned char *)sl_safetensors_at(file, t)->data * 0u : 0);
                }
                assert_int_equal(sum, 6 * 4 + 3 + 8);
                sl_safetensors_close(file);
            }
            bytes[i] ^= (unsigned char)(1 << bit);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(refuses_every_truncation_and_extension),
        CASE(notices_every_flipped_bit),
        CASE(survives_flips_without_a_seal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
