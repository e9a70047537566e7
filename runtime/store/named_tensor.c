#include "runtime/store/named_tensor.h"

#include <inttypes.h>

static const struct {
    const char *name;
    size_t bytes;
} dtypes[] = {
    [SL_F32] = {"F32", 4},      [SL_F64] = {"F64", 8}, [SL_BF16_BITS] = {"BF16", 2},
    [SL_F16_BITS] = {"F16", 2}, [SL_I32] = {"I32", 4}, [SL_I64] = {"I64", 8},
    [SL_U8] = {"U8", 1},        [SL_U32] = {"U32", 4}, [SL_U64] = {"U64", 8},
};
enum { DTYPE_COUNT = sizeof dtypes / sizeof dtypes[0] };

size_t sl_dtype_bytes(enum sl_dtype dtype)
{
    return (unsigned)dtype < DTYPE_COUNT ? dtypes[dtype].bytes : 0;
}

const char *sl_dtype_name(enum sl_dtype dtype)
{
    return (unsigned)dtype < DTYPE_COUNT ? dtypes[dtype].name : NULL;
}

int sl_named_tensor_bytes(const struct sl_named_tensor *tensor, uint64_t *bytes)
{
    if (tensor->rank < 0 || tensor->rank > SL_TENSOR_MAX_RANK || sl_dtype_bytes(tensor->dtype) == 0)
        return sl_fail(SL_BAD_DATA, "tensor \"%s\": rank %" PRId32 " or type out of range", tensor->name, tensor->rank);
    uint64_t product = dtypes[tensor->dtype].bytes;
    for (int32_t i = 0; i < tensor->rank; i++)
        if (tensor->shape[i] < 0 || __builtin_mul_overflow(product, (uint64_t)tensor->shape[i], &product))
            return sl_fail(SL_BAD_DATA, "tensor \"%s\": its shape does not fit in 64 bits", tensor->name);
    *bytes = product;
    return SL_OK;
}
