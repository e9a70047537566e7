#include "runtime/store/safetensors_seal.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "runtime/base/hash.h"

#define UNSEALED "none"

static bool is_hash(const char *text)
{
    return text && strlen(text) == SL_HASH_DIGITS && strspn(text, "0123456789abcdef") == SL_HASH_DIGITS;
}

/* A file without a seal was edited on purpose, unless something in it was one: a seal whose name is damaged must not
 * pass for none. */
static int check_keys(json_t *metadata, bool sealed)
{
    static const char ours[] = "starling.";
    const char *key;
    json_t *value;
    json_object_foreach(metadata, key, value)
    {
        if (!strcmp(key, SL_SAFETENSORS_SEAL))
            continue;
        if (!strncmp(key, ours, sizeof ours - 1))
            return sl_fail(SL_BAD_DATA, "unknown key \"%.100s\" in its metadata: damaged, or of a newer version", key);
        if (!sealed && is_hash(json_string_value(value)))
            return sl_fail(
                SL_BAD_DATA,
                "the key \"%.100s\" of its metadata holds a hash, as only " SL_SAFETENSORS_SEAL " does: damaged", key);
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
    const size_t at = sl_seal_find(bytes, head, SL_SAFETENSORS_SEAL_MARKER);
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
