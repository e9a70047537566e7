#include "runtime/train/session_join.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/train/session_files.h"

int sl_session_find(const struct sl_safetensors *file, const char *name, enum sl_dtype dtype, int64_t n,
                    const void **data)
{
    const struct sl_named_tensor *tensor = file ? sl_safetensors_find(file, name) : NULL;
    if (!tensor || tensor->dtype != dtype || tensor->rank != 1 || tensor->shape[0] != n)
        return sl_fail(SL_BAD_CONFIG, "the checkpoint's \"%s\" is missing or of another size", name);
    *data = tensor->data;
    return SL_OK;
}

static double number(enum sl_dtype dtype, const void *data, int64_t i)
{
    return dtype == SL_F32 ? ((const float *)data)[i] : ((const double *)data)[i];
}

/* The first share is taken as it is: 0 + -0 would not be. */
static void add_floats(enum sl_dtype dtype, const void *const *shares, size_t count, double factor, int64_t n, void *to)
{
    for (int64_t i = 0; i < n; i++) {
        double sum = number(dtype, shares[0], i);
        for (size_t k = 1; k < count; k++)
            sum += number(dtype, shares[k], i);
        if (dtype == SL_F32)
            ((float *)to)[i] = (float)(sum * factor);
        else
            ((double *)to)[i] = sum * factor;
    }
}

static void add_counts(const void *const *shares, size_t count, int64_t n, uint64_t *to)
{
    for (size_t k = 0; k < count; k++)
        for (int64_t i = 0; i < n; i++)
            to[i] += ((const uint64_t *)shares[k])[i];
}

/* All shares as one, in `to`, which is zero. */
static int add_up(const struct sl_session_heirs *heirs, const struct sl_session_array *array, const char *name,
                  void *to)
{
    int rc = SL_OK;
    const double factor = array->join == SL_SESSION_MEAN ? (double)heirs->world / heirs->world_then : 1;
    const void **shares = calloc(heirs->count + 1, sizeof *shares);
    if (!shares)
        SL_FAIL(SL_SYSTEM, "out of memory for the arrays of %zu ranks", heirs->count);
    for (size_t k = 0; k < heirs->count; k++)
        SL_TRY(sl_session_find(heirs->heritage[k], name, array->dtype, array->n, &shares[k]));
    if (array->dtype == SL_U64)
        add_counts(shares, heirs->count, array->n, to);
    else if (heirs->count > 0)
        add_floats(array->dtype, shares, heirs->count, factor, array->n, to);
out:
    free(shares);
    return rc;
}

int sl_session_join(const struct sl_session_heirs *heirs, const struct sl_session_array *array)
{
    int rc = SL_OK;
    char name[SL_ARRAY_NAME];
    void *sum = NULL;
    const void *from = NULL;
    const size_t bytes = (size_t)array->n * sl_dtype_bytes(array->dtype);
    assert(array->dtype == SL_F32 || array->dtype == SL_F64 || array->dtype == SL_U64);
    assert(array->dtype != SL_U64 || array->join != SL_SESSION_MEAN);
    sl_array_name(array, name);
    if (array->join == SL_SESSION_OWN)
        SL_TRY(sl_session_find(heirs->own, name, array->dtype, array->n, &from));
    else {
        if (!(sum = calloc(1, bytes + 1)))
            SL_FAIL(SL_SYSTEM, "out of memory for %zu bytes of the array \"%s\"", bytes, array->name);
        SL_TRY(add_up(heirs, array, name, sum));
        from = sum;
    }
    if (array->on_device)
        SL_TRY(heirs->device->copy(heirs->device->self, array->at, from, bytes));
    else if (bytes)
        memcpy(array->at, from, bytes);
out:
    free(sum);
    return rc;
}
