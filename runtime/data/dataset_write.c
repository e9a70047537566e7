/* Writing dataset.json. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/replace.h"
#include "runtime/data/dataset.h"
#include "runtime/data/dataset_format.h"
#include "runtime/base/file_io.h"
#include "runtime/base/json.h"
#include "runtime/base/utf8.h"

static json_t *pack_channels(const double values[3])
{
    return json_pack("[f, f, f]", values[0], values[1], values[2]);
}

static int pack_classes(const struct sl_dataset *dataset, json_t **list)
{
    for (size_t i = 0; i < dataset->class_count; i++) {
        const struct sl_class *class = &dataset->classes[i];
        if (!sl_utf8_valid(class->id) || !sl_utf8_valid(class->words))
            return sl_fail(SL_BAD_DATA, "the name or the words of class %zu (%s) are not UTF-8", i, class->id);
        sl_json_append(list, json_pack("{s:s, s:s}", "id", class->id, "words", class->words));
    }
    return SL_OK;
}

static json_t *pack_split(const struct sl_split *split, size_t class_count)
{
    json_t *shards = json_array(), *classes = json_array();
    for (size_t i = 0; i < split->shard_count; i++) {
        const struct sl_shard *shard = &split->shards[i];
        char hex[SL_HASH_DIGITS + 1];
        sl_hash_text(shard->hash, hex);
        sl_json_append(&shards,
                       json_pack("{s:s, s:I, s:I, s:s}", "name", shard->name, "bytes", (json_int_t)shard->bytes,
                                 "samples", (json_int_t)shard->samples, "xxh3", hex));
    }
    for (size_t i = 0; i < class_count; i++)
        sl_json_append(&classes, json_integer((json_int_t)split->class_samples[i]));
    return json_pack("{s:I, s:o, s:o}", "samples", (json_int_t)split->samples, "class_samples", classes, "shards",
                     shards);
}

/* The sealed text; the caller frees it. */
static int seal_text(const json_t *root, char **text)
{
    int rc = SL_OK;
    char hex[SL_HASH_DIGITS + 1];
    char *plain = sl_json_dump(root, JSON_INDENT(1) | JSON_REAL_PRECISION(17)), *head = NULL;
    const size_t length = plain ? strlen(plain) : 0;
    *text = NULL;
    if (length < 2)
        SL_FAIL(SL_SYSTEM, "out of memory for dataset.json");
    /* Without the closing "\n}". */
    if (asprintf(&head, "%.*s,\n ", (int)(length - 2), plain) < 0) {
        head = NULL;
        SL_FAIL(SL_SYSTEM, "out of memory for dataset.json");
    }
    sl_hash_text(sl_hash64(head, strlen(head)), hex);
    if (asprintf(text, "%s" SL_DATASET_SEAL_HEAD "%s" SL_DATASET_SEAL_TAIL, head, hex) < 0) {
        *text = NULL;
        SL_FAIL(SL_SYSTEM, "out of memory for dataset.json");
    }
out:
    free(head);
    free(plain);
    return rc;
}

int sl_dataset_write(const struct sl_dataset *dataset)
{
    int rc = SL_OK;
    char *text = NULL, *path = sl_io_path(dataset->folder, "dataset.json");
    json_t *classes = json_array(), *splits = json_object(), *root = NULL;
    if (!path)
        SL_FAIL(SL_SYSTEM, "out of memory for dataset.json");
    SL_TRY(pack_classes(dataset, &classes));
    for (size_t i = 0; i < dataset->split_count; i++)
        sl_json_set(&splits, dataset->splits[i].name, pack_split(&dataset->splits[i], dataset->class_count));
    if (!sl_utf8_valid(dataset->name))
        SL_FAIL(SL_BAD_DATA, "the name of the data set (%s) is not UTF-8", dataset->name);
    root = json_pack("{s:s, s:i, s:s, s:i, s:s, s:I, s:I, s:o, s:o, s:O, s:O}", "format", "starling-dataset", "version",
                     SL_DATASET_VERSION, "name", dataset->name, "image_size", (int)dataset->pixels.size, "orientation",
                     dataset->pixels.apply_orientation ? "apply" : "ignore", "turned", (json_int_t)dataset->turned,
                     "skipped", (json_int_t)dataset->skipped, "mean", pack_channels(dataset->pixels.mean), "deviation",
                     pack_channels(dataset->pixels.deviation), "classes", classes, "splits", splits);
    SL_TRY(seal_text(root, &text));
    if (strlen(text) > SL_DATASET_MAX_BYTES)
        SL_FAIL(SL_BAD_DATA,
                "%s would have %zu bytes, and at most %d are read; take more --images-per-file, or shorter "
                "words",
                path, strlen(text), SL_DATASET_MAX_BYTES);
    SL_TRY(sl_replace(path, text, strlen(text)));
out:
    json_decref(classes);
    json_decref(splits);
    json_decref(root);
    free(text);
    free(path);
    return rc;
}
