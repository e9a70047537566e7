/* A tensor as files hold it: a name, a type, a shape and its elements. */
#ifndef SL_RUNTIME_STORE_NAMED_TENSOR_H
#define SL_RUNTIME_STORE_NAMED_TENSOR_H

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
    const void *data; /* aligned to its element */
};

/* Bytes of one element, and the format's name of the type; 0 and NULL past the last type. */
size_t sl_dtype_bytes(enum sl_dtype dtype);
const char *sl_dtype_name(enum sl_dtype dtype);

/* Bytes of the tensor's data. SL_BAD_DATA: rank or a size out of range, or more bytes than 64 bits can count. */
int sl_named_tensor_bytes(const struct sl_named_tensor *tensor, uint64_t *bytes);

#ifdef __cplusplus
}
#endif
#endif
