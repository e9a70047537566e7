/* The checkpoint store where it may not write: another's run, and places without permission. */
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "tests/store_fixture.h"

static void two_stores_do_not_share_a_run(void **state)
{
    (void)state;
    struct sl_store *first, *second;
    char expected[64], host[65] = "";
    gethostname(host, 64);
    assert_int_equal(sl_store_open(run, 1, &first), SL_OK);
    assert_int_equal(sl_store_open(run, 1, &second), SL_CANNOT_CREATE);
    snprintf(expected, sizeof expected, "in use by pid %ld on ", (long)getpid());
    assert_non_null(strstr(sl_last_error(), expected));
    assert_non_null(strstr(sl_last_error(), host));
    assert_int_equal(save(first, 10), SL_OK);
    sl_store_close(first);
    assert_int_equal(sl_store_open(run, 1, &second), SL_OK);
    sl_store_close(second);
}

static void a_killed_owner_is_forgotten(void **state)
{
    (void)state;
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    const pid_t child = fork();
    if (child == 0) {
        struct sl_store *store;
        if (sl_store_open(run, 1, &store) != SL_OK || write(ready[1], "x", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    struct sl_store *store;
    assert_int_equal(read(ready[0], &byte, 1), 1);
    const int refused = sl_store_open(run, 1, &store);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    assert_int_equal(refused, SL_CANNOT_CREATE);
    char expected[32];
    snprintf(expected, sizeof expected, "pid %ld ", (long)child);
    assert_non_null(strstr(sl_last_error(), expected));
    assert_int_equal(sl_store_open(run, 1, &store), SL_OK);
    sl_store_close(store);
    close(ready[0]);
    close(ready[1]);
}

static int no_locks(const char *step, const char *path)
{
    (void)path;
    return strcmp(step, "lock") ? 0 : ENOLCK;
}

/* Where the file system has no locks, the text decides. */
static void a_lock_file_alone_is_judged(void **state)
{
    (void)state;
    char host[65] = "";
    gethostname(host, 64);
    const pid_t gone = fork();
    if (gone == 0)
        _exit(0);
    waitpid(gone, NULL, 0);
    save_steps(1, 10, 10);
    sl_io_fault_hook = no_locks;
    const struct {
        long pid;
        const char *host;
        int status;
    } cases[] = {{gone, host, SL_OK},
                 {(long)getppid(), host, SL_CANNOT_CREATE},
                 {gone, "elsewhere.example", SL_CANNOT_CREATE},
                 {-1, host, SL_OK},
                 {0, "\x1b[2J", SL_OK}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sl_store *store = NULL;
        char text[128];
        snprintf(text, sizeof text, "%ld %s\n", cases[i].pid, cases[i].host);
        put(in_run("lock"), text, strlen(text));
        assert_int_equal(sl_store_open(run, 1, &store), cases[i].status);
        sl_store_close(store);
    }
}

static int full(const char *step, const char *path)
{
    (void)path;
    return strcmp(step, "write") ? 0 : ENOSPC;
}

static int full_without_locks(const char *step, const char *path)
{
    return strcmp(step, "lock") ? full(step, path) : ENOLCK;
}

/* The kernel's lock needs no room; a lock that is only text does. */
static void a_full_disk_can_be_locked(void **state)
{
    (void)state;
    struct sl_store *store, *second;
    save_steps(3, 10, 30);
    sl_io_fault_hook = full;
    assert_int_equal(sl_store_open(run, 1, &store), SL_OK);
    assert_int_equal(sl_store_open(run, 1, &second), SL_CANNOT_CREATE);
    assert_non_null(strstr(sl_last_error(), "in use"));
    sl_store_trim(store);
    assert_true(exists("ckpt-30") && !exists("ckpt-20") && !exists("ckpt-10"));
    sl_store_close(store);
    sl_io_fault_hook = full_without_locks;
    assert_int_equal(sl_store_open(run, 1, &store), SL_CANNOT_CREATE);
    assert_non_null(strstr(sl_last_error(), "No space left"));
}

static void assert_cannot_create(const char *path)
{
    struct sl_store *store;
    assert_int_equal(sl_store_open(path, 1, &store), SL_CANNOT_CREATE);
    assert_null(store);
    if (!strstr(sl_last_error(), path))
        fail_msg("%s is not named: %s", path, sl_last_error());
}

static void names_places_it_cannot_write(void **state)
{
    (void)state;
    put(run, "x", 1);
    assert_cannot_create(run);
    assert_cannot_create(in_run("inner"));
    assert_cannot_create("/proc/starling-run");
    assert_cannot_create("");
    unlink(run);
    assert_int_equal(mkdir(run, 0700), 0);
    assert_int_equal(symlink("/dev/null", in_run("lock")), 0);
    assert_cannot_create(run);
    unlink(in_run("lock"));
    assert_int_equal(mkfifo(in_run("lock"), 0600), 0);
    assert_cannot_create(run);
    unlink(in_run("lock"));
    assert_int_equal(rmdir(run), 0);
    assert_int_equal(symlink("nowhere", run), 0);
    assert_cannot_create(run);
}

static void names_a_folder_without_permission(void **state)
{
    (void)state;
    int status;
    assert_int_equal(mkdir(run, 0700), 0);
    assert_int_equal(chmod(base, 0755), 0);
    assert_int_equal(chmod(run, 0555), 0);
    const pid_t child = fork();
    if (child == 0) {
        struct sl_store *store;
        if (geteuid() == 0 && setuid(65534))
            _exit(1);
        const int rc = sl_store_open(run, 1, &store);
        _exit(rc == SL_CANNOT_CREATE && strstr(sl_last_error(), "Permission denied") ? 0 : 2);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(two_stores_do_not_share_a_run), CASE(a_killed_owner_is_forgotten),
        CASE(a_lock_file_alone_is_judged),   CASE(a_full_disk_can_be_locked),
        CASE(names_places_it_cannot_write),  CASE(names_a_folder_without_permission),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
