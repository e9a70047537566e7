#include "runtime/base/hash.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

uint64_t sl_hash64(const void *bytes, size_t n)
{
    return XXH3_64bits(bytes, n);
}

/* struct sl_hash is the library's state under our name: it is never defined. */
int sl_hash_open(struct sl_hash **hash)
{
    XXH3_state_t *state = XXH3_createState();
    *hash = (struct sl_hash *)state;
    if (!state)
        return sl_fail(SL_SYSTEM, "out of memory for a hash");
    XXH3_64bits_reset(state);
    return SL_OK;
}

void sl_hash_update(struct sl_hash *hash, const void *bytes, size_t n)
{
    if (n > 0)
        XXH3_64bits_update((XXH3_state_t *)hash, bytes, n);
}

uint64_t sl_hash_digest(const struct sl_hash *hash)
{
    return XXH3_64bits_digest((const XXH3_state_t *)hash);
}

void sl_hash_close(struct sl_hash *hash)
{
    XXH3_freeState((XXH3_state_t *)hash);
}

void sl_hash_text(uint64_t hash, char text[SL_HASH_DIGITS + 1])
{
    snprintf(text, SL_HASH_DIGITS + 1, "%016" PRIx64, hash);
}

static bool digits(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!(text[i] >= '0' && text[i] <= '9') && !(text[i] >= 'a' && text[i] <= 'f'))
            return false;
    return true;
}

bool sl_hash_parse(const char *text, uint64_t *hash)
{
    return strlen(text) == SL_HASH_DIGITS && digits(text, SL_HASH_DIGITS) && sscanf(text, "%16" SCNx64, hash) == 1;
}

size_t sl_seal_find(const char *text, size_t n, const char *marker)
{
    const char *found = memmem(text, n, marker, strlen(marker));
    if (!found)
        return SIZE_MAX;
    const size_t at = (size_t)(found - text) + strlen(marker);
    return n - at >= SL_HASH_DIGITS && digits(text + at, SL_HASH_DIGITS) ? at : SIZE_MAX;
}

void sl_seal_write(char *text, size_t at, uint64_t seal)
{
    char written[SL_HASH_DIGITS + 1];
    sl_hash_text(seal, written);
    memcpy(text + at, written, SL_HASH_DIGITS);
}

int sl_seal_hash(const char *text, size_t n, size_t at, const void *rest, size_t tail, uint64_t *seal)
{
    int rc = SL_OK;
    struct sl_hash *hash = NULL;
    assert(at <= n && n - at >= SL_HASH_DIGITS);
    SL_TRY(sl_hash_open(&hash));
    sl_hash_update(hash, text, at);
    sl_hash_update(hash, "0000000000000000", SL_HASH_DIGITS);
    sl_hash_update(hash, text + at + SL_HASH_DIGITS, n - at - SL_HASH_DIGITS);
    sl_hash_update(hash, rest, tail);
    *seal = sl_hash_digest(hash);
out:
    sl_hash_close(hash);
    return rc;
}
