/* The loader: every sample once, the same bits however it is run, resume, memory. */
#include "runtime/base/hash.h"
#include "tests/loader_fixture.h"

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

static void wrong_options_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *split;
        int32_t batch_size, crop_padding;
        int threads, status;
        const char *part;
    } cases[] = {
        {"test", 5, 2, 1, SL_MISSING, "no images for test"},
        {"train", 0, 2, 1, SL_BAD_CONFIG, "batch size of 0"},
        {"train", INT32_MAX, 2, 1, SL_BAD_CONFIG, "batch size"},
        {"train", 5, -1, 1, SL_BAD_CONFIG, "crop padding"},
        {"train", 5, SIZE, 1, SL_BAD_CONFIG, "must be less than the 16"},
        {"train", 5, SIZE - 1, 1, SL_OK, ""},
        {"train", 5, 2, 100000, SL_BAD_CONFIG, "threads"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sl_loader *loader;
        struct sl_loader_options options = usual();
        options.split = cases[i].split;
        options.batch_size = cases[i].batch_size;
        options.crop_padding = cases[i].crop_padding;
        options.threads = cases[i].threads;
        assert_fails(sl_loader_open(plain, &options, &loader), cases[i].status, cases[i].part);
        assert_true((loader != NULL) == (cases[i].status == SL_OK));
        sl_loader_close(loader);
    }
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_sample_once_per_epoch), cmocka_unit_test(the_same_bits_however_it_runs),
        cmocka_unit_test(resumes_in_the_middle),       cmocka_unit_test(tiny_epochs_and_huge_batches),
        cmocka_unit_test(wrong_options_are_refused),   cmocka_unit_test(memory_is_counted),
    };
    return cmocka_run_group_tests(tests, open_sets, close_sets);
}
