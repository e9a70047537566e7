/* The checkpoint store, killed and starved at every step: it never loses the last good state. */
#include <errno.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "tests/store_fixture.h"

enum { KILLED = 99 };

static int countdown, fault_error;
static bool fault_stays, happened;

static int die(const char *step, const char *path)
{
    (void)step;
    (void)path;
    if (--countdown == 0)
        _exit(KILLED);
    return 0;
}

static int starve(const char *step, const char *path)
{
    (void)path;
    /* Reading has a test of its own, test_store_reads.c. */
    if (!strcmp(step, "open") || !strcmp(step, "read") || !strcmp(step, "list"))
        return 0;
    countdown--;
    happened |= countdown == 0;
    return countdown == 0 || (countdown < 0 && fault_stays) ? fault_error : 0;
}

/* The states a save can start from: an older checkpoint; the same and a damaged one of the step to be saved. */
static void prepare(bool damaged, int keep)
{
    erase(run);
    save_steps(keep, 10, damaged ? 20 : 10);
    if (damaged && keep > 1)
        assert_int_equal(truncate(in_run("ckpt-20/model.safetensors"), 9), 0);
}

static void survives_a_kill_at_every_step(void **state)
{
    (void)state;
    for (int damaged = 0; damaged < 2; damaged++) {
        int status = 1, steps = 0;
        bool saw_old = false, saw_new = false;
        for (int n = 1; status != 0; n++) {
            prepare(damaged, 1 + damaged);
            const pid_t child = fork();
            assert_true(child >= 0);
            if (child == 0) {
                struct sl_store *store;
                countdown = n;
                sl_io_fault_hook = die;
                const int rc = sl_store_open(run, 1, &store);
                _exit(rc ? rc : save(store, 20));
            }
            assert_int_equal(waitpid(child, &status, 0), child);
            assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == KILLED));
            const uint64_t step = loads();
            assert_true(step == 10 || step == 20);
            saw_old |= step == 10;
            saw_new |= step == 20;
            steps = n;
            /* The next process cleans up and goes on. */
            save_steps(1, 30, 30);
            assert_int_equal(loads(), 30);
            assert_int_equal(count_entries(".tmp"), 0);
            assert_false(exists("ckpt-10") || exists("ckpt-20"));
        }
        assert_true(saw_old && saw_new && steps > 15);
        assert_int_equal(loads(), 30);
    }
}

/* Each step fails once, then all from it on; a full disk, then a broken one. */
static void survives_a_failure_at_every_step(void **state)
{
    (void)state;
    static const int errors[] = {ENOSPC, EIO};
    for (int variant = 0; variant < 8; variant++) {
        happened = true;
        for (int n = 1; happened; n++) {
            struct sl_store *store;
            prepare(variant & 1, 1 + (variant & 1));
            assert_int_equal(sl_store_open(run, 1, &store), SL_OK);
            fault_stays = variant & 2;
            fault_error = errors[variant >> 2];
            countdown = n;
            happened = false;
            sl_io_fault_hook = starve;
            const int rc = save(store, 20);
            sl_io_fault_hook = NULL;
            assert_true(rc == SL_OK || rc == (fault_error == EIO ? SL_IO : SL_CANNOT_CREATE));
            if (rc != SL_OK) {
                assert_non_null(strstr(sl_last_error(), run));
                assert_non_null(strstr(sl_last_error(), strerror(fault_error)));
            }
            const uint64_t step = loads();
            assert_true(step == 10 || step == 20);
            assert_true(rc != SL_OK || step == 20);
            /* The same store saves at the next interval. */
            assert_int_equal(save(store, 30), SL_OK);
            assert_int_equal(loads(), 30);
            sl_store_close(store);
            assert_true(n < 100);
        }
    }
}

static char trace[8192];

static int record(const char *step, const char *path)
{
    const size_t n = strlen(trace);
    snprintf(trace + n, sizeof trace - n, "%s %s\n", step, path + strlen(run));
    return 0;
}

/* Saves step `step` of the run; `trace` is what it did. */
static void trace_save(uint64_t step)
{
    struct sl_store *store;
    assert_int_equal(sl_store_open(run, 1, &store), SL_OK);
    trace[0] = '\0';
    sl_io_fault_hook = record;
    assert_int_equal(save(store, step), SL_OK);
    sl_io_fault_hook = NULL;
    sl_store_close(store);
}

/* Power may fail as well: everything is on the disk before the name that promises it. */
static void syncs_before_it_promises(void **state)
{
    (void)state;
    trace_save(7);
    const char *const order[] = {
        "mkdir /ckpt-7.tmp\n",
        "sync /ckpt-7.tmp/model.safetensors\n",
        "sync /ckpt-7.tmp/updater.safetensors\n",
        "create /ckpt-7.tmp/manifest.json\n",
        "sync /ckpt-7.tmp/manifest.json\n",
        "sync /ckpt-7.tmp\n",
        "rename /ckpt-7\n",
        "sync \n",
        "create /last-good.",
        "sync /last-good.",
        "rename /last-good\n",
    };
    const char *at = trace;
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        at = strstr(at, order[i]);
        if (!at)
            fail_msg("no \"%s\" in its place in:\n%s", order[i], trace);
    }
    /* What is retired stops being a checkpoint before its first file goes. */
    trace_save(8);
    assert_non_null(strstr(trace, "rename /ckpt-7.retired.tmp\n"));
    assert_null(strstr(trace, "remove /ckpt-7/"));
}

static void a_full_disk_keeps_the_old(void **state)
{
    (void)state;
    struct sl_store *store;
    static float large[64 << 10];
    const struct sl_named_tensor tensor = {"w", SL_F32, 1, {64 << 10}, large};
    const struct sl_store_file file = {"model.safetensors", &tensor, 1, NULL, 0};
    assert_int_equal(mkdir(run, 0700), 0);
    if (mount("tmpfs", run, "tmpfs", 0, "size=128k")) {
        print_message("a small file system cannot be mounted here: %s\n", strerror(errno));
        skip();
    }
    const int opened = sl_store_open(run, 1, &store);
    const int saved = opened == SL_OK ? save(store, 10) : opened;
    const int full = opened == SL_OK ? sl_store_save(store, 20, &file, 1) : opened;
    const bool named = strstr(sl_last_error(), "No space left") != NULL;
    const uint64_t step = loads();
    const int left = count_entries(".tmp"), again = opened == SL_OK ? save(store, 30) : opened;
    sl_store_close(store);
    umount(run);
    assert_int_equal(saved, SL_OK);
    assert_int_equal(full, SL_CANNOT_CREATE);
    assert_true(named);
    assert_int_equal(step, 10);
    assert_int_equal(left, 0);
    assert_int_equal(again, SL_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(survives_a_kill_at_every_step),
        CASE(survives_a_failure_at_every_step),
        CASE(syncs_before_it_promises),
        CASE(a_full_disk_keeps_the_old),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
