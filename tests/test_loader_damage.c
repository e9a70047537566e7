/* The loader and images that are none: they end the run, or are left out; a damaged shard is refused. */
#include "runtime/base/folder.h"
#include "runtime/data/shard.h"
#include "tests/loader_fixture.h"

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
        cmocka_unit_test(bad_images_end_the_run_or_are_left_out),
        cmocka_unit_test(twins_and_damage_are_refused),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
