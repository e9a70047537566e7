#include "runtime/store/safetensors.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/file_io.h"
#include "runtime/base/hash.h"
#include "runtime/store/safetensors_format.h"

/* Takes the value over; NULL stands for a text that is not UTF-8. */
static int set_text(json_t *object, const char *key, json_t *value, const char *what)
{
    if (json_object_get(object, key)) {
        json_decref(value);
        return sl_fail(SL_BAD_DATA, "%s \"%s\" is given twice", what, key);
    }
    if (!value || json_object_set_new(object, key, value))
        return sl_fail(SL_BAD_DATA, "%s \"%s\" is not UTF-8 text, or memory ran out", what, key);
    return SL_OK;
}

static int add_metadata(json_t *header, const struct sl_text_pair *metadata, size_t count)
{
    int rc = SL_OK;
    if (count == 0)
        return rc;
    json_t *object = json_object();
    SL_TRY(set_text(header, METADATA, object, "header entry"));
    for (size_t i = 0; i < count; i++) {
        const bool seal = !strcmp(metadata[i].key, SL_SAFETENSORS_SEAL);
        SL_TRY(
            set_text(object, metadata[i].key, json_string(seal ? "0000000000000000" : metadata[i].value), "metadata"));
    }
out:
    return rc;
}

static int add_tensor(json_t *header, const struct sl_named_tensor *tensor, uint64_t *offset)
{
    int rc = SL_OK;
    uint64_t bytes, end;
    json_t *shape = NULL;
    if (!strcmp(tensor->name, METADATA))
        SL_FAIL(SL_BAD_DATA, "a tensor may not be called " METADATA);
    SL_TRY(sl_named_tensor_bytes(tensor, &bytes));
    if (__builtin_add_overflow(*offset, bytes, &end) || end > INT64_MAX)
        SL_FAIL(SL_BAD_DATA, "tensor \"%s\": the file would exceed 63 bits", tensor->name);
    shape = json_array();
    for (int32_t i = 0; i < tensor->rank; i++)
        if (json_array_append_new(shape, json_integer(tensor->shape[i])))
            SL_FAIL(SL_SYSTEM, "tensor \"%s\": out of memory", tensor->name);
    SL_TRY(set_text(header, tensor->name,
                    json_pack("{s:s, s:O, s:[I, I]}", "dtype", sl_dtype_name(tensor->dtype), "shape", shape,
                              "data_offsets", (json_int_t)*offset, (json_int_t)end),
                    "tensor"));
    *offset = end;
out:
    json_decref(shape);
    return rc;
}

/* The order on disk: larger elements first, otherwise as given. */
static const struct sl_named_tensor **ordered(const struct sl_named_tensor *tensors, size_t count)
{
    const struct sl_named_tensor **order = malloc((count + 1) * sizeof *order);
    size_t n = 0;
    for (size_t bytes = 8; order && bytes > 0; bytes /= 2)
        for (size_t i = 0; i < count; i++)
            if (sl_dtype_bytes(tensors[i].dtype) == bytes)
                order[n++] = &tensors[i];
    return order;
}

/* Length and header as they stand in the file, padded with spaces to a multiple of eight. */
static int dump_header(const json_t *header, char **text, size_t *length)
{
    const size_t n = json_dumpb(header, NULL, 0, JSON_COMPACT);
    const size_t padded = (n + LENGTH_BYTES - 1) / LENGTH_BYTES * LENGTH_BYTES;
    if (n == 0)
        return sl_fail(SL_SYSTEM, "out of memory for a safetensors header");
    if (padded > MAX_HEADER)
        return sl_fail(SL_BAD_DATA, "a safetensors header of %zu bytes", padded);
    if (!(*text = malloc(LENGTH_BYTES + padded)))
        return sl_fail(SL_SYSTEM, "out of memory for a safetensors header");
    for (int i = 0; i < LENGTH_BYTES; i++)
        (*text)[i] = (char)(padded >> (8 * i));
    if (json_dumpb(header, *text + LENGTH_BYTES, n, JSON_COMPACT) != n)
        return sl_fail(SL_SYSTEM, "out of memory for a safetensors header");
    memset(*text + LENGTH_BYTES + n, ' ', padded - n);
    *length = LENGTH_BYTES + padded;
    return SL_OK;
}

/* The hash of header and tensors; the seal's digits count as '0' while they are. */
static int hash_all(const char *header, size_t length, const struct sl_named_tensor *const *order, size_t count,
                    uint64_t *digest)
{
    int rc = SL_OK;
    uint64_t bytes;
    struct sl_hash *hash = NULL;
    SL_TRY(sl_hash_open(&hash));
    sl_hash_update(hash, header, length);
    for (size_t i = 0; i < count; i++) {
        SL_TRY(sl_named_tensor_bytes(order[i], &bytes));
        sl_hash_update(hash, order[i]->data, bytes);
    }
    *digest = sl_hash_digest(hash);
out:
    sl_hash_close(hash);
    return rc;
}

static int write_file(const char *path, const char *header, size_t length, const struct sl_named_tensor *const *order,
                      size_t count)
{
    int rc = SL_OK, fd = -1;
    uint64_t bytes;
    SL_TRY(sl_io_create(path, &fd));
    rc = sl_io_write(fd, path, header, length);
    for (size_t i = 0; rc == SL_OK && i < count; i++) {
        rc = sl_named_tensor_bytes(order[i], &bytes);
        if (rc == SL_OK && bytes > 0)
            rc = sl_io_write(fd, path, order[i]->data, bytes);
    }
    if (rc == SL_OK)
        rc = sl_io_sync_close(&fd, path);
    else
        close(fd);
    if (rc != SL_OK)
        unlink(path);
out:
    return rc;
}

int sl_safetensors_write(const char *path, const struct sl_named_tensor *tensors, size_t tensor_count,
                         const struct sl_text_pair *metadata, size_t metadata_count, uint64_t *bytes, uint64_t *hash)
{
    int rc = SL_OK;
    char *text = NULL;
    size_t length = 0;
    uint64_t offset = 0, digest = 0;
    json_t *header = json_object();
    const struct sl_named_tensor **order = ordered(tensors, tensor_count);
    if (!header || !order)
        SL_FAIL(SL_SYSTEM, "%s: out of memory", path);
    if (tensor_count > SL_TENSOR_MAX_COUNT)
        SL_FAIL(SL_BAD_DATA, "%s: %zu tensors, more than %d", path, tensor_count, SL_TENSOR_MAX_COUNT);
    for (size_t i = 0; i < tensor_count; i++) {
        uint64_t unused;
        SL_TRY(sl_named_tensor_bytes(&tensors[i], &unused));
    }
    SL_TRY(add_metadata(header, metadata, metadata_count));
    for (size_t i = 0; i < tensor_count; i++)
        SL_TRY(add_tensor(header, order[i], &offset));
    SL_TRY(dump_header(header, &text, &length));

    const size_t seal = metadata_count ? sl_seal_find(text, length, SL_SAFETENSORS_SEAL_MARKER) : SIZE_MAX;
    if (seal != SIZE_MAX) {
        SL_TRY(hash_all(text, length, order, tensor_count, &digest));
        sl_seal_write(text, seal, digest);
    }
    if (hash)
        SL_TRY(hash_all(text, length, order, tensor_count, hash));
    SL_TRY(write_file(path, text, length, order, tensor_count));
    if (bytes)
        *bytes = length + offset;
out:
    free(text);
    free(order);
    json_decref(header);
    return rc;
}
