#include "runtime/prepare/prepare.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/file_io.h"
#include "runtime/base/utf8.h"
#include "runtime/prepare/prepare_folder.h"
#include "runtime/prepare/prepare_images.h"
#include "runtime/prepare/prepare_report.h"
#include "runtime/prepare/prepare_shards.h"
#include "runtime/prepare/scan.h"

static char *name_of(const char *input)
{
    char *whole = realpath(input, NULL);
    const char *slash = whole ? strrchr(whole, '/') : NULL;
    char *name = sl_utf8_name(slash && slash[1] ? slash + 1 : "images");
    free(whole);
    return name;
}

static void set_moments(const struct sl_channel_sums *sums, struct sl_dataset *dataset)
{
    const long double n = (long double)sums->pixels * 255;
    for (size_t c = 0; c < 3; c++) {
        const long double mean = (long double)sums->sum[c] / n;
        const long double variance = (long double)sums->square[c] / (n * 255) - mean * mean;
        dataset->pixels.mean[c] = (double)mean;
        dataset->pixels.deviation[c] = (double)sqrtl(variance > 0 ? variance : 0);
    }
}

/* The data set takes the classes over. */
static int dataset_begin(const struct sl_prepare_options *options, struct sl_scan *scan, struct sl_dataset **dataset)
{
    struct sl_dataset *self = *dataset = calloc(1, sizeof *self);
    if (!self)
        return sl_fail(SL_SYSTEM, "out of memory for the data set");
    self->folder = strdup(options->output);
    self->name = name_of(options->input);
    self->splits = calloc(2, sizeof *self->splits);
    self->pixels.size = options->image_size;
    self->pixels.apply_orientation = options->apply_orientation;
    self->skipped = scan->skipped;
    self->classes = scan->classes;
    self->class_count = scan->class_count;
    scan->classes = NULL;
    scan->class_count = 0;
    return self->folder && self->name && self->splits ? SL_OK : sl_fail(SL_SYSTEM, "out of memory for the data set");
}

static int check_left(const struct sl_image_list *train, const struct sl_dataset *dataset)
{
    int rc = SL_OK;
    uint64_t *counts = NULL;
    SL_TRY(sl_image_list_class_counts(train, dataset->class_count, &counts));
    for (size_t i = 0; i < dataset->class_count; i++)
        if (counts[i] == 0)
            SL_FAIL(SL_BAD_DATA, "class %s has no readable training image", dataset->classes[i].id);
out:
    free(counts);
    return rc;
}

static int check_options(const struct sl_prepare_options *options)
{
    if (options->images_per_file < 1 || options->images_per_file > 1 << 20)
        return sl_fail(SL_BAD_CONFIG, "%d images a file; it must be 1 to %d", options->images_per_file, 1 << 20);
    if (options->image_size < 1 || options->image_size > SL_DATASET_MAX_IMAGE_SIZE)
        return sl_fail(SL_BAD_CONFIG, "an image size of %d; it must be 1 to %d", options->image_size,
                       SL_DATASET_MAX_IMAGE_SIZE);
    if (options->val_fraction >= 1)
        return sl_fail(SL_BAD_CONFIG, "a validation fraction of %g; it must be below 1", options->val_fraction);
    return SL_OK;
}

static uint64_t count_shards(const struct sl_image_list *list, int32_t each)
{
    return (list->count + (uint64_t)each - 1) / (uint64_t)each;
}

/* Before the work: dataset.json lists every shard, and must stay small enough to be read. */
static int check_shards(const struct sl_prepare_options *o, const struct sl_scan *scan)
{
    enum { MOST = 30000 };
    const uint64_t shards =
        count_shards(&scan->train, o->images_per_file) + count_shards(&scan->val, o->images_per_file);
    if (shards > MOST)
        return sl_fail(SL_BAD_CONFIG,
                       "%s: %" PRIu64 " shards of %d images; at most %d can be: take more "
                       "--images-per-file",
                       o->input, shards, o->images_per_file, MOST);
    return SL_OK;
}

/* After a failure: shards without a dataset.json are no data set, and go. */
static void remove_shards(const struct sl_dataset *dataset)
{
    for (size_t i = 0; dataset && i < dataset->split_count; i++)
        for (size_t j = 0; j < dataset->splits[i].shard_count; j++) {
            char *path = sl_io_path(dataset->folder, dataset->splits[i].shards[j].name);
            if (path)
                unlink(path);
            free(path);
        }
}

/* With dataset.json under its name the data set stands, whatever fails after that. When in doubt it does. */
static bool is_committed(const struct sl_dataset *dataset)
{
    char *path = sl_io_path(dataset->folder, "dataset.json");
    const bool committed = !path || access(path, F_OK) == 0 || errno != ENOENT;
    free(path);
    return committed;
}

static int commit(const struct sl_dataset *dataset)
{
    char detail[512];
    const int rc = sl_dataset_write(dataset);
    if (rc == SL_OK)
        return rc;
    snprintf(detail, sizeof detail, "%s", sl_last_error());
    if (!is_committed(dataset)) {
        remove_shards(dataset);
        return sl_fail(rc, "%s", detail);
    }
    return sl_fail(rc, "%s; the data set in %s is whole, but may not outlive a power failure", detail, dataset->folder);
}

static int write_splits(const struct sl_prepare_options *options, const struct sl_scan *scan,
                        const struct sl_verdict *train, const struct sl_verdict *val, struct sl_dataset *dataset)
{
    int rc = SL_OK;
    struct sl_prepare_pass pass = {options, "written", 0, scan->train.count + scan->val.count};
    SL_TRY(sl_prepare_write_split(&pass, &scan->train, train, "train", dataset));
    if (scan->val.count > 0)
        SL_TRY(sl_prepare_write_split(&pass, &scan->val, val, "val", dataset));
out:
    if (rc != SL_OK)
        remove_shards(dataset);
    return rc;
}

int sl_prepare(const struct sl_prepare_options *options, struct sl_dataset **dataset)
{
    int rc = SL_OK;
    struct sl_prepare_folder folder = {.lock = -1};
    const struct sl_scan_options how = {.folder = options->input,
                                        .val_fraction = options->val_fraction,
                                        .seed = options->seed,
                                        .one_class = options->one_class,
                                        .skip_missing = options->skip_bad_images,
                                        .report = options->report,
                                        .self = options->self};
    struct sl_scan scan = {0};
    struct sl_verdict *train = NULL, *val = NULL;
    struct sl_channel_sums sums = {0}, unused = {0};
    struct sl_dataset *self = NULL;
    *dataset = NULL;
    SL_TRY(check_options(options));
    SL_TRY(sl_scan_open(&how, &scan));
    SL_TRY(check_shards(options, &scan));
    SL_TRY(sl_prepare_folder_open(options, &folder));
    SL_TRY(dataset_begin(options, &scan, &self));
    struct sl_prepare_pass pass = {options, "verified", 0, scan.train.count + scan.val.count};
    SL_TRY(sl_prepare_verify(&pass, &scan.train, &train, &sums, self));
    SL_TRY(sl_prepare_verify(&pass, &scan.val, &val, &unused, self));
    SL_TRY(check_left(&scan.train, self));
    SL_TRY(sl_prepare_compare(options, &scan, train, val));
    set_moments(&sums, self);
    SL_TRY(write_splits(options, &scan, train, val, self));
    SL_TRY(commit(self));
    *dataset = self;
    self = NULL;
out:
    sl_prepare_folder_close(&folder);
    sl_dataset_close(self);
    free(train);
    free(val);
    sl_scan_close(&scan);
    return rc;
}
