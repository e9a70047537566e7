/* dataset.json and shards: what was written comes back, and what was damaged is refused. */
#include "tests/data_fixture.h"

#include "runtime/data/dataset_format.h"
#include "runtime/data/shard.h"
#include "runtime/base/hash.h"

static struct sl_dataset *prepare(const char *name, bool zstd)
{
    struct sl_dataset *set;
    char *input = strdup(at("tiny")), *output = strdup(at(name));
    struct sl_prepare_options options = prepare_options(input, output);
    options.zstd = zstd;
    if (access(input, F_OK) != 0)
        put_tree("tiny", 2, 4);
    assert_ok(sl_prepare(&options, &set));
    free(input);
    free(output);
    return set;
}

static void hash_has_its_published_value(void **state)
{
    (void)state;
    assert_int_equal(sl_hash64("", 0), 0x2d06800538d394c2ULL);
    struct sl_hash *hash;
    assert_ok(sl_hash_open(&hash));
    sl_hash_update(hash, "abc", 3);
    sl_hash_update(hash, "defg", 4);
    assert_int_equal(sl_hash_digest(hash), sl_hash64("abcdefg", 7));
    sl_hash_close(hash);
}

static void what_was_written_comes_back(void **state)
{
    (void)state;
    struct sl_dataset *set = prepare("back", false), *again;
    assert_ok(sl_dataset_open(at("back"), &again));
    assert_string_equal(again->name, "tiny");
    assert_int_equal(again->pixels.size, 16);
    assert_int_equal(again->class_count, 2);
    assert_string_equal(again->classes[1].id, "class01");
    assert_int_equal(again->split_count, 2);
    assert_int_equal(again->skipped, 0);
    assert_memory_equal(again->pixels.mean, set->pixels.mean, sizeof set->pixels.mean);
    assert_memory_equal(again->pixels.deviation, set->pixels.deviation, sizeof set->pixels.deviation);
    const struct sl_split *train = sl_dataset_split(again, "train"), *was = sl_dataset_split(set, "train");
    assert_int_equal(train->samples, 6);
    assert_int_equal(train->class_samples[0], 3);
    assert_int_equal(train->shards[0].hash, was->shards[0].hash);
    assert_int_equal(train->shards[0].bytes, was->shards[0].bytes);
    assert_int_equal(sl_dataset_split(again, "val")->samples, 2);
    assert_null(sl_dataset_split(again, "test"));
    sl_dataset_close(again);
    sl_dataset_close(set);
}

static void missing_sets_are_missing(void **state)
{
    (void)state;
    struct sl_dataset *set;
    assert_fails(sl_dataset_open(at("nowhere"), &set), SL_MISSING, "starling-prepare");
    assert_null(set);
}

/* Every byte changed in several ways, and every length. */
static void damaged_dataset_json_is_refused(void **state)
{
    (void)state;
    static const uint8_t masks[] = {0x01, 0x07, 0x20, 0x80, 0xff};
    struct sl_dataset *set = prepare("json", false);
    sl_dataset_close(set);
    uint8_t *bytes;
    size_t length;
    assert_ok(sl_io_read(at("json/dataset.json"), 1 << 20, &bytes, &length));
    for (size_t i = 0; i < length; i++)
        for (size_t m = 0; m < sizeof masks; m++) {
            bytes[i] ^= masks[m];
            put("json/dataset.json", bytes, length);
            assert_fails(sl_dataset_open(at("json"), &set), SL_BAD_DATA, "dataset.json");
            bytes[i] ^= masks[m];
        }
    for (size_t n = 0; n < length; n++) {
        put("json/dataset.json", bytes, n);
        assert_fails(sl_dataset_open(at("json"), &set), SL_BAD_DATA, "dataset.json");
    }
    put("json/dataset.json", bytes, length);
    assert_ok(sl_dataset_open(at("json"), &set));
    sl_dataset_close(set);
    free(bytes);
}

/* A dataset.json with a right hash and a wrong content. */
static void put_sealed(const char *json)
{
    char text[4096];
    const int n = snprintf(text, sizeof text, "%s,\n ", json);
    snprintf(text + n, sizeof text - (size_t)n, "\"xxh3\": \"%016llx\"\n}\n",
             (unsigned long long)sl_hash64(text, (size_t)n));
    put_text("sealed/dataset.json", text);
}

#define HEAD "{\"format\": \"starling-dataset\", \"version\": 1, \"name\": \"x\", \"image_size\": 16, \"skipped\": 0"
#define MOMENTS ", \"mean\": [0, 0, 0.5], \"deviation\": [1, 1, 1]"
#define CLASSES ", \"classes\": [{\"id\": \"a\", \"words\": \"a\"}]"
#define SPLIT(samples, counts, name)                                                  \
    ", \"splits\": {\"train\": {\"samples\": " samples ", \"class_samples\": " counts \
    ", \"shards\": [{\"name\": \"" name "\", \"bytes\": 1, \"samples\": 1, \"xxh3\": \"0123456789abcdef\"}]}}"

static void sealed_nonsense_is_refused(void **state)
{
    static const struct {
        const char *json, *part;
    } cases[] = {
        {"[[[[[[[[[[", "line"},
        {"{\"a\": 1, \"a\": 2", "duplicate"},
        {"{\"a\": 1", "format"},
        {"{\"format\": \"starling-dataset\", \"version\": 2", "version 2"},
        {HEAD, "mean"},
        {HEAD MOMENTS, "classes"},
        {HEAD MOMENTS ", \"classes\": []", "classes"},
        {HEAD MOMENTS ", \"classes\": [{\"id\": 3}]", "id"},
        {HEAD MOMENTS CLASSES, "splits"},
        {HEAD MOMENTS CLASSES SPLIT("2", "[1]", "a.tar"), "shards hold"},
        {HEAD MOMENTS CLASSES SPLIT("1", "[2]", "a.tar"), "classes hold"},
        {HEAD MOMENTS CLASSES SPLIT("1", "[1, 0]", "a.tar"), "class_samples"},
        {HEAD MOMENTS CLASSES SPLIT("-1", "[1]", "a.tar"), "samples"},
        {HEAD MOMENTS CLASSES SPLIT("1e300", "[1]", "a.tar"), "samples"},
        {HEAD MOMENTS CLASSES SPLIT("1", "[1]", "../a.tar"), "unusable name"},
        {HEAD ", \"orientation\": \"up\"" MOMENTS, "orientation"},
        {HEAD ", \"orientation\": 6" MOMENTS, "orientation"},
        {HEAD ", \"orientation\": \"apply\", \"turned\": -1" MOMENTS, "turned"},
        {HEAD ", \"mean\": [0, 0, 2], \"deviation\": [1, 1, 1]", "mean[2]"},
    };
    (void)state;
    struct sl_dataset *set;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put_sealed(cases[i].json);
        assert_fails(sl_dataset_open(at("sealed"), &set), SL_BAD_DATA, cases[i].part);
    }
    /* A set of an older version does not speak of orientation, and keeps its images as stored. */
    put_sealed(HEAD MOMENTS CLASSES SPLIT("1", "[1]", "a.tar"));
    assert_ok(sl_dataset_open(at("sealed"), &set));
    assert_false(set->pixels.apply_orientation);
    sl_dataset_close(set);
    put_sealed(HEAD ", \"orientation\": \"apply\", \"turned\": 1" MOMENTS CLASSES SPLIT("1", "[1]", "a.tar"));
    assert_ok(sl_dataset_open(at("sealed"), &set));
    assert_true(set->pixels.apply_orientation);
    assert_int_equal(set->turned, 1);
    sl_dataset_close(set);
}

static void shards_hold_the_original_bytes(void **state)
{
    (void)state;
    for (int zstd = 0; zstd < 2; zstd++) {
        struct sl_dataset *set = prepare(zstd ? "bytes-zstd" : "bytes", zstd);
        struct sl_shard_reader reader;
        const struct sl_split *train = sl_dataset_split(set, "train");
        assert_ok(sl_shard_reader_open(set->folder, &train->shards[0], set->class_count, &reader));
        assert_int_equal(reader.count, 6);
        for (size_t i = 0; i < reader.count; i++) {
            const struct sl_shard_sample *sample = &reader.samples[i];
            char path[PATH_ROOM];
            uint8_t *bytes;
            size_t length;
            snprintf(path, sizeof path, "tiny/%.7s/%s.jpg", sample->key, sample->key + 8);
            assert_ok(sl_io_read(at(path), 1 << 20, &bytes, &length));
            assert_int_equal(length, sample->length);
            assert_memory_equal(bytes, sample->jpeg, length);
            assert_int_equal(sample->label, sample->key[6] - '0');
            free(bytes);
        }
        sl_shard_reader_close(&reader);
        sl_dataset_close(set);
    }
}

static void damaged_shards_are_refused(void **state)
{
    (void)state;
    for (int zstd = 0; zstd < 2; zstd++) {
        struct sl_dataset *set = prepare(zstd ? "hurt-zstd" : "hurt", zstd);
        const struct sl_shard *shard = &sl_dataset_split(set, "val")->shards[0];
        struct sl_shard_reader reader;
        char name[PATH_ROOM];
        uint8_t *bytes;
        size_t length;
        snprintf(name, sizeof name, "%s/%s", zstd ? "hurt-zstd" : "hurt", shard->name);
        assert_ok(sl_io_read(at(name), 1 << 20, &bytes, &length));
        for (size_t i = 0; i < length; i++) {
            bytes[i] ^= 1;
            put(name, bytes, length);
            assert_fails(sl_shard_reader_open(set->folder, shard, 2, &reader), SL_BAD_DATA, shard->name);
            bytes[i] ^= 1;
        }
        for (size_t n = 0; n < length; n += n < 1024 ? 1 : 61) {
            put(name, bytes, n);
            assert_fails(sl_shard_reader_open(set->folder, shard, 2, &reader), SL_BAD_DATA, shard->name);
        }
        assert_int_equal(unlink(at(name)), 0);
        assert_fails(sl_shard_reader_open(set->folder, shard, 2, &reader), SL_MISSING, shard->name);
        free(bytes);
        sl_dataset_close(set);
    }
}

/* Without the shield of the hash: every flipped byte of a tar must still be read safely, and none may crash. */
static void shards_with_a_forged_hash_never_crash(void **state)
{
    (void)state;
    struct sl_dataset *set = prepare("forged", false);
    struct sl_shard shard = sl_dataset_split(set, "val")->shards[0];
    struct sl_shard_reader reader;
    char name[PATH_ROOM];
    uint8_t *bytes;
    size_t length;
    snprintf(name, sizeof name, "forged/%s", shard.name);
    assert_ok(sl_io_read(at(name), 1 << 20, &bytes, &length));
    for (size_t i = 0; i < length; i++) {
        bytes[i] ^= 0xff;
        put(name, bytes, length);
        shard.hash = sl_hash64(bytes, length);
        const int rc = sl_shard_reader_open(set->folder, &shard, 2, &reader);
        assert_true(rc == SL_OK || rc == SL_BAD_DATA);
        sl_shard_reader_close(&reader);
        bytes[i] ^= 0xff;
    }
    put(name, bytes, length);
    shard.hash = sl_hash64(bytes, length);
    assert_fails(sl_shard_reader_open(set->folder, &shard, 1, &reader), SL_BAD_DATA, "there are 1 classes");
    shard.samples = 1;
    assert_fails(sl_shard_reader_open(set->folder, &shard, 2, &reader), SL_BAD_DATA, "more than its 1");
    shard.samples = 3;
    assert_fails(sl_shard_reader_open(set->folder, &shard, 2, &reader), SL_BAD_DATA, "ends early");
    shard.samples = UINT64_MAX / 2;
    assert_fails(sl_shard_reader_open(set->folder, &shard, 2, &reader), SL_BAD_DATA, "cannot hold");
    free(bytes);
    sl_dataset_close(set);
}

/* A few thousand bytes that unpack to 72 MB: refused before the memory is taken. */
static void a_shard_that_unpacks_without_end_is_refused(void **state)
{
    (void)state;
    enum { IMAGE_BYTES = 8 << 20, COPIES = 9 };
    uint8_t *zeros = calloc(IMAGE_BYTES, 1);
    struct sl_shard shard = {.name = (char *)(uintptr_t) "bomb.tar.zst"};
    struct sl_shard_writer *writer;
    struct sl_shard_reader reader;
    assert_non_null(zeros);
    for (int copies = COPIES - 1; copies <= COPIES; copies++) {
        assert_ok(sl_shard_writer_open(at(shard.name), true, &writer));
        for (int i = 0; i < copies; i++) {
            const char key[] = {(char)('a' + i), '\0'};
            assert_ok(sl_shard_writer_add(writer, key, zeros, IMAGE_BYTES - 1, 0));
        }
        assert_ok(sl_shard_writer_finish(writer, &shard));
        sl_shard_writer_close(writer);
        if (copies < COPIES)
            assert_ok(sl_shard_reader_open(at("."), &shard, 1, &reader));
        else
            assert_fails(sl_shard_reader_open(at("."), &shard, 1, &reader), SL_BAD_DATA, "unpack to more than 256");
        assert_true(reader.copied_bytes <= (COPIES - 1) * (uint64_t)IMAGE_BYTES);
        sl_shard_reader_close(&reader);
    }
    free(zeros);
}

/* No set needs so large a dataset.json: neither read nor written. */
static void a_huge_dataset_json_is_refused(void **state)
{
    (void)state;
    struct sl_dataset *set = prepare("huge", false);
    assert_int_equal(truncate(at("huge/dataset.json"), SL_DATASET_MAX_BYTES + 1), 0);
    struct sl_dataset *again;
    assert_fails(sl_dataset_open(at("huge"), &again), SL_BAD_DATA, "are allowed");
    assert_int_equal(unlink(at("huge/dataset.json")), 0);
    free(set->classes[1].words);
    assert_non_null(set->classes[1].words = malloc(SL_DATASET_MAX_BYTES + 1));
    memset(set->classes[1].words, 'w', SL_DATASET_MAX_BYTES);
    set->classes[1].words[SL_DATASET_MAX_BYTES] = '\0';
    assert_fails(sl_dataset_write(set), SL_BAD_DATA, "--images-per-file");
    assert_int_not_equal(access(at("huge/dataset.json"), F_OK), 0);
    sl_dataset_close(set);
}

static void an_unfinished_shard_leaves_nothing(void **state)
{
    (void)state;
    struct sl_shard_writer *writer;
    assert_ok(sl_shard_writer_open(at("half.tar"), false, &writer));
    assert_ok(sl_shard_writer_add(writer, "a", (const uint8_t *)"x", 1, 0));
    sl_shard_writer_close(writer);
    assert_int_not_equal(access(at("half.tar"), F_OK), 0);
    assert_int_not_equal(access(at("half.tar.tmp"), F_OK), 0);
    assert_fails(sl_shard_writer_open(at("no/folder/x.tar"), false, &writer), SL_CANNOT_CREATE, "x.tar");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hash_has_its_published_value),
        cmocka_unit_test(what_was_written_comes_back),
        cmocka_unit_test(missing_sets_are_missing),
        cmocka_unit_test(damaged_dataset_json_is_refused),
        cmocka_unit_test(sealed_nonsense_is_refused),
        cmocka_unit_test(shards_hold_the_original_bytes),
        cmocka_unit_test(damaged_shards_are_refused),
        cmocka_unit_test(shards_with_a_forged_hash_never_crash),
        cmocka_unit_test(an_unfinished_shard_leaves_nothing),
        cmocka_unit_test(a_huge_dataset_json_is_refused),
        cmocka_unit_test(a_shard_that_unpacks_without_end_is_refused),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
