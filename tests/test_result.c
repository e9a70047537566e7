/* Results written whole or not at all: over files, through links, into devices. */
#include <errno.h>
#include <fcntl.h>

#include "runtime/base/result.h"
#include "tests/store_fixture.h"

static int countdown, fault_error;

static int starve(const char *step, const char *path)
{
    (void)path;
    if (!strcmp(step, "open") || !strcmp(step, "read"))
        return 0;
    return --countdown == 0 ? fault_error : 0;
}

static int write_result(const char *path, const char *text)
{
    int rc = SL_OK;
    struct sl_result result;
    SL_TRY(sl_result_open(path, &result));
    fputs(text, result.to);
    SL_TRY(sl_result_commit(&result));
out:
    sl_result_close(&result);
    return rc;
}

static const char *in_base(const char *name)
{
    static char paths[4][PATH_LENGTH];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, PATH_LENGTH, "%s/%s", base, name);
    return path;
}

static void assert_holds(const char *path, const char *text)
{
    uint8_t *bytes;
    size_t n;
    assert_int_equal(sl_io_read(path, 100, &bytes, &n), SL_OK);
    assert_string_equal((const char *)bytes, text);
    free(bytes);
}

static bool is_link(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0 && S_ISLNK(info.st_mode);
}

/* Full at each step in turn: the old content stays, and nothing temporary. */
static void assert_survives(const char *path, const char *old)
{
    fault_error = ENOSPC;
    for (int i = 1; i <= 3; i++) {
        countdown = i;
        sl_io_fault_hook = starve;
        assert_int_equal(write_result(path, "longer"), SL_CANNOT_CREATE);
        sl_io_fault_hook = NULL;
        assert_holds(path, old);
    }
}

static void replaces_files(void **state)
{
    (void)state;
    const char *path = in_base("config.json");
    assert_int_equal(write_result(path, "old"), SL_OK);
    assert_survives(path, "old");
    assert_int_equal(write_result(path, "new"), SL_OK);
    assert_holds(path, "new");
    assert_int_equal(write_result(base, "x"), SL_CANNOT_CREATE);
}

static void replaces_what_a_link_leads_to(void **state)
{
    (void)state;
    assert_int_equal(mkdir(in_base("there"), 0700), 0);
    put(in_base("there/file"), "old", 3);
    assert_int_equal(symlink("file", in_base("there/relative")), 0);
    assert_int_equal(symlink("there/relative", in_base("chain")), 0);
    assert_int_equal(symlink(in_base("there/file"), in_base("absolute")), 0);
    static const char *const links[] = {"there/relative", "chain", "absolute"};
    for (int i = 0; i < 3; i++) {
        char link[PATH_LENGTH];
        strcpy(link, in_base(links[i]));
        assert_survives(link, "old");
        assert_int_equal(write_result(link, "new"), SL_OK);
        assert_holds(in_base("there/file"), "new");
        assert_true(is_link(link));
        assert_int_equal(write_result(link, "old"), SL_OK);
    }
    /* One that leads nowhere yet makes its file; a circle is refused. */
    assert_int_equal(symlink("there/fresh", in_base("dangling")), 0);
    assert_int_equal(write_result(in_base("dangling"), "new"), SL_OK);
    assert_holds(in_base("there/fresh"), "new");
    assert_int_equal(symlink("circle", in_base("circle")), 0);
    assert_int_equal(write_result(in_base("circle"), "x"), SL_CANNOT_CREATE);
    assert_int_equal(symlink("there", in_base("folder")), 0);
    assert_int_equal(write_result(in_base("folder"), "x"), SL_CANNOT_CREATE);
}

/* /dev/stdout and its kind lead to a file that somebody holds open: it stays the same file. */
static void writes_open_descriptors_in_place(void **state)
{
    (void)state;
    char name[64];
    struct stat before, after;
    const char *path = in_base("held");
    const int fd = open(path, O_RDWR | O_CREAT, 0600);
    assert_true(fd >= 0);
    static const char *const names[] = {"/proc/self/fd/%d", "/dev/fd/%d"};
    for (int i = 0; i < 2; i++) {
        snprintf(name, sizeof name, names[i], fd);
        assert_int_equal(fstat(fd, &before), 0);
        assert_int_equal(write_result(name, i ? "two" : "one"), SL_OK);
        assert_int_equal(stat(path, &after), 0);
        assert_int_equal(before.st_ino, after.st_ino);
        assert_holds(path, i ? "two" : "one");
    }
    close(fd);
}

static void writes_devices_in_place(void **state)
{
    (void)state;
    struct stat info;
    assert_int_equal(write_result("/dev/full", "x"), SL_CANNOT_CREATE);
    assert_non_null(strstr(sl_last_error(), "/dev/full"));
    assert_int_equal(write_result("/dev/null", "x"), SL_OK);
    assert_true(stat("/dev/null", &info) == 0 && S_ISCHR(info.st_mode));
    assert_int_equal(symlink("/dev/null", in_base("null")), 0);
    assert_int_equal(write_result(in_base("null"), "x"), SL_OK);
    assert_true(is_link(in_base("null")));
    assert_true(stat("/dev/null", &info) == 0 && S_ISCHR(info.st_mode));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(replaces_files),
        CASE(replaces_what_a_link_leads_to),
        CASE(writes_open_descriptors_in_place),
        CASE(writes_devices_in_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
