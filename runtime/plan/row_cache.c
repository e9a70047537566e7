#include "runtime/plan/row_cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/file_io.h"
#include "runtime/base/folder.h"
#include "runtime/base/hash.h"
#include "runtime/base/json.h"
#include "runtime/base/replace.h"
#include "runtime/device/machine.h"

/* Of the names of all rows, in their order, and of this version: measurements of other rows say nothing. */
static uint64_t hash_rows(const struct sl_device *device)
{
    uint64_t hash = sl_hash64(SL_VERSION, strlen(SL_VERSION));
    for (size_t i = 0; i < device->row_count; i++)
        hash = hash * 31 + sl_hash64(device->rows[i].symbol, strlen(device->rows[i].symbol));
    return hash;
}

static int describe(const struct sl_device *device, char **of)
{
    struct sl_machine machine;
    char rows[SL_HASH_DIGITS + 1];
    sl_machine_read("", &machine);
    sl_hash_text(hash_rows(device), rows);
    const char *model = device->host_memory && machine.cpu_model[0] ? machine.cpu_model : device->name;
    if (asprintf(of, "%s; %s; %d threads; rows %s", model, sl_isa_text(device->isa), device->threads, rows) < 0) {
        *of = NULL;
        return sl_fail(SL_SYSTEM, "out of memory for the cache of kernels");
    }
    return SL_OK;
}

/* An absolute path in the environment, or NULL: any other would be another folder for each working directory. */
static const char *folder_of(const char *variable)
{
    const char *folder = getenv(variable);
    return folder && folder[0] == '/' ? folder : NULL;
}

static int no_folder(void)
{
    return sl_fail(SL_MISSING, "SL_CACHE_DIR, XDG_CACHE_HOME and HOME name no folder");
}

static int find_folder(char **folder)
{
    static const struct {
        const char *variable, *below;
    } places[] = {{"SL_CACHE_DIR", ""}, {"XDG_CACHE_HOME", "/starling"}, {"HOME", "/.cache/starling"}};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        const char *at = folder_of(places[i].variable);
        if (!at)
            continue;
        if (asprintf(folder, "%s%s", at, places[i].below) >= 0)
            return SL_OK;
        *folder = NULL;
        return sl_fail(SL_SYSTEM, "out of memory for the cache of kernels");
    }
    return no_folder();
}

int sl_row_cache_open(const struct sl_device *device, struct sl_row_cache *cache)
{
    int rc = SL_OK;
    char digits[SL_HASH_DIGITS + 1], name[48];
    *cache = (struct sl_row_cache){0};
    SL_TRY(describe(device, &cache->of));
    SL_TRY(find_folder(&cache->folder));
    sl_hash_text(sl_hash64(cache->of, strlen(cache->of)), digits);
    snprintf(name, sizeof name, "kernels-%s.json", digits);
    SL_TRY(sl_io_join(cache->folder, name, &cache->path));
out:
    return rc;
}

void sl_row_cache_close(struct sl_row_cache *cache)
{
    free(cache->of);
    free(cache->folder);
    free(cache->path);
    *cache = (struct sl_row_cache){0};
}

int sl_row_cache_read(const struct sl_row_cache *cache, struct sl_selection *rows)
{
    int rc = SL_OK;
    char *text = NULL;
    size_t length;
    *rows = (struct sl_selection){0};
    rc = sl_io_read_own(cache->path, SL_JSON_MAX_BYTES, &text, &length);
    if (rc == SL_MISSING) {
        rc = SL_OK;
        goto out;
    }
    SL_TRY(rc);
    if ((rc = sl_selection_from_json(text, length, cache->of, SL_SOURCE_CACHE, rows)) != SL_OK)
        sl_fail_prefix(rc, "%s", cache->path);
out:
    free(text);
    return rc;
}

int sl_row_cache_write(const struct sl_row_cache *cache, const struct sl_selection *rows)
{
    int rc = SL_OK;
    char *text = NULL;
    if (!cache->path)
        return no_folder();
    SL_TRY(sl_folder_create_all(cache->folder));
    SL_TRY(sl_selection_to_json(rows, cache->of, &text));
    if (strlen(text) > SL_JSON_MAX_BYTES)
        SL_FAIL(SL_CANNOT_CREATE, "%s: the cache of kernels is full; remove it", cache->path);
    SL_TRY(sl_replace(cache->path, text, strlen(text)));
out:
    free(text);
    return rc;
}
