/* The output folder of a preparation: locks, faults, what it may hold; and what a preparation tells. */
#include "tests/data_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>

#include "runtime/base/folder.h"

static char reported[4096];

static void remember(void *self, const char *line)
{
    (void)self;
    strncat(reported, line, sizeof reported - strlen(reported) - 2);
    strcat(reported, "\n");
}

static int prepare(const char *output, struct sl_dataset **set)
{
    char *from = strdup(at("in")), *to = strdup(at(output));
    struct sl_prepare_options options = prepare_options(from, to);
    options.report = remember;
    reported[0] = '\0';
    if (access(from, F_OK) != 0)
        put_tree("in", 2, 4);
    const int rc = sl_prepare(&options, set);
    free(from);
    free(to);
    return rc;
}

static bool exists(const char *name)
{
    return access(at(name), F_OK) == 0;
}

/* ---- locks ---- */

static int lock_failure;

static int no_locks(const char *step, const char *path)
{
    (void)path;
    return !strcmp(step, "lock") ? lock_failure : 0;
}

static void a_held_lock_is_another_preparation(void **state)
{
    (void)state;
    struct sl_dataset *set;
    put_text("held/unfinished", "");
    const int fd = open(at("held/unfinished"), O_WRONLY);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_fails(prepare("held", &set), SL_CANNOT_CREATE, "another preparation is writing");
    assert_true(exists("held/unfinished"));
    close(fd);
    assert_ok(prepare("held", &set));
    assert_false(exists("held/unfinished"));
    sl_dataset_close(set);
}

/* Without locks a new folder is filled; one with a marker may be somebody's. */
static void file_systems_without_locks_are_fine(void **state)
{
    static const int errors[] = {ENOSYS, EOPNOTSUPP, ENOLCK};
    (void)state;
    struct sl_dataset *set;
    sl_io_fault_hook = no_locks;
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        char name[32], marker[48];
        snprintf(name, sizeof name, "lustre%zu", i);
        snprintf(marker, sizeof marker, "%s/unfinished", name);
        lock_failure = errors[i];
        put_text(marker, "");
        assert_fails(prepare(name, &set), SL_CANNOT_CREATE, "has no locks");
        assert_true(exists(marker));
        assert_int_equal(unlink(at(marker)), 0);
        assert_ok(prepare(name, &set));
        sl_dataset_close(set);
        const char *said = strstr(reported, "the file system has no locks");
        assert_non_null(said);
        assert_null(strstr(said + 1, "the file system has no locks"));
        assert_false(exists(marker));
    }
    lock_failure = EIO;
    assert_fails(prepare("lock-eio", &set), SL_IO, "cannot lock it");
    sl_io_fault_hook = NULL;
}

static int times;

/* Somebody's preparation ends, and takes its marker with it, between opening and locking here. */
static int steal(const char *step, const char *path)
{
    if (!strcmp(step, "lock") && times-- > 0)
        assert_int_equal(unlink(path), 0);
    return 0;
}

static void a_marker_that_went_is_made_again(void **state)
{
    (void)state;
    struct sl_dataset *set;
    sl_io_fault_hook = steal;
    times = 3;
    assert_ok(prepare("stolen", &set));
    sl_dataset_close(set);
    times = 1;
    put_text("stolen2/unfinished", "");
    put_text("stolen2/letter.txt", "dear");
    assert_fails(prepare("stolen2", &set), SL_CANNOT_CREATE, "letter.txt");
    times = 1 << 20;
    assert_fails(prepare("stolen3", &set), SL_CANNOT_CREATE, "come and go");
    sl_io_fault_hook = NULL;
}

static void a_marker_must_be_a_file(void **state)
{
    (void)state;
    struct sl_dataset *set;
    assert_int_equal(mkdir(at("piped"), 0777), 0);
    assert_int_equal(mkfifo(at("piped/unfinished"), 0666), 0);
    assert_fails(prepare("piped", &set), SL_CANNOT_CREATE, "unfinished");
    assert_true(exists("piped/unfinished"));
}

/* ---- faults ---- */

static int countdown, failure;
static bool after_commit; /* only faults after dataset.json got its name count */
static bool committed;

static int fail_once(const char *step, const char *path)
{
    if (!after_commit || committed)
        countdown--;
    if (!strcmp(step, "rename") && strstr(path, "/dataset.json"))
        committed = countdown != 0;
    return countdown == 0 ? failure : 0;
}

/* Whichever step fails: either a whole data set, or nothing and the next attempt succeeds. */
static void every_fault_leaves_all_or_nothing(void **state)
{
    (void)state;
    int rc = SL_IO;
    for (int n = 1; rc != SL_OK; n++) {
        struct sl_dataset *set;
        char name[32], path[64];
        snprintf(name, sizeof name, "fault%d", n);
        countdown = n;
        failure = n % 2 ? EIO : ENOSPC;
        after_commit = committed = false;
        sl_io_fault_hook = fail_once;
        rc = prepare(name, &set);
        sl_io_fault_hook = NULL;
        snprintf(path, sizeof path, "%s/train-000000.tar", name);
        if (committed) {
            if (rc != SL_OK && !strstr(sl_last_error(), "is whole, but may not outlive a power failure"))
                fail_msg("said: %s", sl_last_error());
            sl_dataset_close(set);
            assert_ok(sl_dataset_open(at(name), &set));
            assert_true(exists(path));
        } else {
            assert_true(rc == SL_IO || rc == SL_CANNOT_CREATE);
            assert_false(exists(path));
            assert_ok(prepare(name, &set));
        }
        sl_dataset_close(set);
    }
}

static void a_fault_after_the_commit_keeps_the_set(void **state)
{
    (void)state;
    struct sl_dataset *set;
    countdown = 1;
    failure = EIO;
    after_commit = true;
    committed = false;
    sl_io_fault_hook = fail_once;
    assert_fails(prepare("synced", &set), SL_IO, "is whole, but may not outlive a power failure");
    sl_io_fault_hook = NULL;
    assert_null(set);
    assert_ok(sl_dataset_open(at("synced"), &set));
    assert_true(exists("synced/train-000000.tar"));
    assert_true(exists("synced/val-000000.tar"));
    sl_dataset_close(set);
}

/* ---- folders ---- */

static int no_sync(const char *step, const char *path)
{
    return !strcmp(step, "sync") && !strcmp(path, at(".")) ? EIO : 0;
}

static void a_new_folder_that_cannot_be_synced_is_an_error(void **state)
{
    (void)state;
    assert_ok(sl_folder_create(at("there")));
    assert_ok(sl_folder_create(at("there")));
    sl_io_fault_hook = no_sync;
    assert_fails(sl_folder_create(at("./new")), SL_IO, "cannot sync the folder");
    sl_io_fault_hook = NULL;
}

/* A FIFO would wait for a reader, and a link may lead anywhere. */
static void a_marker_that_is_no_file_is_refused(void **state)
{
    (void)state;
    struct sl_dataset *set;
    for (int kind = 0; kind < 3; kind++) {
        put_text("marked/x", "");
        assert_int_equal(unlink(at("marked/x")), 0);
        char *marker = strdup(at("marked/unfinished"));
        assert_int_equal(kind == 0   ? mkfifo(marker, 0600)
                         : kind == 1 ? symlink("/nowhere/at/all", marker)
                                     : mkdir(marker, 0700),
                         0);
        assert_fails(prepare("marked", &set), SL_CANNOT_CREATE, "unfinished: not a regular file; remove it");
        assert_int_equal(remove(marker), 0);
        free(marker);
    }
    assert_ok(prepare("marked", &set));
    sl_dataset_close(set);
}

/* 30,002 images, one a file. */
static void too_many_shards_are_refused_before_the_work(void **state)
{
    (void)state;
    enum { EACH = 15001 };
    char name[PATH_ROOM], *path = NULL;
    char *from = strdup(at("shards")), *to = strdup(at("no-shards"));
    struct sl_dataset *set;
    put_text("shards/a/0.jpg", "x");
    put_text("shards/b/0.jpg", "x");
    for (int class = 0; class < 2; class ++)
        for (int i = 1; i < EACH; i++) {
            snprintf(name, sizeof name, "shards/%c/%d.jpg", 'a' + class, i);
            path = strdup(at(name));
            assert_int_equal(symlink("0.jpg", path), 0);
            free(path);
        }
    struct sl_prepare_options options = prepare_options(from, to);
    options.images_per_file = 1;
    assert_fails(sl_prepare(&options, &set), SL_BAD_CONFIG, "30002 shards of 1 images; at most 30000 can be");
    assert_false(exists("no-shards"));
    free(from);
    free(to);
}

static void clutter_is_no_content(void **state)
{
    (void)state;
    struct sl_dataset *set;
    put_text("littered/.DS_Store", "x");
    put_text("littered/Thumbs.db", "x");
    put_text("littered/lost+found/x", "x");
    assert_ok(prepare("littered", &set));
    sl_dataset_close(set);
    assert_true(exists("littered/.DS_Store") && exists("littered/Thumbs.db") && exists("littered/lost+found/x"));
    put_text("worse/.DS_Store", "x");
    put_text("worse/.letter", "x");
    assert_fails(prepare("worse", &set), SL_CANNOT_CREATE, ".letter");
}

static void missing_folders_are_created(void **state)
{
    (void)state;
    struct sl_dataset *set;
    assert_ok(prepare("far/away/new//", &set));
    sl_dataset_close(set);
    assert_ok(sl_dataset_open(at("far/away/new"), &set));
    sl_dataset_close(set);
    put_text("wall", "");
    assert_fails(prepare("wall/away", &set), SL_CANNOT_CREATE, "wall");
}

static void dataset_json_names_its_folder(void **state)
{
    (void)state;
    struct sl_dataset *set;
    assert_ok(prepare("set", &set));
    sl_dataset_close(set);
    assert_ok(sl_dataset_open(at("set/dataset.json"), &set));
    assert_string_equal(set->folder, at("set"));
    sl_dataset_close(set);
    char *here = getcwd(NULL, 0);
    assert_int_equal(chdir(at("set")), 0);
    assert_ok(sl_dataset_open("dataset.json", &set));
    assert_string_equal(set->folder, ".");
    sl_dataset_close(set);
    assert_int_equal(chdir(here), 0);
    free(here);
    assert_fails(sl_dataset_open(at("nowhere/dataset.json"), &set), SL_MISSING, "no prepared data set");
    assert_fails(sl_dataset_open(at("set/train-000000.tar"), &set), SL_MISSING, "no prepared data set");
}

/* ---- what is told ---- */

static void shared_images_are_told(void **state)
{
    (void)state;
    struct sl_dataset *set;
    put_jpeg("shared/train/a/1.jpg", 16, 16, 1);
    put_jpeg("shared/train/b/1.jpg", 16, 16, 2);
    put_jpeg("shared/train/b/2.jpg", 16, 16, 4);
    put_jpeg("shared/val/a/3.jpg", 16, 16, 5);
    put_jpeg("shared/val/a/4.jpg", 16, 16, 4);
    put_jpeg("shared/val/b/5.jpg", 16, 16, 1);
    char *from = strdup(at("shared")), *to = strdup(at("shared.out"));
    struct sl_prepare_options options = prepare_options(from, to);
    options.report = remember;
    reported[0] = '\0';
    assert_ok(sl_prepare(&options, &set));
    sl_dataset_close(set);
    assert_non_null(strstr(reported, "warning: 2 of 3 validation images are training images too"));
    assert_non_null(strstr(reported, "shared/val/a/4.jpg and "));
    assert_non_null(strstr(reported, "shared/train/b/2.jpg;"));
    free(from);
    free(to);
    assert_ok(prepare("unshared", &set));
    assert_string_equal(reported, "");
    sl_dataset_close(set);
}

static uint64_t told[2], calls;

static void follow(void *self, const char *what, uint64_t done, uint64_t total)
{
    uint64_t *at = &told[!strcmp(what, "written")];
    (void)self;
    assert_true(done > *at && done <= total);
    assert_int_equal(total, 200);
    *at = done;
    calls++;
}

static void progress_reaches_the_end(void **state)
{
    (void)state;
    struct sl_dataset *set;
    put_tree("many", 2, 100);
    char *from = strdup(at("many")), *to = strdup(at("many.out"));
    struct sl_prepare_options options = prepare_options(from, to);
    options.progress = follow;
    assert_ok(sl_prepare(&options, &set));
    sl_dataset_close(set);
    assert_int_equal(told[0], 200);
    assert_int_equal(told[1], 200);
    assert_true(calls > 200);
    free(from);
    free(to);
}

#define CASE(function) cmocka_unit_test(function)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_held_lock_is_another_preparation),
        CASE(file_systems_without_locks_are_fine),
        CASE(a_marker_that_went_is_made_again),
        CASE(a_marker_must_be_a_file),
        CASE(every_fault_leaves_all_or_nothing),
        CASE(a_fault_after_the_commit_keeps_the_set),
        CASE(a_new_folder_that_cannot_be_synced_is_an_error),
        CASE(a_marker_that_is_no_file_is_refused),
        CASE(too_many_shards_are_refused_before_the_work),
        CASE(clutter_is_no_content),
        CASE(missing_folders_are_created),
        CASE(dataset_json_names_its_folder),
        CASE(shared_images_are_told),
        CASE(progress_reaches_the_end),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
