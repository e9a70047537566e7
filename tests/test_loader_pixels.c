/* The pixels of a loader's batches: those of the files, moved and scaled as its options say. */
#include <math.h>

#include "tests/loader_fixture.h"

/* The pixels of an image are those of its file, scaled. */
static void images_are_the_decoded_files(void **state)
{
    (void)state;
    struct sl_loader *loader;
    struct sl_jpeg *jpeg;
    struct sl_loader_options options = {.split = "val", .batch_size = 3};
    assert_ok(sl_jpeg_open(&jpeg));
    for (int standardised = 0; standardised < 2; standardised++) {
        options.pixels.range = standardised ? SL_PIXELS_STANDARDISED : SL_PIXELS_UNIT;
        const struct sl_batch *batch;
        assert_ok(sl_loader_open(plain, &options, &loader));
        assert_ok(sl_loader_next(loader, &batch));
        assert_int_equal(batch->count, 3);
        float *images = batch_floats(batch, SIZE);
        for (int32_t i = 0; i < 3; i++) {
            char path[PATH_ROOM];
            uint8_t *bytes, rgb[SIZE * SIZE * 3];
            size_t length;
            snprintf(path, sizeof path, "tree/%.7s/%s.jpg", batch->keys[i], batch->keys[i] + 8);
            assert_ok(sl_io_read(at(path), 1 << 20, &bytes, &length));
            assert_ok(sl_jpeg_decode(jpeg, bytes, length, SIZE, true, rgb));
            for (int k = 0; k < SIZE * SIZE * 3; k++) {
                double wanted = rgb[k] / 255.0;
                if (standardised)
                    wanted = (wanted - plain->pixels.mean[k % 3]) / plain->pixels.deviation[k % 3];
                assert_true(fabs(images[i * SIZE * SIZE * 3 + k] - wanted) < 1e-5);
            }
            free(bytes);
        }
        free(images);
        sl_loader_close(loader);
    }
    sl_jpeg_close(jpeg);
}

static void flips_and_crops_about_as_often_as_it_should(void **state)
{
    (void)state;
    struct sl_loader *loader;
    const struct sl_batch *batch;
    struct sl_loader_options options = usual();
    int flipped = 0;
    options.crop_padding = 0;
    options.batch_size = TRAIN;
    assert_ok(sl_loader_open(plain, &options, &loader));
    for (int epoch = 0; epoch < 20; epoch++) {
        assert_ok(sl_loader_next(loader, &batch));
        float *images = batch_floats(batch, SIZE);
        for (int i = 0; i < TRAIN; i++) /* the pictures grow brighter to the right */
            flipped += images[(size_t)i * SIZE * SIZE * 3] > images[(size_t)i * SIZE * SIZE * 3 + (SIZE - 1) * 3];
        free(images);
    }
    assert_true(flipped > 20 * TRAIN * 4 / 10 && flipped < 20 * TRAIN * 6 / 10);
    sl_loader_close(loader);
}

/* Other pixels, of the data set's own size too. */
static void decodes_fast_when_asked(void **state)
{
    (void)state;
    struct sl_loader *exact, *fast;
    const struct sl_batch *a, *b;
    struct sl_loader_options options = {.split = "val", .batch_size = CLASSES};
    assert_ok(sl_loader_open(plain, &options, &exact));
    options.pixels.fast_decode = true;
    assert_ok(sl_loader_open(plain, &options, &fast));
    assert_ok(sl_loader_next(exact, &a));
    assert_ok(sl_loader_next(fast, &b));
    assert_memory_equal(a->labels, b->labels, CLASSES * sizeof *a->labels);
    const size_t bytes = (size_t)CLASSES * SIZE * SIZE * 3;
    int most = 0;
    for (size_t i = 0; i < bytes; i++)
        most = abs(a->pixels[i] - b->pixels[i]) > most ? abs(a->pixels[i] - b->pixels[i]) : most;
    assert_true(most > 0 && most < 128);
    sl_loader_close(exact);
    sl_loader_close(fast);
}

/* A model's own pixels: another size, other statistics than the data set's. */
static void a_model_gets_its_own_pixels(void **state)
{
    (void)state;
    struct sl_loader *own, *model;
    const struct sl_batch *a, *b;
    struct sl_loader_options options = {.split = "val", .batch_size = CLASSES};
    assert_ok(sl_loader_open(plain, &options, &own));
    options.pixels = (struct sl_pixels){SIZE, SL_PIXELS_STANDARDISED, {0.25, 0.5, 0}, {0.5, 2, 0}, false, false};
    assert_ok(sl_loader_open(plain, &options, &model));
    assert_ok(sl_loader_next(own, &a));
    assert_ok(sl_loader_next(model, &b));
    assert_true(a->count == CLASSES && b->count == CLASSES);
    float *x_own = batch_floats(a, SIZE), *x_model = batch_floats(b, SIZE);
    for (int i = 0; i < CLASSES * SIZE * SIZE * 3; i++) {
        const double x = x_own[i], wanted[] = {(x - 0.25) / 0.5, (x - 0.5) / 2, x};
        assert_true(fabs(x_model[i] - wanted[i % 3]) < 1e-6);
    }
    free(x_own);
    free(x_model);
    sl_loader_close(model);
    options.pixels.size = SIZE / 2;
    assert_ok(sl_loader_open(plain, &options, &model));
    assert_ok(sl_loader_next(model, &b));
    /* Three images of a quarter the pixels; what lies behind them belongs to nobody (ASan looks). */
    x_model = batch_floats(b, SIZE / 2);
    assert_true(b->count == CLASSES && isfinite(x_model[CLASSES * (SIZE / 2) * (SIZE / 2) * 3 - 1]));
    free(x_model);
    sl_loader_close(model);
    sl_loader_close(own);
    options.pixels.size = 1025;
    assert_fails(sl_loader_open(plain, &options, &model), SL_BAD_CONFIG, "1025 pixels a side");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(images_are_the_decoded_files),
        cmocka_unit_test(flips_and_crops_about_as_often_as_it_should),
        cmocka_unit_test(decodes_fast_when_asked),
        cmocka_unit_test(a_model_gets_its_own_pixels),
    };
    return cmocka_run_group_tests(tests, open_sets, close_sets);
}
