/* Our Huffman decoder beside libjpeg's: of whole, cut and damaged images, the same verdict, the same words, the same
 * pixels. */
#include <dirent.h>

#include "tests/jpeg_fixture.h"

#include "runtime/data/jpeg_read.h"

enum { MOST_PIXELS = 1 << 16, BYTES = 4 * MOST_PIXELS, CUTS = 24, FLIPS = 150, OTHER = -1 };

static uint8_t ours[BYTES], theirs[BYTES];
static int sound, refused;

static int read_once(struct sl_jpeg_reader *reader, const struct sl_jpeg_way *way, const uint8_t *bytes, size_t length,
                     uint8_t to[BYTES], size_t *made)
{
    struct sl_jpeg_header h;
    int rc = sl_jpeg_read_begin(reader, bytes, length, &h);
    if (rc == SL_OK && (int64_t)h.width * h.height > MOST_PIXELS)
        rc = OTHER;
    if (rc == SL_OK)
        rc = sl_jpeg_read_pixels(reader, way, to);
    sl_jpeg_read_end(reader);
    *made = rc == SL_OK ? (size_t)((h.width * way->eighths + 7) / 8) * (size_t)((h.height * way->eighths + 7) / 8) *
                              (h.four ? 4 : 3)
                        : 0;
    return rc;
}

static void must_agree(struct sl_jpeg_reader *reader, const char *name, const uint8_t *bytes, size_t length)
{
    static const struct sl_jpeg_way ways[] = {{.eighths = 8}, {.eighths = 8, .fast = true}, {.eighths = 1}};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        char words[1024] = "";
        size_t made, expected;
        struct sl_jpeg_way alone = ways[i];
        alone.libjpeg_alone = true;
        const int wanted = read_once(reader, &alone, bytes, length, theirs, &expected);
        if (wanted != SL_OK && wanted != OTHER)
            snprintf(words, sizeof words, "%s", sl_last_error());
        assert_int_equal(read_once(reader, &ways[i], bytes, length, ours, &made), wanted);
        if (wanted != SL_OK && wanted != OTHER)
            assert_string_equal(sl_last_error(), words);
        assert_int_equal(made, expected);
        if (memcmp(ours, theirs, made))
            fail_msg("%s: other pixels", name);
        sound += wanted == SL_OK;
        refused += wanted == SL_BAD_DATA;
    }
}

static void damage_and_compare(struct sl_jpeg_reader *reader, const char *name, uint8_t *bytes, size_t length)
{
    uint32_t random = 1;
    must_agree(reader, name, bytes, length);
    for (size_t i = 0; i < CUTS; i++)
        must_agree(reader, name, bytes, length - 1 - i * (length / CUTS));
    for (size_t i = 0; i < FLIPS; i++) {
        random = random * 1664525u + 1013904223u;
        const size_t at = (random >> 8) % length;
        const uint8_t was = bytes[at];
        bytes[at] ^= i % 3 ? (uint8_t)(1u << (random & 7)) : 0xff;
        must_agree(reader, name, bytes, length);
        bytes[at] = was;
    }
}

static void cases_agree(void **state)
{
    (void)state;
    struct sl_jpeg_reader *reader = sl_jpeg_reader_open();
    DIR *folder = opendir(SL_CASES_FOLDER);
    assert_non_null(reader);
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder));) {
        size_t length;
        if (entry->d_name[0] == '.')
            continue;
        uint8_t *bytes = read_case(SL_CASES_FOLDER, entry->d_name, &length);
        damage_and_compare(reader, entry->d_name, bytes, length);
        free(bytes);
    }
    closedir(folder);
    sl_jpeg_reader_close(reader);
    /* Neither is the rule. */
    assert_true(sound > 100 && refused > 100);
}

static void any_size_agrees(void **state)
{
    (void)state;
    struct sl_jpeg_reader *reader = sl_jpeg_reader_open();
    assert_non_null(reader);
    for (int32_t side = 1; side < 70; side += 3)
        for (int grey = 0; grey < 2; grey++) {
            size_t length;
            uint8_t *bytes = make_jpeg(side, 70 - side, side, grey, &length);
            must_agree(reader, "made", bytes, length);
            free(bytes);
        }
    sl_jpeg_reader_close(reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(cases_agree), cmocka_unit_test(any_size_agrees)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
