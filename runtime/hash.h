/* XXH3-64, the hash of files and buffers: finds damage, not forgery. */
#ifndef SL_RUNTIME_HASH_H
#define SL_RUNTIME_HASH_H

#include "kernels/base.h"

#ifdef __cplusplus
extern "C" {
#endif

uint64_t sl_hash64(const void *bytes, size_t n);

/* The same over pieces: open, add, value, close. */
struct sl_hasher;
int sl_hasher_open(struct sl_hasher **hasher); /* SL_SYSTEM: no memory */
void sl_hasher_add(struct sl_hasher *hasher, const void *bytes, size_t n);
uint64_t sl_hasher_value(const struct sl_hasher *hasher); /* of all bytes so far */
void sl_hasher_close(struct sl_hasher *hasher);           /* NULL is fine */

#ifdef __cplusplus
}
#endif
#endif
