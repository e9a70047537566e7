/* The safetensors format: 8-byte little-endian header length, JSON header, tensors back to back.
 * A reader trusts nothing: sizes are checked in 64 bits, offsets must tile the file exactly, names must be unique.
 * Source: huggingface/safetensors, README ("Format"). */
#ifndef SL_RUNTIME_STORE_SAFETENSORS_H
#define SL_RUNTIME_STORE_SAFETENSORS_H

#include "kernels/base.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { SL_TENSOR_MAX_RANK = 8, SL_TENSOR_MAX_COUNT = 65536 };

/* The metadata key of the seal: the hash of the file, its own digits taken as '0' (see hash.h). A writer given this
 * key, with any value, fills it in; a reader that meets it refuses the file unless it is right. Whoever edits a file
 * leaves the key out or sets it to "none". Another key that begins with "starling." is
 * refused, and without the seal one that holds a hash: it may have been the seal. */
#define SL_SAFETENSORS_SEAL "starling.xxh3"

enum sl_dtype { SL_F32, SL_F64, SL_BF16_BITS, SL_F16_BITS, SL_I32, SL_I64, SL_U8, SL_U32, SL_U64 };

struct sl_named_tensor {
    const char *name;
    enum sl_dtype dtype;
    int32_t rank;
    int64_t shape[SL_TENSOR_MAX_RANK];
    const void *data; /* aligned to its element */
};

struct sl_text_pair {
    const char *key, *value;
};

/* Bytes of one element, and the format's name of the type; 0 and NULL past the last type. */
size_t sl_dtype_bytes(enum sl_dtype dtype);
const char *sl_dtype_name(enum sl_dtype dtype);

/* Bytes of the tensor's data. SL_BAD_DATA: rank or a size out of range, or more bytes than 64 bits can count. */
int sl_named_tensor_bytes(const struct sl_named_tensor *tensor, uint64_t *bytes);

/* Creates the file, which must not exist, and syncs it (not atomic by itself: see store.h). Tensors are written in the
 * given order, larger elements first, so that all are aligned. The hash of the bytes (XXH3-64) goes to *hash and the
 * file's size to *bytes where these are not NULL. SL_BAD_DATA (a name or text that is not UTF-8, twice the same name, a
 * bad shape), SL_CANNOT_CREATE, SL_IO, SL_SYSTEM; then what was written of the file is removed. */
int sl_safetensors_write(const char *path, const struct sl_named_tensor *tensors, size_t tensor_count,
                         const struct sl_text_pair *metadata, size_t metadata_count, uint64_t *bytes, uint64_t *hash);

struct sl_safetensors;

/* Maps a file into memory and checks it whole. SL_MISSING, SL_BAD_DATA (path, what, offset), SL_IO, SL_SYSTEM. Tensors
 * that a foreign writer left unaligned are copied. */
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
