/* The checkpoint store where reading fails for a while: a question without an answer is not a "no". */
#include <errno.h>

#include "tests/store_fixture.h"

static int countdown, fault_error;
static bool happened;

static bool reads(const char *step)
{
    return !strcmp(step, "open") || !strcmp(step, "read") || !strcmp(step, "list");
}

/* The n-th question to the disk fails. */
static int forget(const char *step, const char *path)
{
    (void)path;
    /* Descriptors run out only while opening. */
    if (!reads(step) || (fault_error == EMFILE && !strcmp(step, "read")) || --countdown != 0)
        return 0;
    happened = true;
    return fault_error;
}

static void fail_read(int n, int error)
{
    countdown = n;
    fault_error = error;
    happened = false;
    sl_io_fault_hook = forget;
}

static const struct {
    int error, status;
} faults[] = {{EIO, SL_IO}, {EMFILE, SL_SYSTEM}, {ENOMEM, SL_SYSTEM}};
enum { FAULTS = sizeof faults / sizeof *faults };

static void a_question_that_fails_is_not_no(void **state)
{
    (void)state;
    bool has = true;
    assert_int_equal(sl_store_has_checkpoint(run, &has), SL_OK);
    assert_false(has);
    save_steps(3, 10, 30);
    for (int f = 0; f < FAULTS; f++)
        for (int n = 1;; n++) {
            fail_read(n, faults[f].error);
            const int rc = sl_store_has_checkpoint(run, &has);
            sl_io_fault_hook = NULL;
            if (!happened) {
                assert_true(rc == SL_OK && has && n > 3);
                break;
            }
            assert_int_equal(rc, faults[f].status);
            assert_non_null(strstr(sl_last_error(), run));
        }
}

static int hide_newest(const char *step, const char *path)
{
    return !strcmp(step, "open") && strstr(path, "ckpt-30/model") ? fault_error : 0;
}

/* Never an older checkpoint in place of one that cannot be read now. */
static void a_read_error_does_not_walk_back(void **state)
{
    (void)state;
    save_steps(3, 10, 30);
    for (int f = 0; f < FAULTS; f++)
        for (int n = 1;; n++) {
            struct sl_checkpoint checkpoint;
            reports[0] = '\0';
            fail_read(n, faults[f].error);
            const int rc = sl_store_load(run, note, NULL, &checkpoint);
            sl_io_fault_hook = NULL;
            if (!happened) {
                assert_true(rc == SL_OK && n > 5);
                assert_int_equal(checkpoint.step, 30);
                sl_checkpoint_close(&checkpoint);
                break;
            }
            assert_int_equal(rc, faults[f].status);
            assert_string_equal(reports, "");
        }
    struct sl_checkpoint checkpoint;
    fault_error = EIO;
    sl_io_fault_hook = hide_newest;
    assert_int_equal(sl_store_load(run, NULL, NULL, &checkpoint), SL_IO);
    assert_non_null(strstr(sl_last_error(), "try again, or move ckpt-30 away"));
}

/* What is missing or damaged is still walked past. */
static void damage_does_walk_back(void **state)
{
    (void)state;
    save_steps(3, 10, 30);
    fault_error = ESTALE;
    sl_io_fault_hook = hide_newest;
    assert_int_equal(loads(), 20);
    sl_io_fault_hook = NULL;
    assert_int_equal(truncate(in_run("ckpt-30/model.safetensors"), 9), 0);
    assert_int_equal(loads(), 20);
}

/* Every read of a save fails once: nothing whole is lost, nor what was just saved. */
static void a_read_error_retires_nothing_that_counts(void **state)
{
    (void)state;
    for (int f = 0; f < FAULTS; f++)
        for (int n = 1;; n++) {
            struct sl_store *store;
            erase(run);
            save_steps(2, 10, 20);
            assert_int_equal(sl_store_open(run, 2, &store), SL_OK);
            fail_read(n, faults[f].error);
            const int rc = save(store, 30);
            sl_io_fault_hook = NULL;
            assert_true(rc == SL_OK || rc == faults[f].status);
            assert_true(exists("ckpt-20"));
            assert_true(rc != SL_OK || exists("ckpt-30"));
            assert_int_equal(loads(), exists("ckpt-30") ? 30 : 20);
            assert_int_equal(save(store, 40), SL_OK);
            sl_store_close(store);
            assert_int_equal(loads(), 40);
            assert_true(exists("ckpt-30") || exists("ckpt-20"));
            if (!happened)
                break;
            assert_true(n < 200);
        }
}

/* Opening a run: the first failure ends it, and leaves the checkpoints. */
static void opening_ends_with_the_error(void **state)
{
    (void)state;
    save_steps(2, 10, 20);
    for (int f = 0; f < FAULTS; f++)
        for (int n = 1;; n++) {
            struct sl_store *store;
            fail_read(n, faults[f].error);
            const int rc = sl_store_open(run, 1, &store);
            sl_io_fault_hook = NULL;
            assert_int_equal(rc, happened ? faults[f].status : SL_OK);
            sl_store_close(store);
            assert_int_equal(loads(), 20);
            assert_true(exists("ckpt-10"));
            if (!happened)
                break;
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_question_that_fails_is_not_no), CASE(a_read_error_does_not_walk_back),
        CASE(damage_does_walk_back),           CASE(a_read_error_retires_nothing_that_counts),
        CASE(opening_ends_with_the_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
