#include "runtime/store/manifest.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/file_io.h"
#include "runtime/base/hash.h"
#include "runtime/base/json.h"

enum { SCHEMA_VERSION = 1, MAX_BYTES = 1 << 20 };
#define SUFFIX ".safetensors"
#define SEAL_MARKER "\"seal\": \""

bool sl_manifest_name_valid(const char *name)
{
    const size_t n = strlen(name), suffix = strlen(SUFFIX);
    if (n <= suffix || n >= SL_STORE_NAME || name[0] == '.' || strcmp(name + n - suffix, SUFFIX))
        return false;
    return strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == n;
}

/* NULL: out of memory. */
static json_t *build(const struct sl_manifest *manifest)
{
    json_t *files = json_array();
    for (size_t i = 0; i < manifest->file_count; i++) {
        char hash[SL_HASH_DIGITS + 1];
        sl_hash_text(manifest->files[i].hash, hash);
        sl_json_append(&files, json_pack("{s:s, s:I, s:s}", "name", manifest->files[i].name, "bytes",
                                         (json_int_t)manifest->files[i].bytes, "xxh3", hash));
    }
    return json_pack("{s:i, s:I, s:o, s:s}", "schema_version", SCHEMA_VERSION, "step", (json_int_t)manifest->step,
                     "files", files, "seal", "0000000000000000");
}

static int write_text(const char *path, const char *text, size_t n)
{
    int fd = -1, rc = sl_io_create(path, &fd);
    if (rc != SL_OK)
        return rc;
    rc = sl_io_write(fd, path, text, n);
    if (rc == SL_OK)
        return sl_io_sync_close(&fd, path);
    close(fd);
    return rc;
}

int sl_manifest_write(const char *folder, const struct sl_manifest *manifest)
{
    int rc = SL_OK;
    char *path = NULL, *text = NULL;
    uint64_t seal;
    json_t *json = build(manifest);
    SL_TRY(sl_io_join(folder, "manifest.json", &path));
    if (!(text = sl_json_dump(json, JSON_INDENT(1))))
        SL_FAIL(SL_SYSTEM, "%s: out of memory", path);
    const size_t n = strlen(text), at = sl_seal_find(text, n, SEAL_MARKER);
    if (n > MAX_BYTES || at == SIZE_MAX)
        SL_FAIL(SL_INTERNAL, "%s: a manifest of %zu bytes cannot be sealed", path, n);
    SL_TRY(sl_seal_hash(text, n, at, NULL, 0, &seal));
    sl_seal_write(text, at, seal);
    SL_TRY(write_text(path, text, n));
out:
    free(text);
    free(path);
    json_decref(json);
    return rc;
}

/* The seal comes first: a text that is not the one written is not interpreted. */
static int check_seal(const char *text, size_t n)
{
    char right[SL_HASH_DIGITS + 1];
    uint64_t seal;
    const size_t at = sl_seal_find(text, n, SEAL_MARKER);
    if (at == SIZE_MAX)
        return sl_fail(SL_BAD_DATA, "it has no seal");
    const int rc = sl_seal_hash(text, n, at, NULL, 0, &seal);
    if (rc != SL_OK)
        return rc;
    sl_hash_text(seal, right);
    if (memcmp(right, text + at, SL_HASH_DIGITS))
        return sl_fail(SL_BAD_DATA, "damaged: its seal should be %s", right);
    return SL_OK;
}

static int read_file(const json_t *entry, struct sl_store_entry *file)
{
    const char *name = json_string_value(json_object_get(entry, "name"));
    const char *hash = json_string_value(json_object_get(entry, "xxh3"));
    const json_t *bytes = json_object_get(entry, "bytes");
    if (!name || !sl_manifest_name_valid(name))
        return sl_fail(SL_BAD_DATA, "a file's name is missing or not allowed");
    if (!hash || !sl_hash_parse(hash, &file->hash) || !json_is_integer(bytes) || json_integer_value(bytes) < 0)
        return sl_fail(SL_BAD_DATA, "the size or the hash of %s is missing or not valid", name);
    strcpy(file->name, name);
    file->bytes = (uint64_t)json_integer_value(bytes);
    return SL_OK;
}

static int read_json(const json_t *json, struct sl_manifest *manifest)
{
    int rc = SL_OK;
    const json_t *version = json_object_get(json, "schema_version"), *step = json_object_get(json, "step");
    const json_t *files = json_object_get(json, "files");
    const size_t count = json_array_size(files);
    if (!json_is_integer(version) || json_integer_value(version) != SCHEMA_VERSION)
        SL_FAIL(SL_BAD_DATA, "its schema_version is not %d: it needs another version of this program", SCHEMA_VERSION);
    if (!json_is_integer(step) || json_integer_value(step) < 0 || count == 0 || count > SL_STORE_MAX_FILES)
        SL_FAIL(SL_BAD_DATA, "\"step\" or \"files\" is missing or out of range");
    if (!(manifest->files = calloc(count, sizeof *manifest->files)))
        SL_FAIL(SL_SYSTEM, "out of memory for %zu files", count);
    manifest->step = (uint64_t)json_integer_value(step);
    for (size_t i = 0; i < count; i++) {
        SL_TRY(read_file(json_array_get(files, i), &manifest->files[i]));
        for (size_t j = 0; j < i; j++)
            if (!strcmp(manifest->files[i].name, manifest->files[j].name))
                SL_FAIL(SL_BAD_DATA, "%s is listed twice", manifest->files[i].name);
        manifest->file_count = i + 1;
    }
out:
    return rc;
}

int sl_manifest_read(const char *folder, struct sl_manifest *manifest)
{
    int rc = SL_OK;
    char *path = NULL, *text = NULL;
    size_t n = 0;
    json_t *json = NULL;
    json_error_t error;
    memset(manifest, 0, sizeof *manifest);
    SL_TRY(sl_io_join(folder, "manifest.json", &path));
    SL_TRY(sl_io_read_own(path, MAX_BYTES, &text, &n));
    rc = check_seal(text, n);
    if (rc == SL_OK && !(json = json_loadb(text, n, JSON_REJECT_DUPLICATES, &error)))
        rc = sl_fail(SL_BAD_DATA, "not JSON: %s, line %d", error.text, error.line);
    if (rc == SL_OK)
        rc = read_json(json, manifest);
    if (rc != SL_OK)
        sl_fail_prefix(rc, "%s", path);
out:
    if (rc != SL_OK)
        sl_manifest_close(manifest);
    json_decref(json);
    free(text);
    free(path);
    return rc;
}

void sl_manifest_close(struct sl_manifest *manifest)
{
    free(manifest->files);
    memset(manifest, 0, sizeof *manifest);
}
