/* The loader: every sample once, the same bits however it is run, resume, faults. */
#include "tests/data_fixture.h"

#include <math.h>

#include "runtime/base/folder.h"
#include "runtime/data/loader.h"
#include "runtime/data/shard.h"
#include "runtime/base/hash.h"
#include "tests/batch_floats.h"

enum { CLASSES = 3, EACH = 13, TRAIN = CLASSES * 12, SIZE = 16 }; /* one of thirteen validates */

static struct sl_dataset *plain, *packed;

static struct sl_dataset *prepare(const char *name, bool zstd)
{
    struct sl_dataset *set;
    char *input = strdup(at("tree")), *output = strdup(at(name));
    struct sl_prepare_options options = prepare_options(input, output);
    options.zstd = zstd;
    assert_ok(sl_prepare(&options, &set));
    free(input);
    free(output);
    return set;
}

static int open_sets(void **state)
{
    enter(state);
    put_tree("tree", CLASSES, EACH);
    plain = prepare("plain", false);
    packed = prepare("packed", true);
    return 0;
}

static int close_sets(void **state)
{
    sl_dataset_close(plain);
    sl_dataset_close(packed);
    return leave(state);
}

static struct sl_loader_options usual(void)
{
    return (struct sl_loader_options){.split = "train",
                                      .batch_size = 5,
                                      .seed = 7,
                                      .shuffle = true,
                                      .flip = true,
                                      .crop_padding = 2,
                                      .threads = 1,
                                      .cache_bytes = 1 << 30};
}

/* The hash of everything a batch holds. */
static uint64_t hash_of(const struct sl_batch *batch, int32_t batch_size)
{
    float *images = batch_floats(batch, SIZE);
    uint64_t hash = sl_hash64(images, (size_t)batch->count * SIZE * SIZE * 3 * sizeof *images);
    free(images);
    hash = hash * 31 + sl_hash64(batch->labels, (size_t)batch_size * sizeof *batch->labels);
    for (int32_t i = 0; i < batch->count; i++)
        hash = hash * 31 + sl_hash64(batch->keys[i], strlen(batch->keys[i]));
    return hash * 31 + (uint64_t)batch->count + batch->epoch * 1000 + batch->index;
}

static void run(const struct sl_dataset *set, const struct sl_loader_options *options, uint64_t *hashes, size_t n)
{
    struct sl_loader *loader;
    assert_ok(sl_loader_open(set, options, &loader));
    for (size_t i = 0; i < n; i++) {
        const struct sl_batch *batch;
        assert_ok(sl_loader_next(loader, &batch));
        hashes[i] = hash_of(batch, options->batch_size);
    }
    sl_loader_close(loader);
}

static void every_sample_once_per_epoch(void **state)
{
    (void)state;
    struct sl_loader *loader;
    const struct sl_loader_options options = usual();
    char orders[3][TRAIN * 16];
    assert_ok(sl_loader_open(plain, &options, &loader));
    assert_int_equal(sl_loader_samples(loader), TRAIN);
    assert_int_equal(sl_loader_batches(loader), 8);
    assert_true(sl_loader_cached(loader));
    for (uint64_t epoch = 0; epoch < 3; epoch++) {
        int seen[CLASSES][EACH] = {{0}}, total = 0;
        orders[epoch][0] = '\0';
        for (uint64_t index = 0; index < 8; index++) {
            const struct sl_batch *batch;
            assert_ok(sl_loader_next(loader, &batch));
            assert_int_equal(batch->epoch, epoch);
            assert_int_equal(batch->index, index);
            assert_int_equal(batch->count, index < 7 ? 5 : 1);
            assert_true(batch->waited >= 0);
            for (int32_t i = 0; i < batch->count; i++) {
                int class, number;
                assert_int_equal(sscanf(batch->keys[i], "class%d_%d", &class, &number), 2);
                assert_int_equal(batch->labels[i], class);
                assert_int_equal(seen[class][number]++, 0);
                total++;
                strcat(orders[epoch], batch->keys[i] + 6);
            }
            for (int32_t i = batch->count; i < 5; i++)
                assert_int_equal(batch->labels[i], 0);
        }
        assert_int_equal(total, TRAIN);
    }
    assert_string_not_equal(orders[0], orders[1]);
    assert_string_not_equal(orders[1], orders[2]);
    sl_loader_close(loader);
}

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

static void the_same_bits_however_it_runs(void **state)
{
    (void)state;
    enum { BATCHES = 20 };
    uint64_t wanted[BATCHES], got[BATCHES];
    struct sl_loader_options options = usual();
    run(plain, &options, wanted, BATCHES);
    for (int variant = 0; variant < 6; variant++) {
        options = usual();
        options.threads = variant % 2 ? 3 : 1;
        options.prefetch = variant == 3 ? 1 : 0;
        options.cache_bytes = variant < 4 ? options.cache_bytes : 0;
        run(variant == 2 || variant == 5 ? packed : plain, &options, got, BATCHES);
        assert_memory_equal(got, wanted, sizeof wanted);
    }
    options = usual();
    options.seed = 8;
    run(plain, &options, got, BATCHES);
    assert_memory_not_equal(got, wanted, sizeof wanted);
}

static void resumes_in_the_middle(void **state)
{
    (void)state;
    enum { BATCHES = 24 };
    uint64_t wanted[BATCHES];
    struct sl_loader_options options = usual();
    run(plain, &options, wanted, BATCHES);
    for (int threads = 1; threads <= 3; threads += 2) {
        struct sl_loader *loader;
        const struct sl_batch *batch;
        options.threads = threads;
        assert_ok(sl_loader_open(plain, &options, &loader));
        for (uint64_t from = BATCHES; from-- > 0;) {
            assert_ok(sl_loader_seek(loader, from / 8, from % 8));
            for (uint64_t i = from; i < BATCHES && i < from + 3; i++) {
                assert_ok(sl_loader_next(loader, &batch));
                assert_int_equal(hash_of(batch, 5), wanted[i]);
            }
        }
        assert_fails(sl_loader_seek(loader, 0, 8), SL_BAD_CONFIG, "8 batches");
        assert_fails(sl_loader_seek(loader, UINT64_MAX, 0), SL_BAD_CONFIG, "8 batches");
        sl_loader_close(loader);
    }
}

static void tiny_epochs_and_huge_batches(void **state)
{
    (void)state;
    struct sl_loader *loader;
    const struct sl_batch *batch;
    struct sl_loader_options options = usual();
    options.split = "val";
    options.batch_size = 100;
    options.threads = 4;
    assert_ok(sl_loader_open(plain, &options, &loader));
    assert_int_equal(sl_loader_batches(loader), 1);
    for (uint64_t epoch = 0; epoch < 50; epoch++) {
        assert_ok(sl_loader_next(loader, &batch));
        assert_int_equal(batch->epoch, epoch);
        assert_int_equal(batch->index, 0);
        assert_int_equal(batch->count, 3);
    }
    sl_loader_close(loader);
    /* Opened and closed without a batch; closed in full flight. */
    assert_ok(sl_loader_open(plain, &options, &loader));
    sl_loader_close(loader);
    sl_loader_close(NULL);
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

static void wrong_options_are_refused(void **state)
{
    (void)state;
    struct sl_loader *loader;
    struct sl_loader_options options = usual();
    options.split = "test";
    assert_fails(sl_loader_open(plain, &options, &loader), SL_MISSING, "no images for test");
    assert_null(loader);
    options = usual();
    options.batch_size = 0;
    assert_fails(sl_loader_open(plain, &options, &loader), SL_BAD_CONFIG, "batch size of 0");
    options.batch_size = INT32_MAX;
    assert_fails(sl_loader_open(plain, &options, &loader), SL_BAD_CONFIG, "batch size");
    options = usual();
    options.crop_padding = -1;
    assert_fails(sl_loader_open(plain, &options, &loader), SL_BAD_CONFIG, "crop padding");
    options.crop_padding = SIZE;
    assert_fails(sl_loader_open(plain, &options, &loader), SL_BAD_CONFIG, "must be less than the 16");
    options.crop_padding = SIZE - 1;
    assert_ok(sl_loader_open(plain, &options, &loader));
    sl_loader_close(loader);
    options = usual();
    options.threads = 100000;
    assert_fails(sl_loader_open(plain, &options, &loader), SL_BAD_CONFIG, "threads");
}

static bool is_cached(const struct sl_loader_options *options)
{
    struct sl_loader *loader;
    assert_ok(sl_loader_open(packed, options, &loader));
    const bool cached = sl_loader_cached(loader);
    sl_loader_close(loader);
    return cached;
}

/* What a loader takes is known before it is opened, and kept to afterwards. */
static void memory_is_counted(void **state)
{
    (void)state;
    struct sl_loader *loader;
    struct sl_loader_memory memory, more;
    struct sl_loader_options options = usual();
    assert_ok(sl_loader_measure(plain, &options, &memory));
    assert_int_equal(memory.shards, 0);
    assert_true(memory.buffers > UINT64_C(5) * 5 * SIZE * SIZE * 3);              /* five batches of five */
    assert_true(memory.buffers < UINT64_C(2) * 5 * 5 * SIZE * SIZE * 3 + 100000); /* of a decoder; tar pads */
    options.prefetch = 9;                                                         /* ten batches */
    assert_ok(sl_loader_measure(plain, &options, &more));
    assert_true(more.buffers > memory.buffers + UINT64_C(5) * 5 * SIZE * SIZE * 3);
    options.prefetch = 8; /* more threads fill no more slots, and each has a decoder */
    options.threads = 1;
    assert_ok(sl_loader_measure(plain, &options, &memory));
    options.threads = 8;
    assert_ok(sl_loader_measure(plain, &options, &more));
    assert_true(more.buffers > memory.buffers + UINT64_C(7) * 2 * SIZE * SIZE * 3);
    options = usual();
    assert_ok(sl_loader_measure(packed, &options, &memory));
    assert_ok(sl_loader_open(packed, &options, &loader));
    const uint64_t unpacked = sl_loader_unpacked(loader);
    sl_loader_close(loader);
    assert_true(memory.shards > unpacked / 2 && memory.shards < 2 * unpacked);
    /* Exactly enough, and a byte less. */
    options.unpacked_limit = unpacked;
    assert_ok(sl_loader_open(packed, &options, &loader));
    sl_loader_close(loader);
    options.unpacked_limit = unpacked - 1;
    assert_fails(sl_loader_open(packed, &options, &loader), SL_UNAVAILABLE, "compressed shards unpack to more");
    assert_null(loader);
    options = usual();
    options.cache_bytes = unpacked + TRAIN * SIZE * SIZE * 3;
    assert_true(is_cached(&options));
    options.cache_bytes--;
    assert_false(is_cached(&options));
    options.cache_bytes = unpacked / 2;
    assert_false(is_cached(&options));
    options.split = "test";
    assert_fails(sl_loader_measure(packed, &options, &memory), SL_MISSING, "no images for test");
}

/* A split of one shard: `good` sound samples and `bad` that are no JPEGs; keys may be twins. */
static struct sl_dataset *forge(const char *name, int good, int bad, bool twins)
{
    char path[PATH_ROOM];
    struct sl_shard_writer *writer;
    struct sl_dataset *set = calloc(1, sizeof *set);
    size_t length;
    uint8_t *jpeg = make_jpeg(SIZE, SIZE, 1, false, &length);
    set->folder = strdup(at(name));
    set->name = strdup(name);
    set->pixels.size = SIZE;
    set->class_count = set->split_count = 1;
    set->classes = calloc(1, sizeof *set->classes);
    set->classes[0] = (struct sl_class){strdup("a"), strdup("a")};
    set->splits = calloc(1, sizeof *set->splits);
    struct sl_split *split = set->splits;
    split->name = strdup("train");
    split->samples = (uint64_t)(good + bad);
    split->shard_count = 1;
    split->class_samples = calloc(1, sizeof *split->class_samples);
    split->class_samples[0] = split->samples;
    split->shards = calloc(1, sizeof *split->shards);
    assert_ok(sl_folder_create(set->folder));
    snprintf(path, sizeof path, "%s/a.tar", name);
    assert_ok(sl_shard_writer_open(at(path), false, &writer));
    for (int i = 0; i < good + bad; i++) {
        char key[32];
        snprintf(key, sizeof key, "%s%d", i < good ? "good" : "bad", twins ? 0 : i);
        assert_ok(
            sl_shard_writer_add(writer, key, i < good ? jpeg : (const uint8_t *)"junk", i < good ? length : 4, 0));
    }
    assert_ok(sl_shard_writer_finish(writer, split->shards));
    sl_shard_writer_close(writer);
    split->shards[0].name = strdup("a.tar");
    free(jpeg);
    return set;
}

static void bad_images_end_the_run_or_are_left_out(void **state)
{
    (void)state;
    struct sl_loader *loader;
    const struct sl_batch *batch;
    struct sl_dataset *set = forge("junk", 6, 3, false);
    struct sl_loader_options options = usual();
    options.threads = 2;
    assert_ok(sl_loader_open(set, &options, &loader));
    int rc = SL_OK;
    for (int i = 0; i < 2 && rc == SL_OK; i++)
        rc = sl_loader_next(loader, &batch);
    assert_int_equal(rc, SL_BAD_DATA);
    assert_non_null(strstr(sl_last_error(), "sample bad"));
    assert_non_null(strstr(sl_last_error(), "text"));
    assert_int_equal(sl_loader_next(loader, &batch), SL_BAD_DATA);
    sl_loader_close(loader);

    /* What came before the bad image is there with the error. */
    options.shuffle = false;
    options.batch_size = 9;
    assert_ok(sl_loader_open(set, &options, &loader));
    assert_int_equal(sl_loader_next(loader, &batch), SL_BAD_DATA);
    assert_true(batch && batch->count == 6 && batch->index == 0);
    assert_string_equal(batch->keys[5], "good5");
    sl_loader_close(loader);
    options = usual();
    options.threads = 2;

    options.skip_bad_images = true;
    for (int cached = 0; cached < 2; cached++) {
        options.cache_bytes = cached ? 1 << 30 : 0;
        assert_ok(sl_loader_open(set, &options, &loader));
        int total = 0;
        do {
            assert_ok(sl_loader_next(loader, &batch));
            if (batch->epoch == 0)
                total += batch->count;
            for (int32_t i = 0; i < batch->count; i++)
                assert_memory_equal(batch->keys[i], "good", 4);
        } while (batch->epoch < 3);
        assert_int_equal(total, 6);
        assert_int_equal(sl_loader_skipped(loader), 3);
        sl_loader_close(loader);
    }
    sl_dataset_close(set);

    /* What cannot be read at all is a matter of who asks. */
    set = forge("alljunk", 0, 12, false);
    assert_ok(sl_loader_open(set, &options, &loader));
    for (uint64_t i = 0; i < 6; i++) {
        assert_ok(sl_loader_next(loader, &batch));
        assert_true(batch->count == 0 && batch->epoch == i / 3 && batch->index == i % 3);
    }
    sl_loader_close(loader);
    sl_dataset_close(set);
}

static void twins_and_damage_are_refused(void **state)
{
    (void)state;
    struct sl_loader *loader;
    const struct sl_loader_options options = usual();
    struct sl_dataset *set = forge("twins", 2, 0, true);
    assert_fails(sl_loader_open(set, &options, &loader), SL_BAD_DATA, "good0 occurs twice");
    sl_dataset_close(set);
    set = forge("labels", 2, 0, false);
    set->splits[0].class_samples[0] = 3;
    assert_fails(sl_loader_open(set, &options, &loader), SL_BAD_DATA, "other labels");
    sl_dataset_close(set);
    set = forge("flipped", 2, 0, false);
    uint8_t *bytes;
    size_t length;
    assert_ok(sl_io_read(at("flipped/a.tar"), 1 << 20, &bytes, &length));
    bytes[700] ^= 4;
    put("flipped/a.tar", bytes, length);
    assert_fails(sl_loader_open(set, &options, &loader), SL_BAD_DATA, "a.tar: its hash");
    free(bytes);
    sl_dataset_close(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_sample_once_per_epoch),
        cmocka_unit_test(images_are_the_decoded_files),
        cmocka_unit_test(the_same_bits_however_it_runs),
        cmocka_unit_test(resumes_in_the_middle),
        cmocka_unit_test(tiny_epochs_and_huge_batches),
        cmocka_unit_test(flips_and_crops_about_as_often_as_it_should),
        cmocka_unit_test(decodes_fast_when_asked),
        cmocka_unit_test(a_model_gets_its_own_pixels),
        cmocka_unit_test(wrong_options_are_refused),
        cmocka_unit_test(bad_images_end_the_run_or_are_left_out),
        cmocka_unit_test(memory_is_counted),
        cmocka_unit_test(twins_and_damage_are_refused),
    };
    return cmocka_run_group_tests(tests, open_sets, close_sets);
}
