/* The checkpoint store: killed, starved and damaged at every step and byte, it never loses the last good state. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "runtime/file_io.h"
#include "runtime/hash.h"
#include "runtime/store.h"

enum { PATH_LENGTH = 256, KILLED = 99 };

static char base[64], run[80];

static void erase(const char *path)
{
    DIR *folder = opendir(path);
    const struct dirent *entry;
    while (folder && (entry = readdir(folder))) {
        char inner[PATH_LENGTH + 300];
        struct stat info;
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
        if (lstat(inner, &info) == 0 && S_ISDIR(info.st_mode))
            erase(inner);
        else
            unlink(inner);
    }
    if (folder)
        closedir(folder);
    rmdir(path);
}

static int enter(void **state)
{
    (void)state;
    /* Thousands of syncs: memory is as good a disk for this as any. */
    strcpy(base, access("/dev/shm", W_OK) ? "/tmp/sl-store-XXXXXX" : "/dev/shm/sl-store-XXXXXX");
    if (!mkdtemp(base))
        return -1;
    snprintf(run, sizeof run, "%s/run", base);
    return 0;
}

static int leave(void **state)
{
    (void)state;
    sl_store_fault = NULL;
    erase(base);
    return 0;
}

static const char *in_run(const char *name)
{
    static char path[PATH_LENGTH];
    snprintf(path, sizeof path, "%s/%s", run, name);
    return path;
}

/* A checkpoint whose every value is its step. */
static int save(struct sl_store *store, uint64_t step)
{
    const float weights[3] = {(float)step, (float)step, (float)step};
    const uint64_t counter = step;
    const struct sl_named_tensor model = {"w", SL_F32, 1, {3}, weights};
    const struct sl_named_tensor updater = {"step", SL_U64, 0, {0}, &counter};
    const struct sl_text_pair network = {"network", "{}"};
    const struct sl_store_file files[] = {{"model.safetensors", &model, 1, &network, 1},
                                          {"updater.safetensors", &updater, 1, NULL, 0}};
    return sl_store_save(store, step, files, 2);
}

static void save_steps(int keep, uint64_t first, uint64_t last)
{
    struct sl_store *store;
    assert_int_equal(sl_store_open(run, keep, &store), SL_OK);
    for (uint64_t step = first; step <= last; step += 10)
        assert_int_equal(save(store, step), SL_OK);
    sl_store_close(store);
}

static char reports[4096];

static void note(void *self, const char *line)
{
    (void)self;
    const size_t n = strlen(reports);
    snprintf(reports + n, sizeof reports - n, "%s\n", line);
}

/* The step that loads, its content checked; 0 if none does. */
static uint64_t loads(void)
{
    struct sl_checkpoint checkpoint;
    reports[0] = '\0';
    if (sl_store_load(run, note, NULL, &checkpoint) != SL_OK)
        return 0;
    const uint64_t step = checkpoint.step;
    const struct sl_safetensors *model = sl_checkpoint_file(&checkpoint, "model.safetensors");
    const struct sl_safetensors *updater = sl_checkpoint_file(&checkpoint, "updater.safetensors");
    assert_non_null(model);
    assert_non_null(updater);
    assert_null(sl_checkpoint_file(&checkpoint, "manifest.json"));
    assert_true(((const float *)sl_safetensors_find(model, "w")->data)[2] == (float)step);
    assert_true(*(const uint64_t *)sl_safetensors_find(updater, "step")->data == step);
    assert_string_equal(sl_safetensors_metadata(model, "network"), "{}");
    sl_checkpoint_close(&checkpoint);
    return step;
}

static int count_entries(const char *suffix)
{
    int count = 0;
    DIR *folder = opendir(run);
    const struct dirent *entry;
    assert_non_null(folder);
    while ((entry = readdir(folder))) {
        const size_t n = strlen(entry->d_name), m = strlen(suffix);
        count += n >= m && !strcmp(entry->d_name + n - m, suffix);
    }
    closedir(folder);
    return count;
}

static bool exists(const char *name)
{
    struct stat info;
    return lstat(in_run(name), &info) == 0;
}

static void saves_and_loads(void **state)
{
    (void)state;
    struct sl_store *store;
    struct sl_safetensors *model;
    char *text;
    size_t n;
    assert_false(sl_store_has_checkpoint(run));
    assert_int_equal(loads(), 0);
    snprintf(run, sizeof run, "%s/a/b/run", base);
    assert_int_equal(sl_store_open(run, 2, &store), SL_OK);
    assert_false(sl_store_has_checkpoint(run));
    struct sl_checkpoint none;
    assert_int_equal(sl_store_load(run, NULL, NULL, &none), SL_MISSING);
    for (uint64_t step = 10; step <= 40; step += 10)
        assert_int_equal(save(store, step), SL_OK);
    assert_int_equal(loads(), 40);
    assert_string_equal(reports, "");
    assert_true(sl_store_has_checkpoint(run) && exists("ckpt-30") && !exists("ckpt-20"));
    assert_int_equal(sl_io_read_small(in_run("last-good"), 100, &text, &n), SL_OK);
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
    assert_false(sl_store_has_checkpoint(run));
    sl_store_close(store);
}

/* ---- Faults ---- */

static int countdown, fault_error;
static bool fault_stays;

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
    (void)step;
    (void)path;
    countdown--;
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
                sl_store_fault = die;
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
        int rc = 1;
        for (int n = 1; rc != SL_OK; n++) {
            struct sl_store *store;
            prepare(variant & 1, 1 + (variant & 1));
            assert_int_equal(sl_store_open(run, 1, &store), SL_OK);
            fault_stays = variant & 2;
            fault_error = errors[variant >> 2];
            countdown = n;
            sl_store_fault = starve;
            rc = save(store, 20);
            sl_store_fault = NULL;
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

/* Power may fail as well: everything is on the disk before the name that promises it. */
static void syncs_before_it_promises(void **state)
{
    (void)state;
    struct sl_store *store;
    assert_int_equal(sl_store_open(run, 1, &store), SL_OK);
    trace[0] = '\0';
    sl_store_fault = record;
    assert_int_equal(save(store, 7), SL_OK);
    sl_store_fault = NULL;
    sl_store_close(store);
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
    assert_int_equal(sl_store_open(run, 1, &store), SL_OK);
    trace[0] = '\0';
    sl_store_fault = record;
    assert_int_equal(save(store, 8), SL_OK);
    sl_store_fault = NULL;
    sl_store_close(store);
    assert_non_null(strstr(trace, "rename /ckpt-7.retired.tmp\n"));
    assert_null(strstr(trace, "remove /ckpt-7/"));
}

/* ---- Damage ---- */

static const char *const parts[] = {"ckpt-20/model.safetensors", "ckpt-20/updater.safetensors",
                                    "ckpt-20/manifest.json"};

static void put(const char *path, const void *bytes, size_t n)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    fclose(file);
}

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
        assert_int_equal(sl_io_read_small(path, 4096, &bytes, &n), SL_OK);
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
        {START "{\"name\": \"x.safetensors\", \"bytes\": -1, \"xxh3\": \"0123456789abcdef\"}]", "not one"},
        {START "{\"name\": \"x.safetensors\", \"bytes\": 1, \"xxh3\": \"0123456789abcdeF\"}]", "not one"},
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
    put(in_run("last-good.0123.tmp"), "x", 1);
    put(in_run("notes.tmp"), "x", 1);
    assert_int_equal(symlink(outside, in_run("ckpt-30.tmp")), 0);
    save_steps(1, 10, 10);
    assert_false(exists("ckpt-20.tmp") || exists("last-good.0123.tmp") || exists("ckpt-30.tmp"));
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
    assert_int_equal(sl_io_read_small(outside, 100, &text, &n), SL_OK);
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

/* ---- Lock ---- */

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
    sl_store_fault = no_locks;
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

/* ---- Places that cannot be written ---- */

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

static void writes_small_files_atomically(void **state)
{
    (void)state;
    char path[PATH_LENGTH], *text;
    size_t n;
    snprintf(path, sizeof path, "%s/config.json", base);
    assert_int_equal(sl_write_atomically(path, "old", 3), SL_OK);
    fault_stays = false;
    fault_error = ENOSPC;
    for (int i = 1; i <= 4; i++) {
        countdown = i;
        sl_store_fault = starve;
        assert_int_equal(sl_write_atomically(path, "longer", 6), SL_CANNOT_CREATE);
        sl_store_fault = NULL;
        assert_int_equal(sl_io_read_small(path, 100, &text, &n), SL_OK);
        assert_string_equal(text, "old");
        free(text);
    }
    assert_int_equal(sl_write_atomically(path, "new", 3), SL_OK);
    assert_int_equal(sl_io_read_small(path, 100, &text, &n), SL_OK);
    assert_string_equal(text, "new");
    free(text);
    assert_int_equal(sl_io_read_small(path, 2, &text, &n), SL_BAD_DATA);
    assert_int_equal(sl_write_atomically("/dev/full", "x", 1), SL_CANNOT_CREATE);
    assert_non_null(strstr(sl_last_error(), "/dev/full"));
    assert_int_equal(sl_write_atomically("/dev/null", "x", 1), SL_OK);
    assert_int_equal(sl_write_atomically(base, "x", 1), SL_CANNOT_CREATE);
    struct stat info;
    assert_true(stat("/dev/null", &info) == 0 && S_ISCHR(info.st_mode));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, enter, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(saves_and_loads),
        CASE(saving_again_changes_nothing),
        CASE(refuses_requests_that_make_no_sense),
        CASE(survives_a_kill_at_every_step),
        CASE(survives_a_failure_at_every_step),
        CASE(syncs_before_it_promises),
        CASE(notices_every_damaged_byte),
        CASE(refuses_what_is_not_its_own),
        CASE(refuses_sealed_lies),
        CASE(retention_keeps_the_last_whole_one),
        CASE(removes_leftovers_only),
        CASE(last_good_is_not_followed),
        CASE(refuses_numbers_that_are_not_finite),
        CASE(two_stores_do_not_share_a_run),
        CASE(a_killed_owner_is_forgotten),
        CASE(a_lock_file_alone_is_judged),
        CASE(names_places_it_cannot_write),
        CASE(names_a_folder_without_permission),
        CASE(a_full_disk_keeps_the_old),
        CASE(writes_small_files_atomically),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
