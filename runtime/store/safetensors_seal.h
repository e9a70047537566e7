/* The seal of a safetensors file: an entry of its metadata that holds the file's own hash. */
#ifndef SL_RUNTIME_STORE_SAFETENSORS_SEAL_H
#define SL_RUNTIME_STORE_SAFETENSORS_SEAL_H

#include "kernels/base.h"

#ifdef __cplusplus
extern "C" {
#endif

struct json_t;

/* The metadata key of the seal: the hash of the file, its own digits taken as '0' (hash.h). A writer given this key,
 * with any value, fills it in. A reader that meets it refuses the file unless it is right. Whoever edits a file leaves
 * the key out or sets it to "none".
 *
 * Another key that begins with "starling." is refused. So is, without the seal, one that holds a hash: it may have been
 * the seal. */
#define SL_SAFETENSORS_SEAL "starling.xxh3"

/* What stands before the seal's digits in the header. */
#define SL_SAFETENSORS_SEAL_MARKER "\"" SL_SAFETENSORS_SEAL "\":\""

/* Checks the seal of a file of `size` bytes, whose header ends at `head`. `metadata` may be NULL. SL_BAD_DATA,
 * SL_SYSTEM, without the file's name. */
int sl_safetensors_check_seal(struct json_t *metadata, const char *bytes, size_t head, size_t size);

#ifdef __cplusplus
}
#endif
#endif
