/* The Huffman decoder by itself: what it makes of streams whose every bit is known, and what it refuses. */
#include "tests/jpeg_fixture.h"

#include "runtime/data/jpeg_huffman.h"

/* DC differences of 0, 1, 2 and 15 bits have the codes 00, 01, 10 and 110. */
static const uint8_t dc_counts[SL_HUFFMAN_LENGTHS] = {[2] = 3, [3] = 1};
static const uint8_t dc_values[SL_HUFFMAN_CODES] = {0, 1, 2, 15};

/* One bit after no zero 0, the end 10, sixteen zeros 110; 15 bits after three zeros 1110 and twelve more zeros. The
 * code above it is none. */
static const uint8_t ac_counts[SL_HUFFMAN_LENGTHS] = {[1] = 1, [2] = 1, [3] = 1, [16] = 1};
static const uint8_t ac_values[SL_HUFFMAN_CODES] = {0x01, 0x00, 0xf0, 0x3f};

enum { END = 2, ZEROS = 6, LONG = 0xe000, LONG_BITS = 16 };

static struct sl_huffman *open_decoder(void)
{
    struct sl_huffman *huffman = sl_huffman_open();
    assert_non_null(huffman);
    assert_true(sl_huffman_dc_table(huffman, 1, dc_counts, dc_values));
    assert_true(sl_huffman_ac_table(huffman, 2, ac_counts, ac_values));
    return huffman;
}

/* Begins with the stream written so far, as blocks of one component, and frees it. */
static void begin(struct sl_huffman *huffman, struct jpeg_bytes *stream)
{
    const struct sl_huffman_mcu mcu = {.count = 1, .blocks = {{.component = 0, .dc = 1, .ac = 2}}};
    end_bits(stream);
    const size_t coded = stream->length;
    put_bytes(stream, "\xff\xd9", 2);
    assert_int_equal(sl_huffman_begin(huffman, &mcu, stream->at, stream->length), coded);
    free(stream->at);
    *stream = (struct jpeg_bytes){0};
}

static bool next(struct sl_huffman *huffman, int16_t block[64])
{
    int16_t(*const blocks[])[64] = {(int16_t(*)[64])block};
    memset(block, 0, 64 * sizeof *block);
    return sl_huffman_next(huffman, blocks);
}

static void must_be(struct sl_huffman *huffman, const int16_t wanted[64])
{
    int16_t block[64];
    assert_true(next(huffman, block));
    assert_memory_equal(block, wanted, sizeof block);
}

static void coefficients_come_in_their_places(void **state)
{
    (void)state;
    struct sl_huffman *huffman = open_decoder();
    struct jpeg_bytes stream = {0};
    /* DC 3; coefficient 1 is -1, 2 is 1, 38 is -20000. */
    put_bits(&stream, 2 << 2 | 3, 4);
    put_bits(&stream, 0 << 1 | 0, 2);
    put_bits(&stream, 0 << 1 | 1, 2);
    put_bits(&stream, ZEROS, 3);
    put_bits(&stream, ZEROS, 3);
    put_bits(&stream, LONG, LONG_BITS);
    put_bits(&stream, 0x7fff - 20000, 15);
    put_bits(&stream, END, 2);
    /* DC -1 on top; coefficients 4, 8 and 12, whose ones are stuffed. */
    put_bits(&stream, 1 << 1 | 0, 3);
    for (int i = 0; i < 3; i++) {
        put_bits(&stream, LONG, LONG_BITS);
        put_bits(&stream, 0x7fff, 15);
    }
    put_bits(&stream, END, 2);
    begin(huffman, &stream);
    must_be(huffman, (const int16_t[64]){[0] = 3, [1] = -1, [8] = 1, [43] = -20000});
    must_be(huffman, (const int16_t[64]){[0] = 2, [9] = 0x7fff, [17] = 0x7fff, [18] = 0x7fff});
    sl_huffman_close(huffman);
}

static void a_block_may_be_full(void **state)
{
    (void)state;
    struct sl_huffman *huffman = open_decoder();
    struct jpeg_bytes stream = {0};
    int16_t block[64];
    put_bits(&stream, 0, 2);
    for (int k = 1; k < 64; k++)
        put_bits(&stream, 1, 2);
    begin(huffman, &stream);
    assert_true(next(huffman, block));
    for (int k = 1; k < 64; k++)
        assert_int_equal(block[k], 1);
    sl_huffman_close(huffman);
}

static void refuses(struct sl_huffman *huffman, struct jpeg_bytes *stream)
{
    int16_t block[64];
    begin(huffman, stream);
    assert_false(next(huffman, block));
}

static void what_is_odd_is_refused(void **state)
{
    (void)state;
    struct sl_huffman *huffman = open_decoder();
    struct jpeg_bytes stream = {0};
    put_bits(&stream, 7, 3); /* no code of a DC difference */
    put_bits(&stream, END << 5, 7);
    refuses(huffman, &stream);
    put_bits(&stream, 0, 2);
    put_bits(&stream, LONG + 1, LONG_BITS); /* no code of a coefficient */
    put_bits(&stream, 0, 24);
    refuses(huffman, &stream);
    put_bits(&stream, 0, 2);
    for (int i = 0; i < 4; i++)
        put_bits(&stream, ZEROS, 3); /* 64 zeros where there is room for 63 */
    put_bits(&stream, END, 2);
    refuses(huffman, &stream);
    put_bits(&stream, 0, 2);
    for (int i = 0; i < 3; i++)
        put_bits(&stream, ZEROS, 3);
    for (int k = 49; k <= 61; k++)
        put_bits(&stream, 1, 2);
    put_bits(&stream, LONG, LONG_BITS); /* coefficient 62 + 3 */
    put_bits(&stream, 0, 15);
    put_bits(&stream, END, 2);
    refuses(huffman, &stream);
    put_bits(&stream, 0, 2); /* and no end; the byte is filled with ones */
    refuses(huffman, &stream);
    sl_huffman_close(huffman);
}

static void a_stream_that_ends_early_is_refused(void **state)
{
    (void)state;
    struct sl_huffman *huffman = open_decoder();
    struct jpeg_bytes stream = {0};
    int16_t block[64];
    put_bits(&stream, 0, 2);
    put_bits(&stream, END, 2);
    put_bits(&stream, 0, 2);
    put_bits(&stream, END, 2);
    begin(huffman, &stream);
    assert_true(next(huffman, block));
    assert_true(next(huffman, block));
    assert_false(next(huffman, block));
    sl_huffman_close(huffman);
}

static void dc_coefficients_do_not_grow_for_ever(void **state)
{
    (void)state;
    struct sl_huffman *huffman = open_decoder();
    struct jpeg_bytes stream = {0};
    int16_t block[64];
    int blocks = 0;
    for (int i = 0; i < 100; i++) {
        put_bits(&stream, 6, 3);
        put_bits(&stream, 0x7fff, 15);
        put_bits(&stream, END, 2);
    }
    begin(huffman, &stream);
    while (blocks < 100 && next(huffman, block))
        blocks++;
    assert_int_equal(blocks, (1 << 20) / 0x7fff);
    sl_huffman_close(huffman);
}

static void a_stream_ends_with_a_marker(void **state)
{
    (void)state;
    struct sl_huffman *huffman = open_decoder();
    const struct sl_huffman_mcu mcu = {.count = 1, .blocks = {{.component = 0, .dc = 1, .ac = 2}}};
    assert_int_equal(sl_huffman_begin(huffman, &mcu, (const uint8_t *)"\x12\xff\x00\x34\xff\xd9", 6), 4);
    assert_int_equal(sl_huffman_begin(huffman, &mcu, (const uint8_t *)"\x12\xff\x00\x34\x56\xff", 6), 0);
    assert_int_equal(sl_huffman_begin(huffman, &mcu, (const uint8_t *)"\x12\xff\x00\x34\x56\x78", 6), 0);
    sl_huffman_close(huffman);
}

static void tables_that_are_no_codes_are_refused(void **state)
{
    (void)state;
    static const uint8_t full[SL_HUFFMAN_LENGTHS] = {[1] = 1, [2] = 3},
                         many[SL_HUFFMAN_LENGTHS] = {[15] = 255, [16] = 2};
    static const uint8_t values[SL_HUFFMAN_CODES] = {0, 1, 16};
    static const uint8_t three[SL_HUFFMAN_LENGTHS] = {[2] = 3};
    struct sl_huffman *huffman = open_decoder();
    assert_false(sl_huffman_ac_table(huffman, 0, full, values));
    assert_false(sl_huffman_ac_table(huffman, 0, many, values));
    assert_false(sl_huffman_dc_table(huffman, 0, three, values));
    assert_true(sl_huffman_ac_table(huffman, 0, three, values));
    sl_huffman_close(huffman);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(coefficients_come_in_their_places),
        cmocka_unit_test(a_block_may_be_full),
        cmocka_unit_test(what_is_odd_is_refused),
        cmocka_unit_test(a_stream_that_ends_early_is_refused),
        cmocka_unit_test(dc_coefficients_do_not_grow_for_ever),
        cmocka_unit_test(a_stream_ends_with_a_marker),
        cmocka_unit_test(tables_that_are_no_codes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
