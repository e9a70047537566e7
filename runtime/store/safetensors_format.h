/* What the reader and the writer of safetensors files share. */
#ifndef SL_RUNTIME_STORE_SAFETENSORS_FORMAT_H
#define SL_RUNTIME_STORE_SAFETENSORS_FORMAT_H

#include "runtime/store/safetensors.h"

struct json_t;

enum {
    LENGTH_BYTES = 8,
    MAX_HEADER = 100000000, /* the format's own cap */
};

#define METADATA "__metadata__"
#define SEAL_MARKER "\"" SL_SAFETENSORS_SEAL "\":\""

/* The seal of a file of `size` bytes, whose header ends at `head`, as SL_SAFETENSORS_SEAL demands. `metadata` may be
 * NULL. SL_BAD_DATA, SL_SYSTEM, without the file's name. */
int sl_safetensors_check_seal(struct json_t *metadata, const char *bytes, size_t head, size_t size);

#endif
