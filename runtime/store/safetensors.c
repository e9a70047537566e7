#include "runtime/store/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/file_io.h"
#include "runtime/store/foreign.h"
#include "runtime/base/hash.h"
#include "runtime/store/safetensors_format.h"

/* Bounds of a header that is read: depth (header, tensor, shape), and values, hence memory. */
enum { MAX_DEPTH = 3, MAX_VALUES = SL_TENSOR_MAX_COUNT * 16 };

struct sl_safetensors {
    const char *path; /* of the open call, for messages only while it lasts */
    unsigned char *map;
    size_t size, data_start, count;
    json_t *header; /* owns the names and texts */
    struct entry {
        struct sl_named_tensor tensor;
        uint64_t begin, end;
        void *copy; /* the data of an unaligned tensor */
    } * entries;    /* in file order */
    struct entry **by_name;
};

#define REFUSE(file, ...)                                       \
    do {                                                        \
        sl_fail(SL_BAD_DATA, __VA_ARGS__);                      \
        return sl_fail_prefix(SL_BAD_DATA, "%s", (file)->path); \
    } while (0)

static int map_file(struct sl_safetensors *file, int open_flags)
{
    int rc = SL_OK;
    struct stat info;
    int error = sl_io_fault("open", file->path);
    const int fd = error ? -1 : open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | open_flags);
    if (fd < 0 && !error)
        error = errno;
    if (error)
        SL_FAIL(sl_io_open_status(error), "%s: cannot open it: %s", file->path, strerror(error));
    if (fstat(fd, &info))
        SL_FAIL(SL_IO, "%s: cannot examine it: %s", file->path, strerror(errno));
    if (!S_ISREG(info.st_mode))
        SL_FAIL(SL_BAD_DATA, "%s: not a regular file", file->path);
    if (info.st_size < LENGTH_BYTES)
        SL_FAIL(SL_BAD_DATA, "%s: %lld bytes are too few for a safetensors file", file->path, (long long)info.st_size);
    file->size = (size_t)info.st_size;
    error = sl_io_fault("read", file->path);
    void *map = error ? MAP_FAILED : mmap(NULL, file->size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED && !error)
        error = errno;
    if (error)
        SL_FAIL(sl_io_open_status(error), "%s: cannot map %zu bytes: %s", file->path, file->size, strerror(error));
    file->map = map;
out:
    if (fd >= 0)
        close(fd);
    return rc;
}

/* Bounds depth and number of values before a parser that would allocate them all. */
static bool modest(const char *text, size_t n)
{
    int depth = 0, values = 0;
    bool quoted = false;
    for (size_t i = 0; i < n; i++) {
        const char c = text[i];
        if (c == '"')
            quoted = !quoted;
        else if (quoted)
            i += c == '\\';
        else if (c == '{' || c == '[')
            depth++;
        else if (c == '}' || c == ']')
            depth--;
        else
            values += c == ',';
        if (depth > MAX_DEPTH || values > MAX_VALUES)
            return false;
    }
    return true;
}

static int parse_header(struct sl_safetensors *file)
{
    uint64_t length = 0;
    for (int i = 0; i < LENGTH_BYTES; i++)
        length |= (uint64_t)file->map[i] << (8 * i);
    const bool plausible = length > 0 && length <= file->size - LENGTH_BYTES && file->map[LENGTH_BYTES] == '{';
    const char *other = plausible ? NULL : sl_foreign_model(file->map, file->size);
    if (other)
        REFUSE(file, "%s, not a safetensors file such as the model.safetensors of a run", other);
    if (length > MAX_HEADER)
        REFUSE(file, "no safetensors file: a header of %" PRIu64 " bytes exceeds the format's limit of %d", length,
               MAX_HEADER);
    if (length > file->size - LENGTH_BYTES)
        REFUSE(file,
               "no safetensors file, or cut short: the header of %" PRIu64
               " bytes reaches beyond the end of the file (%zu bytes)",
               length, file->size);
    const char *text = (const char *)file->map + LENGTH_BYTES;
    if (length == 0 || text[0] != '{')
        REFUSE(file, "the header does not begin with '{' at offset %d", LENGTH_BYTES);
    if (!modest(text, length))
        REFUSE(file, "the header is nested deeper than %d levels or has more than %d values", MAX_DEPTH, MAX_VALUES);
    json_error_t error;
    file->header = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
    if (!file->header)
        REFUSE(file, "the header is not JSON: %.200s, at offset %d", error.text, LENGTH_BYTES + error.position);
    file->data_start = LENGTH_BYTES + length;
    return SL_OK;
}

static int check_metadata(struct sl_safetensors *file)
{
    const json_t *metadata = json_object_get(file->header, METADATA);
    const char *key;
    const json_t *value;
    if (metadata && !json_is_object(metadata))
        REFUSE(file, METADATA " is not an object");
    json_object_foreach((json_t *)metadata, key, value) if (!json_is_string(value))
        REFUSE(file, METADATA ".%.100s is not a text", key);
    return SL_OK;
}

static bool printable(const char *name)
{
    for (const unsigned char *c = (const unsigned char *)name; *c; c++)
        if (*c < ' ' || *c == 0x7f)
            return false;
    return true;
}

static bool parse_count(const json_t *value, uint64_t *count)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return false;
    *count = (uint64_t)json_integer_value(value);
    return true;
}

static int parse_shape(const struct sl_safetensors *file, const json_t *shape, struct sl_named_tensor *tensor)
{
    const size_t rank = json_array_size(shape);
    if (!json_is_array(shape) || rank > SL_TENSOR_MAX_RANK)
        REFUSE(file, "tensor \"%.100s\": shape is not a list of at most %d sizes", tensor->name, SL_TENSOR_MAX_RANK);
    tensor->rank = (int32_t)rank;
    for (size_t i = 0; i < rank; i++) {
        uint64_t size;
        if (!parse_count(json_array_get(shape, i), &size))
            REFUSE(file, "tensor \"%.100s\": size %zu is not a whole number", tensor->name, i);
        tensor->shape[i] = (int64_t)size;
    }
    return SL_OK;
}

static int parse_dtype(const struct sl_safetensors *file, const json_t *dtype, struct sl_named_tensor *tensor)
{
    const char *name = json_string_value(dtype);
    for (int i = 0; name && sl_dtype_name((enum sl_dtype)i); i++)
        if (!strcmp(name, sl_dtype_name((enum sl_dtype)i))) {
            tensor->dtype = (enum sl_dtype)i;
            return SL_OK;
        }
    REFUSE(file, "tensor \"%.100s\": unknown type %.20s", tensor->name, name && printable(name) ? name : "");
}

static int parse_entry(const struct sl_safetensors *file, const char *name, const json_t *info, struct entry *entry)
{
    int rc = SL_OK;
    uint64_t bytes;
    entry->tensor.name = name;
    if (!printable(name))
        REFUSE(file, "a tensor's name has control characters");
    if (!json_is_object(info) || json_object_size(info) != 3)
        REFUSE(file, "tensor \"%.100s\": not exactly dtype, shape and data_offsets", name);
    SL_TRY(parse_dtype(file, json_object_get(info, "dtype"), &entry->tensor));
    SL_TRY(parse_shape(file, json_object_get(info, "shape"), &entry->tensor));
    const json_t *offsets = json_object_get(info, "data_offsets");
    if (json_array_size(offsets) != 2 || !parse_count(json_array_get(offsets, 0), &entry->begin) ||
        !parse_count(json_array_get(offsets, 1), &entry->end))
        REFUSE(file, "tensor \"%.100s\": data_offsets is not a pair of whole numbers", name);
    rc = sl_named_tensor_bytes(&entry->tensor, &bytes);
    if (rc != SL_OK)
        return sl_fail_prefix(rc, "%s", file->path);
    if (entry->end < entry->begin || entry->end - entry->begin != bytes)
        REFUSE(file, "tensor \"%.100s\": offsets [%" PRIu64 ", %" PRIu64 "] do not hold its %" PRIu64 " bytes", name,
               entry->begin, entry->end, bytes);
out:
    return rc;
}

static int by_offset(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(struct entry *const *)a)->tensor.name, (*(struct entry *const *)b)->tensor.name);
}

/* The tensors must tile the data exactly; only then may pointers be made. */
static int place(struct sl_safetensors *file)
{
    uint64_t at = 0;
    const uint64_t data = file->size - file->data_start;
    for (size_t i = 0; i < file->count; at = file->entries[i++].end)
        if (file->entries[i].begin != at || file->entries[i].end > data)
            REFUSE(file,
                   "tensor \"%.100s\": begins at %" PRIu64 " and ends at %" PRIu64 " of %" PRIu64
                   " data bytes, where %" PRIu64 " was expected",
                   file->entries[i].tensor.name, file->entries[i].begin, file->entries[i].end, data, at);
    if (at != data)
        REFUSE(file, "the tensors end at %" PRIu64 " of %" PRIu64 " data bytes", at, data);
    for (size_t i = 0; i < file->count; i++) {
        struct entry *entry = &file->entries[i];
        const unsigned char *bytes = file->map + file->data_start + entry->begin;
        entry->tensor.data = bytes;
        if (entry->end > entry->begin && (uintptr_t)bytes % sl_dtype_bytes(entry->tensor.dtype)) {
            if (!(entry->copy = malloc(entry->end - entry->begin)))
                return sl_fail(SL_SYSTEM, "%s: out of memory for tensor \"%.100s\"", file->path, entry->tensor.name);
            entry->tensor.data = memcpy(entry->copy, bytes, entry->end - entry->begin);
        }
    }
    return SL_OK;
}

static int parse_tensors(struct sl_safetensors *file)
{
    int rc = SL_OK;
    const char *name;
    const json_t *info;
    const size_t entries = json_object_size(file->header);
    if (entries > SL_TENSOR_MAX_COUNT + 1)
        REFUSE(file, "%zu tensors, more than %d", entries, SL_TENSOR_MAX_COUNT);
    file->entries = calloc(entries + 1, sizeof *file->entries);
    file->by_name = calloc(entries + 1, sizeof(struct entry *));
    if (!file->entries || !file->by_name)
        SL_FAIL(SL_SYSTEM, "%s: out of memory for %zu tensors", file->path, entries);
    json_object_foreach(file->header, name, info) if (strcmp(name, METADATA))
        SL_TRY(parse_entry(file, name, info, &file->entries[file->count++]));
    qsort(file->entries, file->count, sizeof *file->entries, by_offset);
    SL_TRY(place(file));
    for (size_t i = 0; i < file->count; i++)
        file->by_name[i] = &file->entries[i];
    qsort(file->by_name, file->count, sizeof(struct entry *), by_name);
out:
    return rc;
}

static int check_seal(const struct sl_safetensors *file)
{
    const int rc = sl_safetensors_check_seal(json_object_get(file->header, METADATA), (const char *)file->map,
                                             file->data_start, file->size);
    return rc == SL_OK ? rc : sl_fail_prefix(rc, "%s", file->path);
}

static int open_file(const char *path, int open_flags, struct sl_safetensors **out_file)
{
    int rc = SL_OK;
    struct sl_safetensors *file = calloc(1, sizeof *file);
    *out_file = NULL;
    if (!file)
        SL_FAIL(SL_SYSTEM, "%s: out of memory", path);
    file->path = path;
    SL_TRY(map_file(file, open_flags));
    SL_TRY(parse_header(file));
    SL_TRY(check_metadata(file));
    SL_TRY(parse_tensors(file));
    SL_TRY(check_seal(file));
    file->path = NULL;
    *out_file = file;
    file = NULL;
out:
    sl_safetensors_close(file);
    return rc;
}

int sl_safetensors_open(const char *path, struct sl_safetensors **file)
{
    return open_file(path, 0, file);
}

int sl_safetensors_open_nofollow(const char *path, struct sl_safetensors **file)
{
    return open_file(path, O_NOFOLLOW, file);
}

void sl_safetensors_close(struct sl_safetensors *file)
{
    if (!file)
        return;
    for (size_t i = 0; i < file->count; i++)
        free(file->entries[i].copy);
    free(file->entries);
    free(file->by_name);
    json_decref(file->header);
    if (file->map)
        munmap(file->map, file->size);
    free(file);
}

size_t sl_safetensors_count(const struct sl_safetensors *file)
{
    return file->count;
}

const struct sl_named_tensor *sl_safetensors_at(const struct sl_safetensors *file, size_t index)
{
    return index < file->count ? &file->entries[index].tensor : NULL;
}

const struct sl_named_tensor *sl_safetensors_find(const struct sl_safetensors *file, const char *name)
{
    const struct entry wanted = {.tensor.name = name}, *key = &wanted;
    struct entry **found = bsearch(&key, file->by_name, file->count, sizeof key, by_name);
    return found ? &(*found)->tensor : NULL;
}

const char *sl_safetensors_metadata(const struct sl_safetensors *file, const char *key)
{
    return json_string_value(json_object_get(json_object_get(file->header, METADATA), key));
}

uint64_t sl_safetensors_bytes(const struct sl_safetensors *file)
{
    return file->size;
}

uint64_t sl_safetensors_hash(const struct sl_safetensors *file)
{
    return sl_hash64(file->map, file->size);
}
