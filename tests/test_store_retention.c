/* The checkpoint store: what goes when the disk is full, and what stays: the last, the best. */
#include <errno.h>

#include "tests/store_fixture.h"

static struct sl_store *open_store(int keep)
{
    struct sl_store *store;
    assert_int_equal(sl_store_open(run, keep, &store), SL_OK);
    reports[0] = '\0';
    sl_store_listen(store, note, NULL);
    return store;
}

static void a_smaller_keep_frees_before_it_writes(void **state)
{
    (void)state;
    save_steps(9, 10, 50);
    struct sl_store *store = open_store(2);
    const float broken[1] = {1};
    const struct sl_named_tensor tensor = {"\xff", SL_F32, 1, {1}, broken}; /* cannot be written */
    const struct sl_store_file file = {"model.safetensors", &tensor, 1, NULL, 0};
    assert_int_equal(sl_store_save(store, 60, &file, 1), SL_BAD_DATA);
    assert_true(exists("ckpt-50") && exists("ckpt-40") && !exists("ckpt-30") && !exists("ckpt-10"));
    sl_store_close(store);
}

/* A disk that is full while there are more than `room` checkpoints. */
static int room, refused;

static int fill(const char *step, const char *path)
{
    (void)path;
    if (strcmp(step, "write"))
        return 0;
    int count = 0;
    for (int i = 10; i < 100; i += 10) {
        char name[32];
        snprintf(name, sizeof name, "ckpt-%d", i);
        count += exists(name);
    }
    if (count <= room)
        return 0;
    refused++;
    return ENOSPC;
}

static void a_full_disk_gives_up_the_oldest(void **state)
{
    (void)state;
    save_steps(3, 10, 30);
    struct sl_store *store = open_store(3);
    room = 2;
    sl_io_fault_hook = fill;
    assert_int_equal(save(store, 40), SL_OK);
    sl_io_fault_hook = NULL;
    assert_true(!exists("ckpt-10") && exists("ckpt-20") && exists("ckpt-30") && exists("ckpt-40"));
    assert_non_null(strstr(reports, "the disk is full: ckpt-10 was removed to make room for ckpt-40"));
    /* One try more, not many: then the old ones stay. */
    room = 0;
    refused = 0;
    sl_io_fault_hook = fill;
    assert_int_equal(save(store, 50), SL_CANNOT_CREATE);
    sl_io_fault_hook = NULL;
    assert_int_equal(refused, 2);
    assert_non_null(strstr(sl_last_error(), "No space left"));
    assert_true(!exists("ckpt-20") && exists("ckpt-30") && exists("ckpt-40"));
    assert_int_equal(count_entries(".tmp"), 0);
    sl_store_close(store);
}

static void a_full_disk_never_gets_the_last_whole_one(void **state)
{
    (void)state;
    save_steps(3, 10, 30);
    assert_int_equal(truncate(in_run("ckpt-30/manifest.json"), 3), 0);
    assert_int_equal(truncate(in_run("ckpt-10/manifest.json"), 3), 0);
    struct sl_store *store = open_store(3);
    room = 0;
    for (int i = 0; i < 4; i++) {
        sl_io_fault_hook = fill;
        assert_int_equal(save(store, 40), SL_CANNOT_CREATE);
        sl_io_fault_hook = NULL;
        assert_int_equal(loads(), 20);
    }
    assert_false(exists("ckpt-10") || exists("ckpt-30")); /* the damaged ones went */
    sl_store_close(store);
}

static void a_full_disk_spares_the_best(void **state)
{
    (void)state;
    save_steps(3, 10, 30);
    struct sl_store *store = open_store(3);
    assert_true(sl_store_keep_best(store, 10));
    room = 2;
    sl_io_fault_hook = fill;
    assert_int_equal(save(store, 40), SL_OK);
    assert_true(exists("ckpt-10") && !exists("ckpt-20") && exists("ckpt-30") && exists("ckpt-40"));
    room = 1;
    assert_int_equal(save(store, 50), SL_CANNOT_CREATE);
    assert_true(exists("ckpt-10") && !exists("ckpt-30") && exists("ckpt-40"));
    assert_int_equal(save(store, 50), SL_OK); /* only the best could go, and did */
    sl_io_fault_hook = NULL;
    assert_true(!exists("ckpt-10") && exists("ckpt-40") && exists("ckpt-50") && !exists("best"));
    sl_store_close(store);
}

static int broken(const char *step, const char *path)
{
    (void)path;
    return strcmp(step, "write") ? 0 : EFBIG;
}

static void other_failures_remove_nothing(void **state)
{
    (void)state;
    save_steps(3, 10, 30);
    struct sl_store *store = open_store(3);
    sl_io_fault_hook = broken;
    assert_int_equal(save(store, 40), SL_CANNOT_CREATE);
    sl_io_fault_hook = NULL;
    assert_true(exists("ckpt-10") && exists("ckpt-20") && exists("ckpt-30"));
    sl_store_close(store);
}

static void what_was_just_published_stays(void **state)
{
    (void)state;
    /* Newer names are there, as after a question that was answered wrongly. */
    save_steps(3, 70, 90);
    struct sl_store *store = open_store(3);
    assert_int_equal(save(store, 10), SL_OK);
    assert_true(exists("ckpt-10") && exists("ckpt-70"));
    sl_store_close(store);
}

static void a_pointer_that_cannot_be_written_is_only_told(void **state)
{
    (void)state;
    save_steps(2, 10, 20);
    unlink(in_run("last-good"));
    assert_int_equal(mkdir(in_run("last-good"), 0700), 0);
    put(in_run("last-good/mine"), "x", 1);
    struct sl_store *store = open_store(2);
    for (uint64_t step = 30; step <= 60; step += 10)
        assert_int_equal(save(store, step), SL_OK);
    sl_store_close(store);
    assert_int_equal(loads(), 60);
    assert_true(exists("ckpt-50") && !exists("ckpt-40") && !exists("ckpt-10"));
    assert_true(exists("last-good/mine"));
}

static void it_is_told_once(void **state)
{
    (void)state;
    save_steps(2, 10, 20);
    unlink(in_run("last-good"));
    assert_int_equal(mkdir(in_run("last-good"), 0700), 0);
    struct sl_store *store = open_store(2);
    assert_int_equal(save(store, 30), SL_OK);
    const char *first = strstr(reports, "warning: ckpt-30 is saved, but \"last-good\" does not name it");
    assert_non_null(first);
    assert_int_equal(save(store, 40), SL_OK);
    assert_null(strstr(first + 1, "warning"));
    sl_store_close(store);
}

static void the_best_is_kept_beside_the_newest(void **state)
{
    (void)state;
    struct sl_safetensors *model;
    struct sl_store *store = open_store(1);
    assert_false(sl_store_keep_best(store, 0));
    assert_false(sl_store_keep_best(store, 10));
    assert_false(exists("best"));
    assert_int_equal(save(store, 10), SL_OK);
    assert_true(sl_store_keep_best(store, 10));
    assert_int_equal(save(store, 20), SL_OK);
    assert_int_equal(save(store, 30), SL_OK);
    assert_true(exists("ckpt-10") && !exists("ckpt-20") && exists("ckpt-30"));
    /* A run is its newest checkpoint, RUN/best the best. */
    static const struct {
        const char *name;
        float value;
    } paths[] = {{"", 30}, {"best", 10}, {"last-good", 30}};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(sl_store_open_model(in_run(paths[i].name), NULL, NULL, &model), SL_OK);
        assert_true(*(const float *)sl_safetensors_find(model, "w")->data == paths[i].value);
        sl_safetensors_close(model);
    }
    /* Another takes its place, and it goes at once. */
    assert_true(sl_store_keep_best(store, 30));
    assert_true(!exists("ckpt-10") && exists("ckpt-30"));
    sl_store_close(store);
    /* A pointer into nothing, and one that is none. */
    put(in_run("best"), "ckpt-10\n", 8);
    assert_int_equal(sl_store_open_model(in_run("best"), NULL, NULL, &model), SL_MISSING);
    assert_non_null(strstr(sl_last_error(), in_run("best")));
    static const char *const wrong[] = {"ckpt-030\n", "../run/ckpt-30\n", "ckpt-30\nckpt-30\n", "ckpt-30 ", "", "\n"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        put(in_run("best"), wrong[i], strlen(wrong[i]));
        assert_int_equal(sl_store_open_model(in_run("best"), NULL, NULL, &model), SL_BAD_DATA);
    }
}

/* Killed between its publication and the pointer: the pointer is old, never one into nothing. */
static int no_pointer(const char *step, const char *path)
{
    return !strcmp(step, "rename") && strstr(path, "/best") ? EIO : 0;
}

static void the_best_is_kept_without_its_pointer(void **state)
{
    (void)state;
    struct sl_store *store = open_store(1);
    assert_int_equal(save(store, 10), SL_OK);
    sl_io_fault_hook = no_pointer;
    assert_true(sl_store_keep_best(store, 10));
    assert_non_null(strstr(reports, "\"best\" does not name it"));
    assert_int_equal(save(store, 20), SL_OK);
    assert_true(exists("ckpt-10") && !exists("best"));
    sl_io_fault_hook = NULL;
    assert_true(sl_store_keep_best(store, 10));
    assert_true(exists("best"));
    sl_store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_smaller_keep_frees_before_it_writes),
        CASE(a_full_disk_gives_up_the_oldest),
        CASE(a_full_disk_never_gets_the_last_whole_one),
        CASE(a_full_disk_spares_the_best),
        CASE(other_failures_remove_nothing),
        CASE(what_was_just_published_stays),
        CASE(a_pointer_that_cannot_be_written_is_only_told),
        CASE(it_is_told_once),
        CASE(the_best_is_kept_beside_the_newest),
        CASE(the_best_is_kept_without_its_pointer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
