/* The safetensors format: 8-byte little-endian header length, JSON header, tensors back to back.
 * A reader trusts nothing: sizes are checked in 64 bits, offsets must tile the file exactly, names must be unique.
 * Source: huggingface/safetensors, README ("Format"). */
#ifndef SL_RUNTIME_STORE_SAFETENSORS_H
#define SL_RUNTIME_STORE_SAFETENSORS_H

#include "runtime/store/named_tensor.h"
#include "runtime/store/safetensors_seal.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One entry of the metadata. */
struct sl_text_pair {
    const char *key, *value;
};

/* Creates the file, which must not exist, and syncs it; store.h makes it appear whole. Tensors of larger elements come
 * first, so that all are aligned, else in the given order. *hash gets the XXH3-64 of the file and *bytes its size;
 * either may be NULL. SL_BAD_DATA: a name or a text is not UTF-8, a name occurs twice, a bad shape. SL_CANNOT_CREATE,
 * SL_IO, SL_SYSTEM. A failure leaves no file. */
int sl_safetensors_write(const char *path, const struct sl_named_tensor *tensors, size_t tensor_count,
                         const struct sl_text_pair *metadata, size_t metadata_count, uint64_t *bytes, uint64_t *hash);

struct sl_safetensors;

/* Maps a file into memory and checks all of it. Tensors that another program left unaligned are copied. SL_MISSING.
 * SL_BAD_DATA: the message says what and at which offset. SL_IO, SL_SYSTEM. */
int sl_safetensors_open(const char *path, struct sl_safetensors **file);
/* The same, but a symbolic link is refused. */
int sl_safetensors_open_nofollow(const char *path, struct sl_safetensors **file);
void sl_safetensors_close(struct sl_safetensors *file);

size_t sl_safetensors_count(const struct sl_safetensors *file);
const struct sl_named_tensor *sl_safetensors_at(const struct sl_safetensors *file, size_t index); /* in file order */
const struct sl_named_tensor *sl_safetensors_find(const struct sl_safetensors *file, const char *name); /* or NULL */
const char *sl_safetensors_metadata(const struct sl_safetensors *file, const char *key);                /* or NULL */

uint64_t sl_safetensors_bytes(const struct sl_safetensors *file); /* the file's size */
uint64_t sl_safetensors_hash(const struct sl_safetensors *file);  /* of all its bytes, computed now */

#ifdef __cplusplus
}
#endif
#endif
