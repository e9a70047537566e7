/* JPEG files of tests/cases/, each with its right verdict and pixels, whatever the decoder saw before. */
#include "tests/jpeg_fixture.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/hash.h"
#include "runtime/data/resize.h"

enum { SIZE = 64, BYTES = SIZE * SIZE * 3, SLACK = 4 };

/* The picture of base.jpg, and of all that were made from it without a loss. */
#define BASE UINT64_C(0x1adaa3afa3475789)
#define ANY UINT64_C(0)

/* Hashes are of what TurboJPEG's tjDecompress2 makes. Colours, at (9,5) and (50,60) of 64 x 64, are Pillow's; those of
 * samp_3x1.jpg FFmpeg's, a decoder of its own. */
static const struct {
    const char *name;
    const char *refusal; /* a part of the message; NULL: it decodes */
    uint64_t hash;
    int colours[2][3];
} cases[] = {
    {"base.jpg", NULL, BASE, {{57, 31, 40}, {185, 160, 41}}},
    {"exif6.jpg", NULL, BASE, {{57, 31, 40}, {185, 160, 41}}},
    /* Departures from the letter that cost no pixel. */
    {"jfif_0.00.jpg", NULL, BASE, {{57, 31, 40}, {185, 160, 41}}},
    {"extraneous_before_eoi.jpg", NULL, BASE, {{57, 31, 40}, {185, 160, 41}}},
    /* Sampling factors without a name. */
    {"samp_3x1.jpg", NULL, ANY, {{59, 32, 39}, {188, 160, 35}}},
    {"cmyk_sub1.jpg", NULL, ANY, {{57, 31, 40}, {185, 160, 40}}},
    /* Kinds of colour and of scans, 40 x 24. */
    {"grey.jpg", NULL, UINT64_C(0x5d2aee882d113721), {{156, 156, 156}, {125, 125, 125}}},
    {"yuv444.jpg", NULL, UINT64_C(0x36f41077a0929a72), {{63, 220, 71}, {179, 91, 163}}},
    {"yuv422.jpg", NULL, UINT64_C(0x84fe546b4f5f80bd), {{64, 220, 74}, {178, 91, 163}}},
    {"progressive.jpg", NULL, UINT64_C(0x4c1cebf83366f4c9), {{71, 217, 71}, {176, 92, 163}}},
    {"restarts.jpg", NULL, UINT64_C(0x4c1cebf83366f4c9), {{71, 217, 71}, {176, 92, 163}}},
    {"cmyk.jpg", NULL, UINT64_C(0x4dcb5a5bd0c82844), {{64, 220, 73}, {178, 90, 161}}},
    /* Huffman tables of its own; the standard ones meant, as in MJPEG frames; no quantisation tables; only tables. */
    {"opt.jpg", NULL, UINT64_C(0xb6653b09a3e704a3), {{229, 37, 201}, {227, 29, 222}}},
    {"std_nodht.jpg", NULL, UINT64_C(0xcd712857df150f52), {{53, 135, 151}, {67, 91, 126}}},
    {"nodqt.jpg", "Quantization table 0x00 was not defined", ANY, {{0}}},
    {"tables_only.jpg", "holds no image", ANY, {{0}}},
};

enum { CASES = sizeof cases / sizeof *cases };

static struct sl_jpeg *open_decoder(void)
{
    struct sl_jpeg *jpeg;
    assert_ok(sl_jpeg_open(&jpeg));
    return jpeg;
}

static int decode_case(struct sl_jpeg *jpeg, size_t i, uint8_t rgb[BYTES])
{
    size_t length;
    uint8_t *bytes = read_case(SL_CASES_FOLDER, cases[i].name, &length);
    const int rc = sl_jpeg_decode(jpeg, bytes, length, SIZE, false, rgb);
    free(bytes);
    return rc;
}

static void must_be_near(const char *name, const uint8_t *rgb, const int wanted[3])
{
    for (int c = 0; c < 3; c++)
        if (abs(rgb[c] - wanted[c]) > SLACK)
            fail_msg("%s: %d %d %d instead of %d %d %d", name, rgb[0], rgb[1], rgb[2], wanted[0], wanted[1], wanted[2]);
}

static void must_be_right(struct sl_jpeg *jpeg, size_t i)
{
    uint8_t rgb[BYTES];
    if (cases[i].refusal) {
        assert_fails(decode_case(jpeg, i, rgb), SL_BAD_DATA, cases[i].refusal);
        return;
    }
    assert_ok(decode_case(jpeg, i, rgb));
    must_be_near(cases[i].name, rgb + (5 * SIZE + 9) * 3, cases[i].colours[0]);
    must_be_near(cases[i].name, rgb + (60 * SIZE + 50) * 3, cases[i].colours[1]);
    if (cases[i].hash != ANY && sl_hash64(rgb, BYTES) != cases[i].hash)
        fail_msg("%s: its pixels have the hash %016llx", cases[i].name, (unsigned long long)sl_hash64(rgb, BYTES));
}

static void each_case_is_right(void **state)
{
    (void)state;
    for (size_t i = 0; i < CASES; i++) {
        struct sl_jpeg *jpeg = open_decoder();
        must_be_right(jpeg, i);
        sl_jpeg_close(jpeg);
    }
}

/* Every case after every other, with one decoder. */
static void what_came_before_does_not_matter(void **state)
{
    (void)state;
    struct sl_jpeg *jpeg = open_decoder();
    uint8_t unused[BYTES];
    for (size_t before = 0; before < CASES; before++)
        for (size_t i = 0; i < CASES; i++) {
            decode_case(jpeg, before, unused);
            must_be_right(jpeg, i);
        }
    sl_jpeg_close(jpeg);
}

/* base.jpg, with one place changed, decodes to the same pixels. */
/* Other pixels, and as close as a coarser rounding and repeated chroma make them. */
static void fast_decoding_is_near(void **state)
{
    static uint8_t exact[BYTES], fast[BYTES];
    struct sl_jpeg *jpeg = open_decoder();
    size_t length;
    double sum = 0;
    (void)state;
    uint8_t *bytes = read_case(SL_CASES_FOLDER, "base.jpg", &length);
    assert_ok(sl_jpeg_decode(jpeg, bytes, length, SIZE, false, exact));
    assert_ok(sl_jpeg_decode_fast(jpeg, bytes, length, SIZE, false, fast));
    for (int i = 0; i < BYTES; i++)
        sum += abs(exact[i] - fast[i]);
    assert_true(sum > 0 && sum < 3.0 * BYTES);
    assert_int_equal(sl_jpeg_decode_fast(jpeg, bytes, length / 2, SIZE, false, fast), SL_BAD_DATA);
    /* And it leaves no trace. */
    assert_ok(sl_jpeg_decode(jpeg, bytes, length, SIZE, false, fast));
    assert_memory_equal(exact, fast, BYTES);
    free(bytes);
    sl_jpeg_close(jpeg);
}

static void must_still_decode(const uint8_t *bytes, size_t length)
{
    uint8_t rgb[BYTES];
    struct sl_jpeg *jpeg = open_decoder();
    assert_ok(sl_jpeg_decode(jpeg, bytes, length, SIZE, false, rgb));
    assert_int_equal(sl_hash64(rgb, BYTES), BASE);
    sl_jpeg_close(jpeg);
}

static void oddities_that_cost_no_pixel_are_decoded(void **state)
{
    (void)state;
    static const uint8_t adobe[] = {0xff, 0xee, 0, 14, 'A', 'd', 'o', 'b', 'e', 0, 100, 0, 0, 0, 0, 7};
    enum { JFIF = 18 };
    size_t length;
    uint8_t *bytes = read_case(SL_CASES_FOLDER, "base.jpg", &length);
    /* The scan's parameters as Samsung's cameras once wrote them. */
    uint8_t *scan = memmem(bytes, length, "\xff\xda\x00\x0c", 4);
    assert_non_null(scan);
    assert_memory_equal(scan + 11, "\x00\x3f\x00", 3);
    scan[12] = 0;
    must_still_decode(bytes, length);
    scan[12] = 63;
    /* An Adobe marker of an unknown transform, in the place of JFIF's. */
    assert_memory_equal(bytes + 2, "\xff\xe0", 2);
    uint8_t *start = bytes + JFIF - sizeof adobe;
    memcpy(start, "\xff\xd8", 2);
    memcpy(start + 2, adobe, sizeof adobe);
    must_still_decode(start, length - JFIF + sizeof adobe);
    free(bytes);
}

static void must_be_refused(const uint8_t *bytes, size_t length, const char *part)
{
    uint8_t rgb[BYTES];
    struct sl_jpeg *jpeg = open_decoder();
    assert_fails(sl_jpeg_decode(jpeg, bytes, length, SIZE, false, rgb), SL_BAD_DATA, part);
    sl_jpeg_close(jpeg);
}

static void guessed_pixels_are_refused(void **state)
{
    (void)state;
    size_t length;
    uint8_t *bytes = read_case(SL_CASES_FOLDER, "base.jpg", &length);
    must_be_refused(bytes, length - 2, "Premature end of JPEG file");
    memcpy(bytes + length - 60, "\xff\xd9", 2); /* cut short, with an end */
    must_be_refused(bytes, length - 58, "premature end of data segment");
    free(bytes);
    bytes = read_case(SL_CASES_FOLDER, "restarts.jpg", &length);
    uint8_t *restart = memmem(bytes, length, "\xff\xd1", 2);
    assert_non_null(restart);
    restart[1] = 0xd4; /* an interval was lost */
    must_be_refused(bytes, length, "found marker 0xd4 instead of RST1");
    free(bytes);
}

static void kinds_that_are_not_read_are_named(void **state)
{
    (void)state;
    static const char part[] = "a JPEG of a kind that is not read";
    size_t length;
    uint8_t *bytes = read_case(SL_CASES_FOLDER, "base.jpg", &length);
    uint8_t *frame = memmem(bytes, length, "\xff\xc0\x00\x11\x08", 5);
    assert_non_null(frame);
    frame[1] = 0xc3; /* lossless */
    must_be_refused(bytes, length, part);
    frame[1] = 0xc0;
    frame[4] = 12; /* bits a sample */
    must_be_refused(bytes, length, part);
    frame[4] = 8;
    frame[11] = 0x31; /* brightness 3 to the colours' 2 */
    frame[14] = frame[17] = 0x21;
    must_be_refused(bytes, length, part);
    free(bytes);
}

/* ---- sizes ---- */

static void must_slope(int32_t width, int32_t height, int32_t size)
{
    size_t length;
    struct sl_jpeg *jpeg = open_decoder();
    uint8_t *bytes = make_slope(width, height, 100, 90, &length), *rgb = malloc((size_t)size * (size_t)size * 3);
    assert_ok(sl_jpeg_decode(jpeg, bytes, length, size, false, rgb));
    for (int32_t y = 0; y < size; y++)
        for (int32_t x = 0; x < size; x++) {
            const int wanted = 28 + (2 * x + 1) * 100 / (2 * size) + (2 * y + 1) * 90 / (2 * size);
            if (abs(rgb[((size_t)y * (size_t)size + (size_t)x) * 3] - wanted) > SLACK)
                fail_msg("%d x %d at %d,%d: %d instead of %d", width, height, x, y,
                         rgb[((size_t)y * (size_t)size + (size_t)x) * 3], wanted);
        }
    sl_jpeg_close(jpeg);
    free(bytes);
    free(rgb);
}

static void huge_photos_are_decoded_smaller(void **state)
{
    (void)state;
    must_slope(12000, 9000, 64);
    must_slope(20000, 400, 64);
    must_slope(400, 20000, 64);
    must_slope(65500, 80, 64);
    must_slope(32768, 32768, 16);
}

/* Up to four megapixels nothing is left to libjpeg's scaling: what is resized is the whole image. */
static void usual_photos_are_decoded_whole(void **state)
{
    (void)state;
    enum { SIDE = 2048, PIXELS = SIDE * SIDE };
    size_t length;
    uint8_t *noise = malloc(PIXELS * 3), *bytes, wanted[BYTES], rgb[BYTES];
    uint32_t random = 1;
    for (size_t i = 0; i < PIXELS * 3; i++)
        noise[i] = (uint8_t)((random = random * 1664525 + 1013904223) >> 24);
    struct sl_jpeg *jpeg = open_decoder();
    assert_int_equal(PIXELS, SL_JPEG_USUAL_PIXELS);
    assert_ok(sl_jpeg_encode(jpeg, noise, SIDE, SIDE, 90, &bytes, &length));
    assert_ok(sl_jpeg_decode(jpeg, bytes, length, SIDE, false, noise));
    assert_ok(sl_resize(noise, SIDE, SIDE, SIZE, wanted));
    assert_ok(sl_jpeg_decode(jpeg, bytes, length, SIZE, false, rgb));
    assert_memory_equal(rgb, wanted, BYTES);
    sl_jpeg_close(jpeg);
    free(noise);
    free(bytes);
}

static long peak_kilobytes(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? usage.ru_maxrss : 0;
}

/* Twelve megapixels are 36 MB as RGB. A process of its own, whose peak starts at what it has. */
static void a_photo_takes_little_memory(void **state)
{
    (void)state;
    size_t length;
    int status;
    uint8_t rgb[BYTES], *bytes = make_slope(4000, 3000, 100, 90, &length);
    struct sl_jpeg *jpeg = open_decoder();
    const pid_t child = fork();
    assert_int_not_equal(child, -1);
    if (child == 0) {
        const long before = peak_kilobytes();
        const int rc = sl_jpeg_decode(jpeg, bytes, length, SIZE, false, rgb);
        _exit(rc == SL_OK && before && peak_kilobytes() - before < 24 << 10 ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    sl_jpeg_close(jpeg);
    free(bytes);
    must_slope(4000, 3000, SIZE);
    must_slope(4000, 3000, 1600); /* too large for a half */
}

static void too_many_pixels_or_scans_are_refused(void **state)
{
    (void)state;
    size_t length;
    uint8_t *bytes = make_slope(64, 64, 100, 90, &length);
    uint8_t *frame = memmem(bytes, length, "\xff\xc0\x00\x0b", 4);
    memcpy(frame + 5, "\x80\x01\x80\x00", 4); /* one row more than may be */
    must_be_refused(bytes, length, "32768 x 32769 pixels, more than the 1073741824");
    free(bytes);
    bytes = read_case(SL_CASES_FOLDER, "progressive.jpg", &length);
    frame = memmem(bytes, length, "\xff\xc2\x00\x11", 4);
    assert_non_null(frame);
    memcpy(frame + 5, "\x7f\xff\x7f\xff", 4);
    must_be_refused(bytes, length, "MiB while they are decoded, more than the 768 that are allowed");
    free(bytes);
    struct jpeg_bytes scans = {0};
    begin_jpeg(&scans, 8, 8, 3);
    for (int i = 0; i < 600; i++) {
        begin_scan(&scans, i % 3 + 1);
        put_difference(&scans, 9);
        end_bits(&scans);
    }
    put_bytes(&scans, "\xff\xd9", 2);
    must_be_refused(scans.at, scans.length, "501 scans over an image of 8 x 8 pixels");
    free(scans.at);
}

/* Progressive and arithmetic: a scan without a byte of its own says that nothing changes, at the price of a pass. */
static void a_small_file_cannot_ask_for_hundreds_of_passes(void **state)
{
    (void)state;
    struct jpeg_bytes scans = {0};
    begin_jpeg(&scans, 8000, 8000, 1);
    uint8_t *frame = memmem(scans.at, scans.length, "\xff\xc0", 2);
    assert_non_null(frame);
    frame[1] = 0xca;
    put_bytes(&scans, "\xff\xda\0\x08\1\1\0\0\0\0", 10);
    for (int i = 0; i < 400; i++) {
        const int coefficient = 1 + i % 63, bit = 13 - i / 63, before = bit == 13 ? 0 : bit + 1;
        put_bytes(&scans, "\xff\xda\0\x08\1\1\0", 7);
        put_byte(&scans, coefficient);
        put_byte(&scans, coefficient);
        put_byte(&scans, before << 4 | bit);
    }
    put_bytes(&scans, "\xff\xd9", 2);
    must_be_refused(scans.at, scans.length, "84 scans over an image of 8000 x 8000 pixels, more than it can need");
    free(scans.at);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_case_is_right),
        cmocka_unit_test(what_came_before_does_not_matter),
        cmocka_unit_test(fast_decoding_is_near),
        cmocka_unit_test(oddities_that_cost_no_pixel_are_decoded),
        cmocka_unit_test(guessed_pixels_are_refused),
        cmocka_unit_test(kinds_that_are_not_read_are_named),
        cmocka_unit_test(huge_photos_are_decoded_smaller),
        cmocka_unit_test(usual_photos_are_decoded_whole),
        cmocka_unit_test(a_photo_takes_little_memory),
        cmocka_unit_test(too_many_pixels_or_scans_are_refused),
        cmocka_unit_test(a_small_file_cannot_ask_for_hundreds_of_passes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
