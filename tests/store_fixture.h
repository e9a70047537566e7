/* A run of checkpoints in a temporary folder, entered and left around each test. */
#ifndef SL_TESTS_STORE_FIXTURE_H
#define SL_TESTS_STORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "runtime/base/file_io.h"
#include "runtime/store/store.h"

enum { PATH_LENGTH = 256 };

static char base[64], run[80];

static inline void erase(const char *path)
{
    DIR *folder = opendir(path);
    const struct dirent *entry;
    while (folder && (entry = readdir(folder))) {
        char inner[PATH_LENGTH + 300];
        struct stat info;
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        if (snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name) >= (int)sizeof inner)
            continue;
        if (lstat(inner, &info) == 0 && S_ISDIR(info.st_mode))
            erase(inner);
        else
            unlink(inner);
    }
    if (folder)
        closedir(folder);
    rmdir(path);
}

static inline int enter(void **state)
{
    (void)state;
    /* Thousands of syncs: memory is as good a disk for this as any. */
    strcpy(base, access("/dev/shm", W_OK) ? "/tmp/sl-store-XXXXXX" : "/dev/shm/sl-store-XXXXXX");
    if (!mkdtemp(base))
        return -1;
    snprintf(run, sizeof run, "%s/run", base);
    return 0;
}

static inline int leave(void **state)
{
    (void)state;
    sl_io_fault_hook = NULL;
    erase(base);
    return 0;
}

static inline const char *in_run(const char *name)
{
    static char path[PATH_LENGTH];
    snprintf(path, sizeof path, "%s/%s", run, name);
    return path;
}

/* A checkpoint whose every value is its step. */
static inline int save(struct sl_store *store, uint64_t step)
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

static inline void save_steps(int keep, uint64_t first, uint64_t last)
{
    struct sl_store *store;
    assert_int_equal(sl_store_open(run, keep, &store), SL_OK);
    for (uint64_t step = first; step <= last; step += 10)
        assert_int_equal(save(store, step), SL_OK);
    sl_store_close(store);
}

static char reports[4096];

static inline void note(void *self, const char *line)
{
    (void)self;
    const size_t n = strlen(reports);
    snprintf(reports + n, sizeof reports - n, "%s\n", line);
}

/* The step that loads, its content checked; 0 if none does. */
static inline uint64_t loads(void)
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

static inline int count_entries(const char *suffix)
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

static inline bool has_checkpoint(void)
{
    bool has;
    assert_int_equal(sl_store_has_checkpoint(run, &has), SL_OK);
    return has;
}

static inline bool exists(const char *name)
{
    struct stat info;
    return lstat(in_run(name), &info) == 0;
}

static inline void put(const char *path, const void *bytes, size_t n)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    fclose(file);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, enter, leave)
#endif
