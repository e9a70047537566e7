#include "runtime/prepare/prepare_shards.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/random.h"
#include "runtime/base/hash.h"
#include "runtime/base/file_io.h"
#include "runtime/data/jpeg.h"
#include "runtime/data/shard.h"

static int add_image(struct sl_shard_writer *writer, const struct sl_image_file *file, uint64_t hash)
{
    int rc = SL_OK;
    uint8_t *bytes = NULL;
    size_t length = 0;
    SL_TRY(sl_io_read(file->path, SL_JPEG_MAX_BYTES, &bytes, &length));
    if (sl_hash64(bytes, length) != hash)
        SL_FAIL(SL_BAD_DATA, "%s: changed while the set was being prepared; run it again", file->path);
    SL_TRY(sl_shard_writer_add(writer, file->key, bytes, length, file->label));
out:
    free(bytes);
    return rc;
}

struct split_job {
    struct sl_prepare_pass *pass;
    const struct sl_prepare_options *options;
    const struct sl_image_list *list;
    const struct sl_verdict *verdicts;
    const uint32_t *order;
};

static int write_shard(const struct split_job *job, struct sl_shard *shard, size_t first, size_t count)
{
    int rc = SL_OK;
    struct sl_shard_writer *writer = NULL;
    char *path = sl_io_path(job->options->output, shard->name);
    if (!path)
        SL_FAIL(SL_SYSTEM, "out of memory for a path");
    SL_TRY(sl_shard_writer_open(path, job->options->zstd, &writer));
    for (size_t i = first; i < first + count; i++) {
        SL_TRY(add_image(writer, &job->list->at[job->order[i]], job->verdicts[job->order[i]].hash));
        sl_prepare_advance(job->pass, 1);
    }
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
        SL_FAIL(SL_SYSTEM, "out of memory for %zu shards", shards);
    for (size_t i = 0; i < shards; i++) {
        struct sl_shard *shard = &split->shards[i];
        if (asprintf(&shard->name, "%s-%06zu.tar%s", split->name, i, job->options->zstd ? ".zst" : "") < 0) {
            shard->name = NULL;
            SL_FAIL(SL_SYSTEM, "out of memory for a name");
        }
        split->shard_count++;
        SL_TRY(write_shard(job, shard, i * each, n - i * each < each ? n - i * each : each));
    }
out:
    return rc;
}

int sl_prepare_write_split(struct sl_prepare_pass *pass, const struct sl_image_list *list,
                           const struct sl_verdict *verdicts, const char *name, struct sl_dataset *dataset)
{
    int rc = SL_OK;
    const struct sl_prepare_options *options = pass->options;
    struct sl_split *split = &dataset->splits[dataset->split_count];
    uint32_t *order = calloc(list->count + 1, sizeof *order);
    if (!order || !(split->name = strdup(name)))
        SL_FAIL(SL_SYSTEM, "out of memory for %zu images", list->count);
    dataset->split_count++;
    split->samples = list->count;
    SL_TRY(sl_image_list_class_counts(list, dataset->class_count, &split->class_samples));
    sl_draw_permutation(options->seed, SL_RANDOM_SHARDS, *name == 't' ? 0 : 1, order, (uint32_t)list->count);
    const struct split_job job = {pass, options, list, verdicts, order};
    SL_TRY(write_shards(&job, split));
out:
    free(order);
    return rc;
}
