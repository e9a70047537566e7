#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "runtime/hash.h"
#include "runtime/safetensors_format.h"

#define UNSEALED "none"

/* A file of ours is sealed, and has no key that only looks like ours: a seal whose name is damaged must not pass for
 * none. */
static int check_keys(json_t *metadata, bool sealed)
{
    static const char ours[] = "starling";
    const size_t n = sizeof ours - 1;
    const char *key;
    json_t *value;
    json_object_foreach(metadata, key, value)
    {
        if (strncmp(key, ours, n) || (key[n] && key[n] != '.') || !strcmp(key, SL_SAFETENSORS_SEAL))
            continue;
        if (key[n])
            return sl_fail(SL_BAD_DATA, "unknown key \"%.100s\" in its metadata: damaged, or of a newer version", key);
        if (!sealed)
            return sl_fail(SL_BAD_DATA,
                           "it has \"%s\" in its metadata but not its hash (" SL_SAFETENSORS_SEAL
                           "): damaged; after editing a file, set that to \"" UNSEALED "\"",
                           key);
    }
    return SL_OK;
}

int sl_safetensors_check_seal(json_t *metadata, const char *bytes, size_t head, size_t size)
{
    int rc = SL_OK;
    const char *seal = json_string_value(json_object_get(metadata, SL_SAFETENSORS_SEAL));
    uint64_t said, is = 0;
    SL_TRY(check_keys(metadata, seal != NULL));
    if (!seal || !strcmp(seal, UNSEALED))
        goto out;
    const size_t at = sl_seal_find(bytes, head, SEAL_MARKER);
    if (at == SIZE_MAX || !sl_hash_parse(seal, &said))
        SL_FAIL(SL_BAD_DATA, "the hash in its metadata (" SL_SAFETENSORS_SEAL
                             ") is not one; after editing a file, set it to \"" UNSEALED "\"");
    SL_TRY(sl_seal_hash(bytes, head, at, bytes + head, size - head, &is));
    if (said != is)
        SL_FAIL(SL_BAD_DATA,
                "damaged: its hash is %016" PRIx64 ", its metadata (" SL_SAFETENSORS_SEAL ") says %016" PRIx64, is,
                said);
out:
    return rc;
}
