/* The EXIF orientation: read from any bytes, applied the same way by decoding, preparation and loading. */
#include "tests/batch_floats.h"
#include "tests/jpeg_fixture.h"

#include "runtime/data/loader.h"
#include "runtime/data/orientation.h"

enum { SIZE = 64, BYTES = SIZE * SIZE * 3, SMALL = 16 };

static void decode(const uint8_t *bytes, size_t length, bool apply, uint8_t rgb[BYTES])
{
    struct sl_jpeg *jpeg;
    assert_ok(sl_jpeg_open(&jpeg));
    assert_ok(sl_jpeg_decode(jpeg, bytes, length, SIZE, apply, rgb));
    sl_jpeg_close(jpeg);
}

/* ---- reading ---- */

static void every_orientation_is_read(void **state)
{
    (void)state;
    size_t length, n;
    uint8_t *bytes = read_case(SL_CASES_FOLDER, "base.jpg", &length);
    assert_int_equal(sl_orientation_of_jpeg(bytes, length), 1);
    for (int big_endian = 0; big_endian < 2; big_endian++)
        for (int orientation = 0; orientation < 256; orientation++) {
            uint8_t *turned = with_orientation(bytes, length, orientation, big_endian, &n);
            const int wanted = orientation >= 1 && orientation <= 8 ? orientation : 1;
            assert_int_equal(sl_orientation_of_jpeg(turned, n), wanted);
            free(turned);
        }
    free(bytes);
    bytes = read_case(SL_CASES_FOLDER, "exif6.jpg", &length);
    assert_int_equal(sl_orientation_of_jpeg(bytes, length), 6);
    free(bytes);
}

/* Every truncation and every changed byte of an EXIF block, in memory of its own size. */
static void no_bytes_mislead_the_reader(void **state)
{
    (void)state;
    size_t length;
    uint8_t *bytes = read_case(SL_CASES_FOLDER, "exif6.jpg", &length);
    for (size_t n = 0; n < 120; n++) {
        uint8_t *cut = malloc(n ? n : 1);
        memcpy(cut, bytes, n);
        const int32_t orientation = sl_orientation_of_jpeg(cut, n);
        assert_true(orientation == 1 || (n >= 56 && orientation == 6));
        for (size_t i = 0; i < n; i++)
            for (int bit = 0; bit < 8; bit++) {
                cut[i] ^= (uint8_t)(1 << bit);
                const int32_t changed = sl_orientation_of_jpeg(cut, n);
                assert_true(changed >= 1 && changed <= 8);
                cut[i] ^= (uint8_t)(1 << bit);
            }
        free(cut);
    }
    free(bytes);
}

/* ---- turning ---- */

/* Where the pixel that is shown at x, y is stored. */
static size_t stored_at(int orientation, int x, int y)
{
    const int last = SIZE - 1;
    const int places[9][2] = {{0},    {x, y},        {last - x, y},        {last - x, last - y}, {x, last - y},
                              {y, x}, {y, last - x}, {last - y, last - x}, {last - y, x}};
    return ((size_t)places[orientation][1] * SIZE + (size_t)places[orientation][0]) * 3;
}

static void every_orientation_is_applied(void **state)
{
    (void)state;
    size_t length, n;
    uint8_t base[BYTES], rgb[BYTES], *bytes = read_case(SL_CASES_FOLDER, "base.jpg", &length);
    decode(bytes, length, true, base);
    for (int orientation = 1; orientation <= 8; orientation++) {
        uint8_t *turned = with_orientation(bytes, length, orientation, orientation % 2, &n);
        decode(turned, n, false, rgb);
        assert_memory_equal(rgb, base, BYTES);
        decode(turned, n, true, rgb);
        for (int y = 0; y < SIZE; y++)
            for (int x = 0; x < SIZE; x++)
                assert_memory_equal(rgb + (y * SIZE + x) * 3, base + stored_at(orientation, x, y), 3);
        free(turned);
    }
    free(bytes);
}

/* What Pillow's exif_transpose shows of exif6.jpg. */
static void agrees_with_another_program(void **state)
{
    (void)state;
    static const struct {
        int x, y, colour[3];
    } shown[] = {{9, 5, {47, 146, 40}}, {50, 60, {218, 50, 39}}, {60, 5, {47, 26, 41}}, {9, 60, {218, 145, 40}}};
    size_t length;
    uint8_t rgb[BYTES], *bytes = read_case(SL_CASES_FOLDER, "exif6.jpg", &length);
    decode(bytes, length, true, rgb);
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
        for (int c = 0; c < 3; c++)
            assert_true(abs(rgb[(shown[i].y * SIZE + shown[i].x) * 3 + c] - shown[i].colour[c]) <= 2);
    free(bytes);
}

/* A picture that is no square, 90 x 30 as stored: brighter to the right becomes brighter to the bottom. */
static void turns_what_is_resized(void **state)
{
    (void)state;
    size_t length, n;
    uint8_t rgb[BYTES], *bytes = make_slope(90, 30, 180, 0, &length);
    uint8_t *turned = with_orientation(bytes, length, 6, true, &n);
    decode(turned, n, true, rgb);
    for (int y = 1; y < SIZE; y++)
        for (int x = 1; x < SIZE; x++) {
            assert_true(rgb[(y * SIZE + x) * 3] >= rgb[((y - 1) * SIZE + x) * 3]);
            assert_int_equal(rgb[(y * SIZE + x) * 3], rgb[(y * SIZE + x - 1) * 3]);
        }
    assert_true(rgb[(SIZE - 1) * SIZE * 3] > rgb[0] + 150);
    free(turned);
    free(bytes);
}

/* ---- data sets ---- */

/* ROOT/tree: three classes of four pictures that grow brighter to the right; those of `turned` are stored on their
 * side, and grow brighter to the bottom once they are turned. */
static void put_pictures(void)
{
    static const char *const classes[] = {"upright", "turned", "other"};
    for (int c = 0; c < 3; c++)
        for (int i = 0; i < 4; i++) {
            char name[PATH_ROOM];
            size_t length, n;
            uint8_t *bytes = make_slope(SMALL, SMALL, 150 + i, 0, &length);
            uint8_t *turned = with_orientation(bytes, length, c == 1 ? 6 : 1, true, &n);
            snprintf(name, sizeof name, "tree/%s/%d.jpg", classes[c], i);
            put(name, turned, n);
            free(turned);
            free(bytes);
        }
}

static struct sl_dataset *prepare(const char *name, bool apply)
{
    struct sl_dataset *set;
    char *input = strdup(at("tree")), *output = strdup(at(name));
    struct sl_prepare_options options = prepare_options(input, output);
    options.val_fraction = 0;
    options.apply_orientation = apply;
    assert_ok(sl_prepare(&options, &set));
    sl_dataset_close(set);
    assert_ok(sl_dataset_open(output, &set));
    free(input);
    free(output);
    return set;
}

/* Do the loader's images of the class `turned` grow brighter to the bottom, and all others to the right? */
static bool loads_turned(const struct sl_dataset *set)
{
    struct sl_loader *loader;
    const struct sl_batch *batch;
    const struct sl_loader_options options = {.split = "train", .batch_size = 12, .threads = 2};
    int down = 0;
    assert_ok(sl_loader_open(set, &options, &loader));
    assert_ok(sl_loader_next(loader, &batch));
    assert_int_equal(batch->count, 12);
    float *images = batch_floats(batch, SMALL);
    for (int32_t i = 0; i < batch->count; i++) {
        const float *image = images + (size_t)i * SMALL * SMALL * 3;
        const bool grows_down = image[(SMALL - 1) * SMALL * 3] > image[0] + 0.2f;
        assert_true(grows_down != (image[(SMALL - 1) * 3] > image[0] + 0.2f));
        assert_true(!grows_down || !strncmp(batch->keys[i], "turned", 6));
        down += grows_down;
    }
    free(images);
    sl_loader_close(loader);
    assert_true(down == 0 || down == 4);
    return down == 4;
}

static void the_data_set_says_how_it_is_read(void **state)
{
    (void)state;
    put_pictures();
    for (int apply = 0; apply < 2; apply++) {
        struct sl_dataset *set = prepare(apply ? "apply" : "ignore", apply);
        assert_int_equal(set->pixels.apply_orientation, apply);
        assert_int_equal(set->turned, 4);
        assert_int_equal(loads_turned(set), apply);
        sl_dataset_close(set);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_orientation_is_read),    cmocka_unit_test(no_bytes_mislead_the_reader),
        cmocka_unit_test(every_orientation_is_applied), cmocka_unit_test(agrees_with_another_program),
        cmocka_unit_test(turns_what_is_resized),        cmocka_unit_test(the_data_set_says_how_it_is_read),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
