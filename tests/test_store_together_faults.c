/* The checkpoint store of several ranks, killed and starved at every step: the last good state stays, for all. */
#include <errno.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "tests/store_together_fixture.h"

enum { KILLED = 99 };

static atomic_int countdown, happened;
static int fault_error;
static bool fault_stays;

static int die(const char *step, const char *path)
{
    (void)step;
    (void)path;
    if (--countdown == 0)
        _exit(KILLED);
    return 0;
}

static void survives_a_kill_at_every_step(void **state)
{
    (void)state;
    int status = 1, steps = 0;
    bool saw_old = false, saw_new = false;
    for (int n = 1; status != 0; n++) {
        erase(run);
        save_all(1, OLD, OLD);
        const pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            struct sl_store *store;
            countdown = n;
            sl_io_fault_hook = die;
            const int rc = sl_store_open(run, 1, &store);
            _exit(rc ? rc : save_quietly(RANKS, store, NEW));
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == KILLED));
        const uint64_t step = loads();
        assert_true(step == OLD || step == NEW);
        saw_old |= step == OLD;
        saw_new |= step == NEW;
        assert_loads(RANKS, step);
        save_all(1, 30, 30);
        assert_int_equal(loads(), 30);
        assert_int_equal(count_entries(".tmp"), 0);
        steps = n;
    }
    assert_true(saw_old && saw_new && steps > 30);
}

static int starve(const char *step, const char *path)
{
    (void)path;
    if (!strcmp(step, "open") || !strcmp(step, "read") || !strcmp(step, "list"))
        return 0;
    const int left = --countdown;
    if (left == 0)
        happened = true;
    return left == 0 || (left < 0 && fault_stays) ? fault_error : 0;
}

static void survives_a_failure_at_every_step(void **state)
{
    (void)state;
    static const int errors[] = {ENOSPC, EIO};
    for (int variant = 0; variant < 4; variant++) {
        happened = true;
        for (int n = 1; happened; n++) {
            erase(run);
            save_all(1, OLD, OLD);
            struct sl_store *store = open_store(1);
            fault_stays = variant & 1;
            fault_error = errors[variant >> 1];
            countdown = n;
            happened = false;
            sl_io_fault_hook = starve;
            const int rc = save_by(RANKS, store, NEW);
            sl_io_fault_hook = NULL;
            assert_true(rc == SL_OK || rc == (fault_error == EIO ? SL_IO : SL_CANNOT_CREATE));
            if (rc != SL_OK)
                assert_all_end(&ranks, rc, strerror(fault_error));
            const uint64_t step = loads();
            assert_true(step == OLD || step == NEW);
            assert_true(rc != SL_OK || step == NEW);
            assert_int_equal(save_by(RANKS, store, 30), SL_OK);
            sl_store_close(store);
            assert_loads(RANKS, 30);
            assert_true(n < 200);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(survives_a_kill_at_every_step),
        CASE(survives_a_failure_at_every_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
