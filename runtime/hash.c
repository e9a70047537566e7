#include "runtime/hash.h"

#include <xxhash.h>

/* struct sl_hasher is XXH3_state_t under another name: xxhash allocates it with the alignment it needs. */
static XXH3_state_t *state_of(const struct sl_hasher *hasher)
{
    return (XXH3_state_t *)(uintptr_t)hasher;
}

uint64_t sl_hash64(const void *bytes, size_t n)
{
    return XXH3_64bits(bytes, n);
}

int sl_hasher_open(struct sl_hasher **hasher)
{
    XXH3_state_t *state = XXH3_createState();
    *hasher = (struct sl_hasher *)state;
    if (!state)
        return sl_fail(SL_SYSTEM, "no memory for a hash state");
    XXH3_64bits_reset(state);
    return SL_OK;
}

void sl_hasher_add(struct sl_hasher *hasher, const void *bytes, size_t n)
{
    XXH3_64bits_update(state_of(hasher), bytes, n);
}

uint64_t sl_hasher_value(const struct sl_hasher *hasher)
{
    return XXH3_64bits_digest(state_of(hasher));
}

void sl_hasher_close(struct sl_hasher *hasher)
{
    XXH3_freeState(state_of(hasher));
}
