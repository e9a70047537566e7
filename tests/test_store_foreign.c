/* A run folder that is somebody else's, or holds what was planted or left there. */
#include <errno.h>
#include <fcntl.h>

#include "tests/store_fixture.h"

/* Everything below the run folder, as one text. */
static void describe(const char *path, char *text, size_t room)
{
    DIR *folder = opendir(path);
    const struct dirent *entry;
    size_t names = 0, sum = 0;
    assert_non_null(folder);
    while ((entry = readdir(folder))) {
        struct stat info;
        assert_int_equal(fstatat(dirfd(folder), entry->d_name, &info, AT_SYMLINK_NOFOLLOW), 0);
        for (const char *c = entry->d_name; *c; c++)
            sum = sum * 31 + (unsigned char)*c;
        if (strcmp(entry->d_name, ".."))
            sum ^= (size_t)info.st_size * 7 + (size_t)info.st_mtim.tv_nsec + (size_t)info.st_ino;
        names++;
    }
    closedir(folder);
    snprintf(text, room, "%zu %zu", names, sum);
}

static void assert_refused(const char *name)
{
    struct sl_store *store;
    char before[64], after[64];
    describe(run, before, sizeof before);
    assert_int_equal(sl_store_open(run, 1, &store), SL_CANNOT_CREATE);
    assert_null(store);
    describe(run, after, sizeof after);
    assert_string_equal(before, after);
    if (!strstr(sl_last_error(), in_run(name)))
        fail_msg("%s is not named: %s", name, sl_last_error());
}

static void assert_opens(void)
{
    struct sl_store *store;
    if (sl_store_open(run, 1, &store) != SL_OK)
        fail_msg("%s", sl_last_error());
    sl_store_close(store);
}

static void a_folder_of_others_is_left_alone(void **state)
{
    (void)state;
    static const char *const files[][2] = {
        {"metrics.csv", "day,visitors\n1,100\n"},
        {"log.jsonl", "{\"level\":\"info\"}\n"},
        {"config.json", "{\"editor\": \"vi\"}\n"},
        {"lock", "0.9.1"},
        {"last-good", "2026-01-01"},
        {"best", "in show"},
        {"ckpt-7.tmp", "x"},
        {"config.json.0123456789abcdef.tmp", "x"},
        {"ckpt-7.retired.tmp", "x"},
    };
    assert_int_equal(mkdir(run, 0700), 0);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        put(in_run(files[i][0]), files[i][1], strlen(files[i][1]));
        assert_refused(files[i][0]);
        unlink(in_run(files[i][0]));
    }
    static const char *const names[] = {"metrics.csv", "log.jsonl", "config.json", "lock", "last-good", "best"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_int_equal(mkdir(in_run(names[i]), 0700), 0);
        assert_refused(names[i]);
        assert_int_equal(rmdir(in_run(names[i])), 0);
        assert_int_equal(mkfifo(in_run(names[i]), 0600), 0);
        assert_refused(names[i]);
        unlink(in_run(names[i]));
        assert_int_equal(symlink("/etc/hostname", in_run(names[i])), 0);
        assert_refused(names[i]);
        unlink(in_run(names[i]));
    }
}

/* Names that only look like ours do not matter, and stay. */
static void other_files_stay(void **state)
{
    (void)state;
    static const char *const files[] = {"notes.tmp",     "ckpt-x.tmp",      "ckpt-07.tmp",          "ckpt-7.old.tmp",
                                        "last-good.tmp", "config.json.tmp", "metrics.csv.0123.tmp", "ckpt-7.tmp.tmp",
                                        "ckpt-best.tmp", "ckpt-12.index",   "model.safetensors"};
    assert_int_equal(mkdir(run, 0700), 0);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        put(in_run(files[i]), "x", 1);
    for (int i = 0; i < 2; i++) {
        save_steps(1, 10 + 20 * (uint64_t)i, 20 + 20 * (uint64_t)i);
        for (size_t k = 0; k < sizeof files / sizeof *files; k++)
            assert_true(exists(files[k]));
    }
}

/* What a killed run may have left before its first checkpoint. */
static void a_young_run_is_recognised(void **state)
{
    (void)state;
    static const char *const texts[][2] = {
        {"log.jsonl", ""},
        {"log.jsonl", "{\"schem"},
        {"log.jsonl", "{\"schema_version\":1,\"event\":\"message\""},
        {"metrics.csv", ""},
        {"metrics.csv", "epoch,it"},
        {"metrics.csv", "epoch,iteration,train_loss,val_loss,top1,top5,images_per_second,seconds,learning_rate\n"},
        {"config.json", "{\n  \"version\": \"0.1.0\",\n"},
        {"lock", ""},
        {"last-good", "ckpt-7\n"},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        erase(run);
        assert_int_equal(mkdir(run, 0700), 0);
        put(in_run(texts[i][0]), texts[i][1], strlen(texts[i][1]));
        assert_opens();
    }
    /* The lock of a killed process makes it a run: its temporary folder goes. */
    erase(run);
    assert_int_equal(mkdir(run, 0700), 0);
    put(in_run("lock"), "1 elsewhere\n", 12);
    assert_int_equal(mkdir(in_run("ckpt-7.tmp"), 0700), 0);
    assert_opens();
    assert_false(exists("ckpt-7.tmp"));
}

/* In a run, a table or a log that is not one is not appended to; what is replaced whole may be anything. */
static void a_run_guards_what_it_appends_to(void **state)
{
    (void)state;
    save_steps(1, 10, 10);
    put(in_run("metrics.csv"), "day,visitors\n", 13);
    assert_refused("metrics.csv");
    unlink(in_run("metrics.csv"));
    put(in_run("config.json"), "{}", 2);
    put(in_run("last-good"), "nonsense", 8);
    put(in_run("best"), "nonsense", 8);
    assert_opens();
    unlink(in_run("config.json"));
    assert_int_equal(symlink("/etc/hostname", in_run("config.json")), 0);
    assert_refused("config.json");
}

/* ---- Leftovers ---- */

static void put_tree(const char *top, int depth)
{
    char path[PATH_LENGTH];
    snprintf(path, sizeof path, "%s", top);
    for (int i = 0; i < depth; i++) {
        assert_int_equal(mkdir(path, 0700), 0);
        const size_t n = strlen(path);
        snprintf(path + n, sizeof path - n, "/file");
        put(path, "x", 1);
        snprintf(path + n, sizeof path - n, "/d");
    }
}

static void a_leftover_with_folders_goes(void **state)
{
    (void)state;
    char outside[PATH_LENGTH];
    snprintf(outside, sizeof outside, "%s/outside", base);
    put(outside, "x", 1);
    save_steps(1, 10, 10);
    put_tree(in_run("ckpt-20.tmp"), 4);
    assert_int_equal(symlink(base, in_run("ckpt-20.tmp/up")), 0);
    assert_int_equal(mkfifo(in_run("ckpt-20.tmp/d/pipe"), 0600), 0);
    assert_opens();
    assert_false(exists("ckpt-20.tmp"));
    assert_int_equal(access(outside, F_OK), 0);
    assert_int_equal(loads(), 10);
}

static int no_removal(const char *step, const char *path)
{
    return !strcmp(step, "remove") && strstr(path, "ckpt-20.tmp") ? EACCES : 0;
}

static void a_leftover_that_stays_blocks_nothing(void **state)
{
    (void)state;
    struct sl_store *store;
    save_steps(1, 10, 10);
    for (int deep = 0; deep < 2; deep++) {
        put_tree(in_run("ckpt-20.tmp"), deep ? 12 : 2);
        sl_io_fault_hook = deep ? NULL : no_removal;
        assert_int_equal(sl_store_open(run, 1, &store), SL_OK);
        reports[0] = '\0';
        sl_store_listen(store, note, NULL);
        assert_non_null(strstr(reports, "cannot be removed"));
        assert_non_null(strstr(reports, deep ? "nested deeper than 8" : "Permission denied"));
        assert_int_equal(save(store, 20), SL_CANNOT_CREATE);
        assert_int_equal(save(store, 30 + (uint64_t)deep), SL_OK);
        sl_store_close(store);
        sl_io_fault_hook = NULL;
        assert_int_equal(loads(), 30 + (uint64_t)deep);
        erase(in_run("ckpt-20.tmp"));
    }
}

/* ---- New folders ---- */

static char trace[4096];

static int record(const char *step, const char *path)
{
    const size_t n = strlen(trace);
    if (!strcmp(step, "mkdir") || !strcmp(step, "sync"))
        snprintf(trace + n, sizeof trace - n, "%s %s\n", step, path + strlen(base));
    return 0;
}

static void new_folders_are_on_the_disk(void **state)
{
    (void)state;
    struct sl_store *store;
    snprintf(run, sizeof run, "%s/a/b//c/", base);
    trace[0] = '\0';
    sl_io_fault_hook = record;
    assert_int_equal(sl_store_open(run, 1, &store), SL_OK);
    sl_io_fault_hook = NULL;
    sl_store_close(store);
    const char expected[] = "mkdir /a\nsync \nmkdir /a/b\nsync /a\nmkdir /a/b//c\nsync /a/b\n";
    if (strncmp(trace, expected, strlen(expected)))
        fail_msg("%s", trace);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_folder_of_others_is_left_alone), CASE(other_files_stay),
        CASE(a_young_run_is_recognised),        CASE(a_run_guards_what_it_appends_to),
        CASE(a_leftover_with_folders_goes),     CASE(a_leftover_that_stays_blocks_nothing),
        CASE(new_folders_are_on_the_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
