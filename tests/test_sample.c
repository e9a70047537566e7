/* The sample set: its layout, its determinism, and that mean colour does not tell its classes apart. */
#include "tests/data_fixture.h"

#include "runtime/prepare/invent.h"

static const struct sl_invent_options small = {.classes = 3, .per_class = 4, .val_per_class = 2, .size = 32, .seed = 5};

static void same_seed_same_bytes(void **state)
{
    (void)state;
    char name[PATH_ROOM], other[PATH_ROOM];
    assert_ok(sl_invent_write(at("one"), &small));
    assert_ok(sl_invent_write(at("two"), &small));
    struct sl_invent_options different = small;
    different.seed = 6;
    assert_ok(sl_invent_write(at("three"), &different));
    static const char *const files[] = {"wnids.txt",
                                        "words.txt",
                                        "train/n90000001/n90000001_boxes.txt",
                                        "train/n90000001/images/n90000001_0.JPEG",
                                        "train/n90000003/images/n90000003_3.JPEG",
                                        "val/val_annotations.txt",
                                        "val/images/val_0.JPEG",
                                        "val/images/val_5.JPEG"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(name, sizeof name, "one/%s", files[i]);
        snprintf(other, sizeof other, "two/%s", files[i]);
        assert_true(same_file(at(name), at(other)));
    }
    assert_false(same_file(at("one/val/images/val_0.JPEG"), at("three/val/images/val_0.JPEG")));
    assert_fails(sl_invent_write(at("one"), &small), SL_CANNOT_CREATE, "not empty");
}

static void annotations_have_the_original_form(void **state)
{
    (void)state;
    uint8_t *text;
    size_t length;
    int lines = 0;
    assert_ok(sl_invent_write(at("form"), &small));
    assert_ok(sl_io_read(at("form/val/val_annotations.txt"), 1 << 20, &text, &length));
    for (char *line = strtok((char *)text, "\n"); line; line = strtok(NULL, "\n"), lines++) {
        int number, class, x0, y0, x1, y1;
        assert_int_equal(sscanf(line, "val_%d.JPEG\tn%d\t%d\t%d\t%d\t%d", &number, &class, &x0, &y0, &x1, &y1), 6);
        assert_int_equal(number, lines);
        assert_true(class >= 90000001 && class <= 90000003);
        assert_true(0 <= x0 && x0 < x1 && x1 < 32 && 0 <= y0 && y0 < y1 && y1 < 32);
    }
    assert_int_equal(lines, 6);
    free(text);
}

static void every_class_is_another_pair(void **state)
{
    (void)state;
    for (int32_t classes = 2; classes <= SL_INVENT_MAX_CLASSES; classes++) {
        bool seen[SL_INVENT_SHAPES][SL_INVENT_TEXTURES] = {{false}};
        for (int32_t i = 0; i < classes; i++) {
            int32_t shape, texture;
            sl_invent_class(i, classes, &shape, &texture);
            assert_true(shape >= 0 && shape < SL_INVENT_SHAPES && texture >= 0 && texture < SL_INVENT_TEXTURES);
            assert_false(seen[shape][texture]);
            seen[shape][texture] = true;
        }
    }
}

enum { CLASSES = 10, EACH = 60, SIZE = 32 };

static void mean_colour(int32_t class, uint64_t number, double mean[3], bool *grey)
{
    uint8_t rgb[SIZE * SIZE * 3];
    int32_t shape, texture, box[4];
    sl_invent_class(class, CLASSES, &shape, &texture);
    sl_invent_draw(1, number, shape, texture, SIZE, rgb, box);
    mean[0] = mean[1] = mean[2] = 0;
    *grey = true;
    for (int i = 0; i < SIZE * SIZE; i++)
        for (int c = 0; c < 3; c++) {
            mean[c] += rgb[i * 3 + c] / (255.0 * SIZE * SIZE);
            *grey = *grey && rgb[i * 3 + c] == rgb[i * 3];
        }
}

static int nearest(double centre[CLASSES][3], const double mean[3])
{
    int best = 0;
    double least = 1e9;
    for (int k = 0; k < CLASSES; k++) {
        double distance = 0;
        for (int c = 0; c < 3; c++)
            distance += (mean[c] - centre[k][c]) * (mean[c] - centre[k][c]);
        if (distance < least) {
            least = distance;
            best = k;
        }
    }
    return best;
}

static void mean_colour_tells_little(void **state)
{
    (void)state;
    double centre[CLASSES][3] = {{0}}, mean[3];
    int right = 0, greys = 0;
    bool grey;
    for (int32_t k = 0; k < CLASSES; k++)
        for (int i = 0; i < EACH; i++) {
            mean_colour(k, (uint64_t)(k * EACH + i), mean, &grey);
            greys += grey;
            for (int c = 0; c < 3; c++)
                centre[k][c] += mean[c] / EACH;
        }
    for (int32_t k = 0; k < CLASSES; k++)
        for (int i = 0; i < EACH; i++) {
            mean_colour(k, (uint64_t)(100000 + k * EACH + i), mean, &grey);
            right += nearest(centre, mean) == k;
        }
    assert_true(right * 100 < 30 * CLASSES * EACH);
    assert_true(greys >= 3 && greys <= 30); /* about 2 % of 600 */
}

static void wrong_numbers_are_refused(void **state)
{
    (void)state;
    struct sl_invent_options wrong = small;
    wrong.classes = SL_INVENT_MAX_CLASSES + 1;
    assert_fails(sl_invent_write(at("wrong"), &wrong), SL_BAD_CONFIG, "201 classes");
    wrong = small;
    wrong.size = 8;
    assert_fails(sl_invent_write(at("wrong"), &wrong), SL_BAD_CONFIG, "8 pixels");
    FILE *file = fopen(at("plain"), "w");
    assert_non_null(file);
    fclose(file);
    assert_fails(sl_invent_write(at("plain/folder"), &small), SL_CANNOT_CREATE, "plain");
    assert_ok(sl_invent_write(at("new/folder"), &small));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_seed_same_bytes),        cmocka_unit_test(annotations_have_the_original_form),
        cmocka_unit_test(every_class_is_another_pair), cmocka_unit_test(mean_colour_tells_little),
        cmocka_unit_test(wrong_numbers_are_refused),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
