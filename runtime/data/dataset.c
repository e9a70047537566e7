#include "runtime/data/dataset.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/data/dataset_format.h"
#include "runtime/base/file_io.h"

enum { MAX_SPLITS = 16 };
static const uint64_t max_samples = UINT32_MAX;

void sl_dataset_close(struct sl_dataset *dataset)
{
    if (!dataset)
        return;
    for (size_t i = 0; dataset->classes && i < dataset->class_count; i++) {
        free(dataset->classes[i].id);
        free(dataset->classes[i].words);
    }
    for (size_t i = 0; dataset->splits && i < dataset->split_count; i++) {
        struct sl_split *split = &dataset->splits[i];
        for (size_t j = 0; split->shards && j < split->shard_count; j++)
            free(split->shards[j].name);
        free(split->shards);
        free(split->class_samples);
        free(split->name);
    }
    free(dataset->classes);
    free(dataset->splits);
    free(dataset->folder);
    free(dataset->name);
    free(dataset);
}

const struct sl_split *sl_dataset_split(const struct sl_dataset *dataset, const char *name)
{
    for (size_t i = 0; i < dataset->split_count; i++)
        if (!strcmp(dataset->splits[i].name, name))
            return &dataset->splits[i];
    return NULL;
}

/* ---- reading ---- */

static int check_seal(const uint8_t *bytes, size_t length)
{
    static const char head[] = SL_DATASET_SEAL_HEAD, tail[] = SL_DATASET_SEAL_TAIL;
    enum { HEAD_LENGTH = sizeof head - 1, TAIL_LENGTH = sizeof tail - 1 };
    const size_t seal_length = HEAD_LENGTH + SL_HASH_DIGITS + TAIL_LENGTH;
    char hex[SL_HASH_DIGITS + 1];
    if (length < seal_length)
        return sl_fail(SL_BAD_DATA, "%zu bytes, too few; it was cut off", length);
    const size_t sealed = length - seal_length;
    const uint8_t *seal = bytes + sealed;
    sl_hash_text(sl_hash64(bytes, sealed), hex);
    if (memcmp(seal, head, HEAD_LENGTH) || memcmp(seal + HEAD_LENGTH + SL_HASH_DIGITS, tail, TAIL_LENGTH))
        return sl_fail(SL_BAD_DATA, "does not end with its own hash; it was cut off or changed");
    if (memcmp(seal + HEAD_LENGTH, hex, SL_HASH_DIGITS))
        return sl_fail(SL_BAD_DATA, "its hash differs (should be %s); it was damaged or changed by hand", hex);
    return SL_OK;
}

/* A shard's name is one plain file name: it must not lead out of the folder. */
static bool is_plain_name(const char *name)
{
    return name[0] && name[0] != '.' && !strchr(name, '/') && strlen(name) < 256;
}

/* A copy of a text member. */
static int take_text(json_t *value, const char *what, char **text)
{
    if (!json_is_string(value))
        return sl_fail(SL_BAD_DATA, "%s is missing or not a text", what);
    *text = strdup(json_string_value(value));
    return *text ? SL_OK : sl_fail(SL_SYSTEM, "out of memory for a text");
}

static int take_count(json_t *value, const char *what, uint64_t most, uint64_t *count)
{
    const json_int_t n = json_integer_value(value);
    if (!json_is_integer(value) || n < 0 || (uint64_t)n > most)
        return sl_fail(SL_BAD_DATA, "%s is missing or not a whole number of 0 to %" PRIu64, what, most);
    *count = (uint64_t)n;
    return SL_OK;
}

static int take_classes(json_t *list, struct sl_dataset *dataset)
{
    int rc = SL_OK;
    const size_t count = json_array_size(list);
    if (count < 1 || count > SL_DATASET_MAX_CLASSES)
        SL_FAIL(SL_BAD_DATA, "classes holds %zu entries; it must be 1 to %d", count, SL_DATASET_MAX_CLASSES);
    if (!(dataset->classes = calloc(count, sizeof *dataset->classes)))
        SL_FAIL(SL_SYSTEM, "out of memory for %zu classes", count);
    dataset->class_count = count;
    for (size_t i = 0; i < count; i++) {
        json_t *entry = json_array_get(list, i);
        SL_TRY(take_text(json_object_get(entry, "id"), "classes[].id", &dataset->classes[i].id));
        SL_TRY(take_text(json_object_get(entry, "words"), "classes[].words", &dataset->classes[i].words));
    }
out:
    return rc;
}

static int take_shards(json_t *list, struct sl_split *split)
{
    int rc = SL_OK;
    uint64_t sum = 0;
    const size_t count = json_array_size(list);
    if (!(split->shards = calloc(count + 1, sizeof *split->shards)))
        SL_FAIL(SL_SYSTEM, "out of memory for %zu shards", count);
    split->shard_count = count;
    for (size_t i = 0; i < count; i++) {
        json_t *entry = json_array_get(list, i);
        struct sl_shard *shard = &split->shards[i];
        SL_TRY(take_text(json_object_get(entry, "name"), "shards[].name", &shard->name));
        SL_TRY(take_count(json_object_get(entry, "bytes"), "shards[].bytes", INT64_MAX, &shard->bytes));
        SL_TRY(take_count(json_object_get(entry, "samples"), "shards[].samples", max_samples, &shard->samples));
        const char *hex = json_string_value(json_object_get(entry, "xxh3"));
        if (!is_plain_name(shard->name) || !hex || !sl_hash_parse(hex, &shard->hash))
            SL_FAIL(SL_BAD_DATA, "shards[%zu] has an unusable name or xxh3", i);
        sum += shard->samples;
    }
    if (sum != split->samples)
        SL_FAIL(SL_BAD_DATA, "split %s: its shards hold %" PRIu64 " samples, not %" PRIu64, split->name, sum,
                split->samples);
out:
    return rc;
}

static int take_class_samples(json_t *list, size_t class_count, struct sl_split *split)
{
    int rc = SL_OK;
    uint64_t sum = 0;
    if (json_array_size(list) != class_count)
        SL_FAIL(SL_BAD_DATA, "split %s: class_samples does not have one count for each class", split->name);
    if (!(split->class_samples = calloc(class_count, sizeof *split->class_samples)))
        SL_FAIL(SL_SYSTEM, "out of memory for %zu counts", class_count);
    for (size_t i = 0; i < class_count; i++) {
        SL_TRY(take_count(json_array_get(list, i), "class_samples[]", max_samples, &split->class_samples[i]));
        sum += split->class_samples[i];
    }
    if (sum != split->samples)
        SL_FAIL(SL_BAD_DATA, "split %s: its classes hold %" PRIu64 " samples, not %" PRIu64, split->name, sum,
                split->samples);
out:
    return rc;
}

static int take_splits(json_t *splits, struct sl_dataset *dataset)
{
    int rc = SL_OK;
    const char *name;
    json_t *entry;
    const size_t count = json_object_size(splits);
    if (count < 1 || count > MAX_SPLITS)
        SL_FAIL(SL_BAD_DATA, "splits holds %zu entries; it must be 1 to %d", count, MAX_SPLITS);
    if (!(dataset->splits = calloc(count, sizeof *dataset->splits)))
        SL_FAIL(SL_SYSTEM, "out of memory for %zu splits", count);
    json_object_foreach(splits, name, entry)
    {
        struct sl_split *split = &dataset->splits[dataset->split_count++];
        if (!(split->name = strdup(name)))
            SL_FAIL(SL_SYSTEM, "out of memory for a text");
        SL_TRY(take_count(json_object_get(entry, "samples"), "samples", max_samples, &split->samples));
        SL_TRY(take_shards(json_object_get(entry, "shards"), split));
        SL_TRY(take_class_samples(json_object_get(entry, "class_samples"), dataset->class_count, split));
    }
out:
    return rc;
}

static int take_channels(json_t *list, const char *what, double least, double values[3])
{
    if (json_array_size(list) != 3)
        return sl_fail(SL_BAD_DATA, "%s is not a list of three numbers", what);
    for (size_t c = 0; c < 3; c++) {
        json_t *number = json_array_get(list, c);
        values[c] = json_number_value(number);
        if (!json_is_number(number) || !(values[c] >= least && values[c] <= 1))
            return sl_fail(SL_BAD_DATA, "%s[%zu] is not a number of %g to 1", what, c, least);
    }
    return SL_OK;
}

/* Both members may be missing: images are as stored. */
static int take_orientation(json_t *root, struct sl_dataset *dataset)
{
    json_t *value = json_object_get(root, "orientation"), *turned = json_object_get(root, "turned");
    const char *orientation = json_string_value(value);
    if (value && (!orientation || (strcmp(orientation, "apply") && strcmp(orientation, "ignore"))))
        return sl_fail(SL_BAD_DATA, "orientation is neither \"apply\" nor \"ignore\"");
    dataset->pixels.apply_orientation = orientation && !strcmp(orientation, "apply");
    return turned ? take_count(turned, "turned", max_samples, &dataset->turned) : SL_OK;
}

static int take_all(json_t *root, struct sl_dataset *dataset)
{
    int rc = SL_OK;
    uint64_t version = 0, size = 0;
    const char *format = json_string_value(json_object_get(root, "format"));
    if (!format || strcmp(format, "starling-dataset"))
        SL_FAIL(SL_BAD_DATA, "its format is not \"starling-dataset\"");
    SL_TRY(take_count(json_object_get(root, "version"), "version", INT32_MAX, &version));
    if (version != SL_DATASET_VERSION)
        SL_FAIL(SL_BAD_DATA, "format version %" PRIu64 ", but this program reads %d; prepare the set again", version,
                SL_DATASET_VERSION);
    SL_TRY(take_text(json_object_get(root, "name"), "name", &dataset->name));
    SL_TRY(take_count(json_object_get(root, "image_size"), "image_size", SL_DATASET_MAX_IMAGE_SIZE, &size));
    if (size < 1)
        SL_FAIL(SL_BAD_DATA, "image_size is 0");
    dataset->pixels.size = (int32_t)size;
    SL_TRY(take_count(json_object_get(root, "skipped"), "skipped", max_samples, &dataset->skipped));
    SL_TRY(take_orientation(root, dataset));
    SL_TRY(take_channels(json_object_get(root, "mean"), "mean", 0, dataset->pixels.mean));
    SL_TRY(take_channels(json_object_get(root, "deviation"), "deviation", 0, dataset->pixels.deviation));
    SL_TRY(take_classes(json_object_get(root, "classes"), dataset));
    SL_TRY(take_splits(json_object_get(root, "splits"), dataset));
out:
    return rc;
}

/* The data set's folder, to be freed: `path`, or what holds it where it is the file dataset.json. */
static char *folder_of(const char *path)
{
    static const char name[] = "dataset.json";
    struct stat status;
    const size_t n = strlen(path), m = strlen(name);
    const bool named = n >= m && !strcmp(path + n - m, name) && (n == m || path[n - m - 1] == '/');
    if (!named || stat(path, &status) != 0 || !S_ISREG(status.st_mode))
        return strdup(path);
    return n == m ? strdup(".") : n == m + 1 ? strdup("/") : strndup(path, n - m - 1);
}

int sl_dataset_open(const char *folder, struct sl_dataset **dataset)
{
    int rc = SL_OK;
    size_t length = 0;
    uint8_t *bytes = NULL;
    json_t *root = NULL;
    json_error_t error;
    struct sl_dataset *self = calloc(1, sizeof *self);
    char *path = NULL;
    *dataset = NULL;
    if (!self || !(self->folder = folder_of(folder)) || !(path = sl_io_path(self->folder, "dataset.json")))
        SL_FAIL(SL_SYSTEM, "out of memory for the data set %s", folder);
    rc = sl_io_read(path, SL_DATASET_MAX_BYTES, &bytes, &length);
    if (rc == SL_MISSING)
        SL_FAIL(rc, "%s: holds no prepared data set (no dataset.json); make one with starling-prepare", folder);
    SL_TRY(rc);
    SL_TRY(check_seal(bytes, length));
    if (!(root = json_loadb((const char *)bytes, length, JSON_REJECT_DUPLICATES, &error)))
        SL_FAIL(SL_BAD_DATA, "line %d, column %d: %s", error.line, error.column, error.text);
    SL_TRY(take_all(root, self));
    self->hash = sl_hash64(bytes, length);
    *dataset = self;
    self = NULL;
out:
    if (rc == SL_BAD_DATA && path)
        sl_fail_prefix(rc, "%s", path);
    json_decref(root);
    free(bytes);
    free(path);
    sl_dataset_close(self);
    return rc;
}
