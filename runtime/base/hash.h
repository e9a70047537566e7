/* XXH3-64, the project's hash of files and parameters, and seals: hashes that stand in the text they are of. Both find
 * damage and differences, not forgery. */
#ifndef SL_RUNTIME_BASE_HASH_H
#define SL_RUNTIME_BASE_HASH_H

#include "kernels/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The hash of n bytes. */
uint64_t sl_hash64(const void *bytes, size_t n);

/* The same hash over parts: the digest does not depend on where the parts are cut. */
struct sl_hash;
int sl_hash_open(struct sl_hash **hash); /* SL_SYSTEM: out of memory */
void sl_hash_update(struct sl_hash *hash, const void *bytes, size_t n);
uint64_t sl_hash_digest(const struct sl_hash *hash); /* of everything so far; more may follow */
void sl_hash_close(struct sl_hash *hash);

/* Hashes in text are 16 lower-case hexadecimal digits. */
enum { SL_HASH_DIGITS = 16 };
void sl_hash_text(uint64_t hash, char text[SL_HASH_DIGITS + 1]);
bool sl_hash_parse(const char *text, uint64_t *hash); /* false unless exactly 16 such digits */

/* A seal is the hash of a text that contains it, taken with the seal's own digits as '0'. This finds where the digits
 * stand in text[n]: right behind the first `marker`. SIZE_MAX: the marker or the digits are missing. */
size_t sl_seal_find(const char *text, size_t n, const char *marker);
/* Writes the digits of `seal` at that place. */
void sl_seal_write(char *text, size_t at, uint64_t seal);
/* Computes the seal of text[n], followed by `tail` bytes at `rest`, whose digits stand at `at`. What stands there now
 * does not matter. SL_SYSTEM. */
int sl_seal_hash(const char *text, size_t n, size_t at, const void *rest, size_t tail, uint64_t *seal);

#ifdef __cplusplus
}
#endif
#endif
