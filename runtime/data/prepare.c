#include "runtime/data/prepare.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "runtime/data/draw.h"
#include "runtime/data/file.h"
#include "runtime/data/jpeg.h"
#include "runtime/data/scan.h"
#include "runtime/data/shard.h"
#include "runtime/data/verify.h"
#include "runtime/hash.h"

/* ---- the output folder ---- */

static const char marker_name[] = "unfinished";

struct output_folder {
    const char *path;
    char *marker;
    int lock; /* the marker, open and locked */
};

static bool begins(const char *name, const char *with)
{
    return !strncmp(name, with, strlen(with));
}

static bool ends(const char *name, const char *with)
{
    const size_t n = strlen(name), m = strlen(with);
    return n >= m && !strcmp(name + n - m, with);
}

/* Something a killed preparation left behind: shards, and a dataset.json.NUMBER.tmp. */
static bool is_leftover(const char *name)
{
    return (begins(name, "dataset.json.") && ends(name, ".tmp")) ||
           ((begins(name, "train-") || begins(name, "val-")) && strstr(name, ".tar"));
}

/* With `remove`, leftovers go; anything else is in the way. */
static int clear_folder(const char *folder, bool remove_leftovers)
{
    int rc = SL_OK;
    const struct dirent *entry;
    DIR *stream = opendir(folder);
    if (!stream)
        SL_FAIL(SL_CANNOT_CREATE, "%s: cannot open the folder: %s", folder, strerror(errno));
    if (faccessat(dirfd(stream), "dataset.json", F_OK, 0) == 0)
        SL_FAIL(SL_CANNOT_CREATE, "%s already holds a prepared data set; remove it or choose another folder", folder);
    while ((entry = readdir(stream))) {
        const char *name = entry->d_name;
        if (!strcmp(name, ".") || !strcmp(name, "..") || !strcmp(name, marker_name))
            continue;
        if (!remove_leftovers || !is_leftover(name))
            SL_FAIL(SL_CANNOT_CREATE, "%s is not empty (%s); remove it or choose another folder", folder, name);
        if (unlinkat(dirfd(stream), name, 0) != 0)
            SL_FAIL(SL_CANNOT_CREATE, "%s/%s: cannot remove what a killed preparation left: %s", folder, name,
                    strerror(errno));
    }
out:
    if (stream)
        closedir(stream);
    return rc;
}

static void folder_close(struct output_folder *folder)
{
    if (folder->lock >= 0) {
        unlink(folder->marker);
        close(folder->lock);
    }
    free(folder->marker);
}

static int folder_open(const char *path, struct output_folder *folder)
{
    int rc = SL_OK;
    *folder = (struct output_folder){path, sl_path_join(path, marker_name), -1};
    if (!folder->marker)
        SL_FAIL(SL_SYSTEM, "no memory for a path");
    SL_TRY(sl_folder_create(path));
    const bool killed = access(folder->marker, F_OK) == 0;
    if (!killed)
        SL_TRY(clear_folder(path, false));
    const int fd = open(folder->marker, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd < 0)
        SL_TRY(sl_io_fail("create it", folder->marker, errno));
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        close(fd);
        SL_FAIL(SL_CANNOT_CREATE, "%s: another preparation is writing this folder", path);
    }
    folder->lock = fd;
    if (killed)
        SL_TRY(clear_folder(path, true));
out:
    return rc;
}

/* ---- unreadable images ---- */

static int count_per_class(const struct sl_image_list *list, size_t class_count, uint64_t **counts)
{
    *counts = calloc(class_count + 1, sizeof **counts);
    if (!*counts)
        return sl_fail(SL_SYSTEM, "no memory for the counts of the classes");
    for (size_t i = 0; i < list->count; i++)
        (*counts)[list->at[i].label]++;
    return SL_OK;
}

/* Takes the unreadable files out of the list (and out of verdicts, which stay parallel). */
static void drop_unreadable(struct sl_image_list *list, struct sl_verdict *verdicts)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (verdicts[i].status != SL_OK) {
            free(list->at[i].path);
            free(list->at[i].key);
            free(verdicts[i].reason);
            continue;
        }
        list->at[kept] = list->at[i];
        verdicts[kept++] = verdicts[i];
    }
    list->count = kept;
}

static int verify(const struct sl_prepare_options *options, struct sl_image_list *list, struct sl_verdict **verdicts,
                  struct sl_channel_sums *sums, struct sl_dataset *dataset)
{
    int rc = SL_OK;
    const size_t count = list->count;
    struct sl_verdict *all = *verdicts = calloc(count + 1, sizeof *all);
    if (!all)
        SL_FAIL(SL_SYSTEM, "no memory for %zu images", count);
    const struct sl_verify_options how = {options->image_size, options->apply_orientation, options->threads,
                                          !options->skip_bad_images};
    SL_TRY(sl_verify(list, &how, all, sums));
    for (size_t i = 0; i < count; i++) {
        if (all[i].status == SL_OK) {
            dataset->turned += all[i].turned;
            continue;
        }
        if (!options->skip_bad_images)
            SL_FAIL(SL_BAD_DATA, "%s; remove it, or leave such images out with --on-bad-image skip", all[i].reason);
        if (options->report)
            options->report(options->self, all[i].reason);
        dataset->skipped++;
    }
    drop_unreadable(list, all);
out:
    for (size_t i = 0; rc != SL_OK && all && i < count; i++) {
        free(all[i].reason);
        all[i].reason = NULL;
    }
    return rc;
}

/* ---- shards ---- */

static int add_image(struct sl_shard_writer *writer, const struct sl_image_file *file, uint64_t hash)
{
    int rc = SL_OK;
    uint8_t *bytes = NULL;
    size_t length = 0;
    SL_TRY(sl_file_read(file->path, SL_JPEG_MAX_BYTES, &bytes, &length));
    if (sl_hash64(bytes, length) != hash)
        SL_FAIL(SL_BAD_DATA, "%s: changed while the set was being prepared; run it again", file->path);
    SL_TRY(sl_shard_writer_add(writer, file->key, bytes, length, file->label));
out:
    free(bytes);
    return rc;
}

struct split_job {
    const struct sl_prepare_options *options;
    const struct sl_image_list *list;
    const struct sl_verdict *verdicts;
    const uint32_t *order;
};

static int write_shard(const struct split_job *job, struct sl_shard *shard, size_t first, size_t count)
{
    int rc = SL_OK;
    struct sl_shard_writer *writer = NULL;
    char *path = sl_path_join(job->options->output, shard->name);
    if (!path)
        SL_FAIL(SL_SYSTEM, "no memory for a path");
    SL_TRY(sl_shard_writer_open(path, job->options->zstd, &writer));
    for (size_t i = first; i < first + count; i++)
        SL_TRY(add_image(writer, &job->list->at[job->order[i]], job->verdicts[job->order[i]].hash));
    SL_TRY(sl_shard_writer_finish(writer, shard));
out:
    sl_shard_writer_close(writer);
    free(path);
    return rc;
}

static int write_shards(const struct split_job *job, struct sl_split *split)
{
    int rc = SL_OK;
    const size_t n = job->list->count, each = (size_t)job->options->images_per_file, shards = (n + each - 1) / each;
    if (!(split->shards = calloc(shards + 1, sizeof *split->shards)))
        SL_FAIL(SL_SYSTEM, "no memory for %zu shards", shards);
    for (size_t i = 0; i < shards; i++) {
        struct sl_shard *shard = &split->shards[i];
        if (asprintf(&shard->name, "%s-%06zu.tar%s", split->name, i, job->options->zstd ? ".zst" : "") < 0) {
            shard->name = NULL;
            SL_FAIL(SL_SYSTEM, "no memory for a name");
        }
        split->shard_count++;
        SL_TRY(write_shard(job, shard, i * each, n - i * each < each ? n - i * each : each));
    }
out:
    return rc;
}

static int write_split(const struct sl_prepare_options *options, const struct sl_image_list *list,
                       const struct sl_verdict *verdicts, const char *name, struct sl_dataset *dataset)
{
    int rc = SL_OK;
    struct sl_split *split = &dataset->splits[dataset->split_count];
    uint32_t *order = calloc(list->count + 1, sizeof *order);
    if (!order || !(split->name = strdup(name)))
        SL_FAIL(SL_SYSTEM, "no memory for %zu images", list->count);
    dataset->split_count++;
    split->samples = list->count;
    SL_TRY(count_per_class(list, dataset->class_count, &split->class_samples));
    sl_draw_permutation(options->seed, SL_RANDOM_SHARDS, *name == 't' ? 0 : 1, order, (uint32_t)list->count);
    const struct split_job job = {options, list, verdicts, order};
    SL_TRY(write_shards(&job, split));
out:
    free(order);
    return rc;
}

/* ---- the whole ---- */

static char *name_of(const char *input)
{
    char *whole = realpath(input, NULL);
    const char *slash = whole ? strrchr(whole, '/') : NULL;
    char *name = slash && slash[1] ? strdup(slash + 1) : strdup("images");
    free(whole);
    return name;
}

static void set_moments(const struct sl_channel_sums *sums, struct sl_dataset *dataset)
{
    const long double n = (long double)sums->pixels * 255;
    for (size_t c = 0; c < 3; c++) {
        const long double mean = (long double)sums->sum[c] / n;
        const long double variance = (long double)sums->square[c] / (n * 255) - mean * mean;
        dataset->mean[c] = (double)mean;
        dataset->deviation[c] = (double)sqrtl(variance > 0 ? variance : 0);
    }
}

/* The data set takes the classes over. */
static int dataset_begin(const struct sl_prepare_options *options, struct sl_scan *scan, struct sl_dataset **dataset)
{
    struct sl_dataset *self = *dataset = calloc(1, sizeof *self);
    if (!self)
        return sl_fail(SL_SYSTEM, "no memory for the data set");
    self->folder = strdup(options->output);
    self->name = name_of(options->input);
    self->splits = calloc(2, sizeof *self->splits);
    self->image_size = options->image_size;
    self->apply_orientation = options->apply_orientation;
    self->classes = scan->classes;
    self->class_count = scan->class_count;
    scan->classes = NULL;
    scan->class_count = 0;
    return self->folder && self->name && self->splits ? SL_OK : sl_fail(SL_SYSTEM, "no memory for the data set");
}

static int check_left(const struct sl_image_list *train, const struct sl_dataset *dataset)
{
    int rc = SL_OK;
    uint64_t *counts = NULL;
    SL_TRY(count_per_class(train, dataset->class_count, &counts));
    for (size_t i = 0; i < dataset->class_count; i++)
        if (counts[i] == 0)
            SL_FAIL(SL_BAD_DATA, "class %s has no readable training image", dataset->classes[i].id);
out:
    free(counts);
    return rc;
}

static int check_options(const struct sl_prepare_options *o)
{
    if (o->images_per_file < 1 || o->images_per_file > 1 << 20)
        return sl_fail(SL_BAD_CONFIG, "%d images a file; 1 to %d can be", o->images_per_file, 1 << 20);
    if (o->image_size < 1 || o->image_size > SL_DATASET_MAX_IMAGE_SIZE)
        return sl_fail(SL_BAD_CONFIG, "an image size of %d; 1 to %d can be", o->image_size, SL_DATASET_MAX_IMAGE_SIZE);
    if (o->val_fraction >= 1)
        return sl_fail(SL_BAD_CONFIG, "a validation fraction of %g; it must be below 1", o->val_fraction);
    return SL_OK;
}

/* After a failure: shards without a dataset.json are no data set, and go. */
static void remove_shards(const struct sl_dataset *dataset)
{
    for (size_t i = 0; dataset && i < dataset->split_count; i++)
        for (size_t j = 0; j < dataset->splits[i].shard_count; j++) {
            char *path = sl_path_join(dataset->folder, dataset->splits[i].shards[j].name);
            if (path)
                unlink(path);
            free(path);
        }
}

int sl_prepare(const struct sl_prepare_options *options, struct sl_dataset **dataset)
{
    int rc = SL_OK;
    struct output_folder folder = {.lock = -1};
    struct sl_scan scan = {0};
    struct sl_verdict *train = NULL, *val = NULL;
    struct sl_channel_sums sums = {0}, unused = {0};
    struct sl_dataset *self = NULL;
    *dataset = NULL;
    SL_TRY(check_options(options));
    SL_TRY(sl_scan_open(options->input, options->val_fraction, options->seed, &scan));
    SL_TRY(folder_open(options->output, &folder));
    SL_TRY(dataset_begin(options, &scan, &self));
    SL_TRY(verify(options, &scan.train, &train, &sums, self));
    SL_TRY(verify(options, &scan.val, &val, &unused, self));
    SL_TRY(check_left(&scan.train, self));
    set_moments(&sums, self);
    SL_TRY(write_split(options, &scan.train, train, "train", self));
    if (scan.val.count > 0)
        SL_TRY(write_split(options, &scan.val, val, "val", self));
    SL_TRY(sl_dataset_write(self));
    *dataset = self;
    self = NULL;
out:
    remove_shards(self);
    folder_close(&folder);
    sl_dataset_close(self);
    free(train);
    free(val);
    sl_scan_close(&scan);
    return rc;
}
