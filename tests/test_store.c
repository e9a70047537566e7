/* The checkpoint store: what it keeps, what it removes, what it refuses to save. */
#include <math.h>

#include "tests/store_fixture.h"

static void saves_and_loads(void **state)
{
    (void)state;
    struct sl_store *store;
    struct sl_safetensors *model;
    char *text;
    size_t n;
    assert_false(has_checkpoint());
    assert_int_equal(loads(), 0);
    snprintf(run, sizeof run, "%s/a/b/run", base);
    assert_int_equal(sl_store_open(run, 2, &store), SL_OK);
    assert_false(has_checkpoint());
    struct sl_checkpoint none;
    assert_int_equal(sl_store_load(run, NULL, NULL, &none), SL_MISSING);
    for (uint64_t step = 10; step <= 40; step += 10)
        assert_int_equal(save(store, step), SL_OK);
    assert_int_equal(loads(), 40);
    assert_string_equal(reports, "");
    assert_true(has_checkpoint() && exists("ckpt-30") && !exists("ckpt-20"));
    assert_int_equal(sl_io_read_own(in_run("last-good"), 100, &text, &n), SL_OK);
    assert_string_equal(text, "ckpt-40\n");
    free(text);

    /* A model is found by run, checkpoint and file. */
    const char *const paths[] = {"", "ckpt-30", "ckpt-40/model.safetensors"};
    const float values[] = {40, 30, 40};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(sl_store_open_model(in_run(paths[i]), NULL, NULL, &model), SL_OK);
        assert_true(*(const float *)sl_safetensors_find(model, "w")->data == values[i]);
        sl_safetensors_close(model);
    }
    assert_int_equal(sl_store_open_model(in_run("nothing"), NULL, NULL, &model), SL_MISSING);
    assert_int_equal(sl_store_open_model(base, NULL, NULL, &model), SL_MISSING);
    sl_store_close(store);
    sl_store_close(NULL);
}

static void saving_again_changes_nothing(void **state)
{
    (void)state;
    struct sl_store *store;
    struct stat before, after;
    save_steps(1, 10, 10);
    assert_int_equal(sl_store_open(run, 1, &store), SL_OK);
    assert_int_equal(stat(in_run("ckpt-10"), &before), 0);
    assert_int_equal(save(store, 10), SL_OK);
    assert_int_equal(stat(in_run("ckpt-10"), &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    /* But one that is damaged is written anew, even where this process saved it. */
    assert_int_equal(truncate(in_run("ckpt-10/model.safetensors"), 5), 0);
    assert_int_equal(loads(), 0);
    assert_int_equal(save(store, 10), SL_OK);
    assert_int_equal(loads(), 10);
    sl_store_close(store);
}

static void refuses_requests_that_make_no_sense(void **state)
{
    (void)state;
    struct sl_store *store;
    const struct sl_store_file up = {.name = "../model.safetensors"}, other = {.name = "model.bin"},
                               hidden = {.name = ".safetensors"};
    const struct sl_store_file twice[] = {{.name = "a.safetensors"}, {.name = "a.safetensors"}};
    assert_int_equal(sl_store_open(run, 0, &store), SL_BAD_CONFIG);
    assert_int_equal(sl_store_open(run, 1, &store), SL_OK);
    assert_int_equal(sl_store_save(store, 1, &up, 1), SL_INTERNAL);
    assert_int_equal(sl_store_save(store, 1, &other, 1), SL_INTERNAL);
    assert_int_equal(sl_store_save(store, 1, &hidden, 1), SL_INTERNAL);
    assert_int_equal(sl_store_save(store, 1, twice, 2), SL_INTERNAL);
    assert_int_equal(sl_store_save(store, 1, NULL, 0), SL_INTERNAL);
    assert_false(has_checkpoint());
    sl_store_close(store);
}

static void retention_keeps_the_last_whole_one(void **state)
{
    (void)state;
    struct sl_store *store;
    save_steps(3, 10, 30);
    assert_int_equal(truncate(in_run("ckpt-20/manifest.json"), 3), 0);
    assert_int_equal(truncate(in_run("ckpt-30/manifest.json"), 3), 0);
    /* Two whole ones are wanted: 15 and 10 are all there are, and the damaged are not older. */
    assert_int_equal(sl_store_open(run, 2, &store), SL_OK);
    assert_int_equal(save(store, 15), SL_OK);
    assert_true(exists("ckpt-10") && exists("ckpt-15"));
    assert_int_equal(loads(), 15);
    assert_int_equal(save(store, 40), SL_OK);
    assert_true(exists("ckpt-15") && !exists("ckpt-10"));
    assert_int_equal(save(store, 50), SL_OK);
    assert_true(exists("ckpt-40") && !exists("ckpt-30") && !exists("ckpt-20") && !exists("ckpt-15"));
    sl_store_close(store);
}

static void removes_leftovers_only(void **state)
{
    (void)state;
    char outside[PATH_LENGTH], inside[2 * PATH_LENGTH];
    save_steps(1, 10, 10);
    snprintf(outside, sizeof outside, "%s/outside", base);
    assert_int_equal(mkdir(outside, 0700), 0);
    snprintf(inside, sizeof inside, "%s/precious", outside);
    put(inside, "x", 1);
    assert_int_equal(mkdir(in_run("ckpt-20.tmp"), 0700), 0);
    put(in_run("ckpt-20.tmp/model.safetensors"), "x", 1);
    put(in_run("last-good.0123456789abcdef.tmp"), "x", 1);
    put(in_run("notes.tmp"), "x", 1);
    assert_int_equal(symlink(outside, in_run("ckpt-30.tmp")), 0);
    save_steps(1, 10, 10);
    assert_false(exists("ckpt-20.tmp") || exists("last-good.0123456789abcdef.tmp") || exists("ckpt-30.tmp"));
    assert_true(exists("notes.tmp"));
    assert_int_equal(access(inside, F_OK), 0);
}

static void last_good_is_not_followed(void **state)
{
    (void)state;
    char outside[PATH_LENGTH], *text;
    size_t n;
    snprintf(outside, sizeof outside, "%s/outside", base);
    put(outside, "mine", 4);
    save_steps(1, 10, 10);
    unlink(in_run("last-good"));
    assert_int_equal(symlink(outside, in_run("last-good")), 0);
    save_steps(1, 20, 20);
    assert_int_equal(sl_io_read_own(outside, 100, &text, &n), SL_OK);
    assert_string_equal(text, "mine");
    free(text);
    assert_int_equal(loads(), 20);
}

static void refuses_numbers_that_are_not_finite(void **state)
{
    (void)state;
    struct sl_store *store;
    float f32[4] = {0, 1, INFINITY, NAN};
    double f64[2] = {1e308, NAN};
    uint16_t bf16[2] = {0x7f7f, 0xff80}, f16[2] = {0x7bff, 0x7e00};
    const struct sl_named_tensor tensors[] = {{"a.w", SL_F32, 2, {2, 2}, f32},
                                              {"b.w", SL_F64, 1, {2}, f64},
                                              {"c.w", SL_BF16_BITS, 1, {2}, bf16},
                                              {"d.w", SL_F16_BITS, 1, {2}, f16}};
    save_steps(1, 10, 10);
    assert_int_equal(sl_store_open(run, 1, &store), SL_OK);
    for (int i = 0; i < 4; i++) {
        const struct sl_store_file file = {"model.safetensors", &tensors[i], 1, NULL, 0};
        assert_int_equal(sl_store_save(store, 20, &file, 1), SL_NUMERICS);
        assert_non_null(strstr(sl_last_error(), tensors[i].name));
        assert_non_null(strstr(sl_last_error(), i == 0 ? "index 2" : "index 1"));
        assert_int_equal(loads(), 10);
        assert_int_equal(count_entries(".tmp"), 0);
    }
    sl_store_close(store);
    f32[2] = f32[3] = -1e-45f;
    const struct sl_store_file fine = {"model.safetensors", tensors, 1, NULL, 0};
    assert_int_equal(sl_store_open(run, 1, &store), SL_OK);
    assert_int_equal(sl_store_save(store, 20, &fine, 1), SL_OK);
    sl_store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(saves_and_loads),
        CASE(saving_again_changes_nothing),
        CASE(refuses_requests_that_make_no_sense),
        CASE(retention_keeps_the_last_whole_one),
        CASE(removes_leftovers_only),
        CASE(last_good_is_not_followed),
        CASE(refuses_numbers_that_are_not_finite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
