#include "runtime/store/finite.h"

#include <inttypes.h>

/* Not finite: all bits of the exponent are set. The first index of such a value, or n. */
static uint64_t first_bad16(const uint16_t *bits, uint64_t n, uint16_t exponent)
{
    for (uint64_t i = 0; i < n; i++)
        if ((bits[i] & exponent) == exponent)
            return i;
    return n;
}

static uint64_t first_bad32(const uint32_t *bits, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        if ((bits[i] & UINT32_C(0x7f800000)) == UINT32_C(0x7f800000))
            return i;
    return n;
}

static uint64_t first_bad64(const uint64_t *bits, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        if ((bits[i] & UINT64_C(0x7ff0000000000000)) == UINT64_C(0x7ff0000000000000))
            return i;
    return n;
}

static uint64_t first_bad(const struct sl_named_tensor *tensor, uint64_t n)
{
    switch (tensor->dtype) {
    case SL_F32:
        return first_bad32(tensor->data, n);
    case SL_F64:
        return first_bad64(tensor->data, n);
    case SL_BF16_BITS:
        return first_bad16(tensor->data, n, 0x7f80);
    case SL_F16_BITS:
        return first_bad16(tensor->data, n, 0x7c00);
    default:
        return n;
    }
}

int sl_store_check_finite(const struct sl_store_file *files, size_t count)
{
    int rc = SL_OK;
    for (size_t f = 0; f < count; f++)
        for (size_t t = 0; t < files[f].tensor_count; t++) {
            const struct sl_named_tensor *tensor = &files[f].tensors[t];
            uint64_t bytes;
            SL_TRY(sl_named_tensor_bytes(tensor, &bytes));
            const uint64_t n = bytes / sl_dtype_bytes(tensor->dtype), bad = n ? first_bad(tensor, n) : n;
            if (bad < n)
                SL_FAIL(SL_NUMERICS,
                        "%s: tensor \"%s\" has a value that is not finite at index %" PRIu64 "; nothing was saved",
                        files[f].name, tensor->name, bad);
        }
out:
    return rc;
}
