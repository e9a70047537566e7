/* The checkpoint store, damaged at every byte and lied to: it falls back to the last good state. */
#include "runtime/base/hash.h"
#include "tests/store_fixture.h"

static const char *const parts[] = {"ckpt-20/model.safetensors", "ckpt-20/updater.safetensors",
                                    "ckpt-20/manifest.json"};

static void assert_falls_back(const char *part, size_t at)
{
    if (loads() != 10)
        fail_msg("%s, byte %zu: not refused", part, at);
    if (!strstr(reports, "checkpoint ckpt-20 refused: ") || !strstr(reports, part))
        fail_msg("%s, byte %zu: report %s", part, at, reports);
}

static void notices_every_damaged_byte(void **state)
{
    (void)state;
    save_steps(2, 10, 20);
    assert_int_equal(loads(), 20);
    for (int i = 0; i < 3; i++) {
        char path[PATH_LENGTH], *bytes;
        size_t n;
        strcpy(path, in_run(parts[i]));
        assert_int_equal(sl_io_read_own(path, 4096, &bytes, &n), SL_OK);
        for (size_t at = 0; at < n; at++) {
            const char flips[] = {1, 32, (char)0xff};
            for (int f = 0; f < 3; f++) {
                bytes[at] ^= flips[f];
                put(path, bytes, n);
                assert_falls_back(parts[i], at);
                bytes[at] ^= flips[f];
            }
            put(path, bytes, at);
            assert_falls_back(parts[i], at);
        }
        put(path, bytes, n + 1); /* the terminator makes it longer by one */
        assert_falls_back(parts[i], n);
        put(path, bytes, n);
        assert_int_equal(loads(), 20);
        free(bytes);
    }
}

static void refuses_what_is_not_its_own(void **state)
{
    (void)state;
    char model[PATH_LENGTH], aside[PATH_LENGTH], ten[PATH_LENGTH];
    save_steps(2, 10, 20);
    strcpy(model, in_run(parts[0]));
    snprintf(aside, sizeof aside, "%s/aside", base);
    /* A missing file, a link to the very file, the file of another step. */
    assert_int_equal(rename(model, aside), 0);
    assert_falls_back(parts[0], 0);
    assert_int_equal(symlink(aside, model), 0);
    assert_falls_back(parts[0], 0);
    unlink(model);
    assert_int_equal(link(in_run("ckpt-10/model.safetensors"), model), 0);
    assert_falls_back(parts[0], 0);
    unlink(model);
    assert_int_equal(rename(aside, model), 0);
    assert_int_equal(loads(), 20);
    /* A checkpoint under another name, and names that only look like one. */
    strcpy(ten, in_run("ckpt-10"));
    assert_int_equal(rename(ten, in_run("ckpt-99")), 0);
    assert_int_equal(mkdir(in_run("ckpt-0100"), 0700), 0);
    assert_int_equal(mkdir(in_run("ckpt-100x"), 0700), 0);
    assert_int_equal(symlink("ckpt-20", in_run("ckpt-100")), 0);
    assert_int_equal(loads(), 20);
    assert_non_null(strstr(reports, "ckpt-99 refused"));
    assert_null(strstr(reports, "100"));
    /* None is left. */
    assert_int_equal(truncate(model, 3), 0);
    struct sl_checkpoint checkpoint;
    struct sl_safetensors *file;
    assert_int_equal(sl_store_load(run, NULL, NULL, &checkpoint), SL_BAD_DATA);
    assert_non_null(strstr(sl_last_error(), "ckpt-99"));
    assert_int_equal(sl_store_open_model(run, NULL, NULL, &file), SL_BAD_DATA);
    assert_int_equal(sl_store_open_model(in_run("ckpt-20"), NULL, NULL, &file), SL_BAD_DATA);
}

/* A manifest made by somebody who can seal is still not believed. */
static void refuses_sealed_lies(void **state)
{
    (void)state;
#define ENTRY(name) "{\"name\": \"" name "\", \"bytes\": 1, \"xxh3\": \"0123456789abcdef\"}"
#define START "{\"schema_version\": 1, \"step\": 20, \"files\": ["
    static const struct {
        const char *start, *reason;
    } lies[] = {
        {START ENTRY("../x.safetensors") "]", "not allowed"},
        {START ENTRY("/etc/x.safetensors") "]", "not allowed"},
        {START ENTRY("a/x.safetensors") "]", "not allowed"},
        {START ENTRY("manifest.json") "]", "not allowed"},
        {START "{\"name\": 5}]", "not allowed"},
        {START "{\"name\": \"x.safetensors\", \"bytes\": -1, \"xxh3\": \"0123456789abcdef\"}]", "or not valid"},
        {START "{\"name\": \"x.safetensors\", \"bytes\": 1, \"xxh3\": \"0123456789abcdeF\"}]", "or not valid"},
        {START ENTRY("x.safetensors") "," ENTRY("x.safetensors") "]", "twice"},
        {START ENTRY("x.safetensors") "]", "x.safetensors: cannot open"},
        {START "]", "out of range"},
        {START "], \"step\": 20", "not JSON"},
        {START "5]", "not allowed"},
        {"{\"schema_version\": 1, \"step\": -20, \"files\": [" ENTRY("x.safetensors") "]", "out of range"},
        {"{\"schema_version\": 2, \"step\": 20, \"files\": []", "another version"},
        {"{\"step\": 20, \"files\": []", "another version"},
    };
    save_steps(2, 10, 20);
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        char text[1024];
        uint64_t seal;
        const int n = snprintf(text, sizeof text, "%s, \"seal\": \"0000000000000000\"}", lies[i].start);
        const size_t at = sl_seal_find(text, (size_t)n, "\"seal\": \"");
        assert_int_equal(sl_seal_hash(text, (size_t)n, at, NULL, 0, &seal), SL_OK);
        sl_seal_write(text, at, seal);
        put(in_run(parts[2]), text, (size_t)n);
        assert_int_equal(loads(), 10);
        if (!strstr(reports, lies[i].reason))
            fail_msg("%s: %s", text, reports);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(notices_every_damaged_byte),
        CASE(refuses_what_is_not_its_own),
        CASE(refuses_sealed_lies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
