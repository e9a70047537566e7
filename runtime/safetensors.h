/* The safetensors format: 8-byte little-endian header length, JSON header, tensors back to back.
 * A reader trusts nothing: sizes are checked in 64 bits, offsets must tile the file exactly, names must be unique. */
#ifndef SL_RUNTIME_SAFETENSORS_H
#define SL_RUNTIME_SAFETENSORS_H

#include "kernels/base.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { SL_TENSOR_MAX_RANK = 8, SL_TENSOR_MAX_COUNT = 65536 };

enum sl_dtype { SL_F32, SL_F64, SL_BF16_BITS, SL_F16_BITS, SL_I32, SL_I64, SL_U8, SL_U32, SL_U64 };

struct sl_named_tensor {
    const char *name;
    enum sl_dtype dtype;
    int32_t rank;
    int64_t shape[SL_TENSOR_MAX_RANK];
    const void *data;
};

struct sl_text_pair {
    const char *key, *value;
};

/* Writes the file in one go (not atomic by itself: see store.h). The hash of the bytes goes to *hash if it is not NULL (XXH3-64).
 * SL_CANNOT_CREATE, SL_IO. */
int sl_safetensors_write(const char *path, const struct sl_named_tensor *tensors, size_t tensor_count,
                         const struct sl_text_pair *metadata, size_t metadata_count, uint64_t *bytes, uint64_t *hash);

struct sl_safetensors;

/* Maps a file into memory and checks it whole. SL_MISSING, SL_BAD_DATA (path, what, offset), SL_IO. */
int sl_safetensors_open(const char *path, struct sl_safetensors **file);
void sl_safetensors_close(struct sl_safetensors *file);

size_t sl_safetensors_count(const struct sl_safetensors *file);
const struct sl_named_tensor *sl_safetensors_at(const struct sl_safetensors *file, size_t index); /* in file order */
const struct sl_named_tensor *sl_safetensors_find(const struct sl_safetensors *file, const char *name); /* or NULL */
const char *sl_safetensors_metadata(const struct sl_safetensors *file, const char *key); /* or NULL */

#ifdef __cplusplus
}
#endif
#endif
