/* What cuDNN's graphs are made of: tensors and operations, kept by the plan that they lead to. */
#include <assert.h>

#include "kernels/cuda/plan_cudnn.h"

/* ---- descriptors ---- */

void sl_cudnn_destroy(void *descriptor)
{
    if (descriptor)
        sl_cudnn.destroy_descriptor(descriptor);
}

int sl_cudnn_make(int type, const struct sl_cudnn_attribute *attributes, int count, void **descriptor)
{
    *descriptor = nullptr;
    int status = sl_cudnn.create_descriptor(type, descriptor);
    if (status != 0) {
        *descriptor = nullptr;
        return status;
    }
    for (int i = 0; i < count && status == 0; i++)
        status = sl_cudnn.set_attribute(*descriptor, attributes[i].name, attributes[i].type, attributes[i].count,
                                        attributes[i].values);
    if (status == 0)
        status = sl_cudnn.finalize(*descriptor);
    if (status != 0) {
        sl_cudnn_destroy(*descriptor);
        *descriptor = nullptr;
    }
    return status;
}

void sl_cudnn_plan_keep(struct sl_cudnn_plan *plan, void *descriptor)
{
    assert(plan->count < SL_CUDNN_KEPT);
    plan->kept[plan->count++] = descriptor;
}

int sl_cudnn_plan_make(struct sl_cudnn_plan *plan, int type, const struct sl_cudnn_attribute *attributes, int count,
                       const char *what, void **descriptor)
{
    const int rc = sl_cudnn_check(sl_cudnn_make(type, attributes, count, descriptor), what);
    if (rc == SL_OK)
        sl_cudnn_plan_keep(plan, *descriptor);
    return rc;
}

/* ---- tensors ---- */

static int64_t bytes_of(int32_t type)
{
    return type == SL_CUDNN_DATA_FLOAT ? 4 : type == SL_CUDNN_DATA_BFLOAT16 ? 2 : 1;
}

int sl_cudnn_plan_tensor(struct sl_cudnn_plan *plan, const struct sl_cudnn_tensor *t, void **descriptor)
{
    const int64_t id = ++plan->tensors, stride = t->stride ? t->stride : t->c, bytes = bytes_of(t->type);
    const int64_t alignment = t->n * t->h * t->w * stride * bytes % 16 == 0 ? 16 : bytes;
    const int64_t lengths[] = {t->n, t->c, t->h, t->w};
    const int64_t strides[] = {t->h * t->w * stride, 1, t->w * stride, stride};
    const struct sl_cudnn_attribute attributes[] = {
        {SL_CUDNN_TENSOR_DATA_TYPE, SL_CUDNN_TYPE_DATA_TYPE, 1, &t->type},
        {SL_CUDNN_TENSOR_DIMENSIONS, SL_CUDNN_TYPE_INT64, 4, lengths},
        {SL_CUDNN_TENSOR_STRIDES, SL_CUDNN_TYPE_INT64, 4, strides},
        {SL_CUDNN_TENSOR_UNIQUE_ID, SL_CUDNN_TYPE_INT64, 1, &id},
        {SL_CUDNN_TENSOR_BYTE_ALIGNMENT, SL_CUDNN_TYPE_INT64, 1, &alignment},
        {SL_CUDNN_TENSOR_IS_BY_VALUE, SL_CUDNN_TYPE_BOOLEAN, 1, &t->by_value},
    };
    assert(id <= SL_CUDNN_TENSORS);
    return sl_cudnn_plan_make(plan, SL_CUDNN_TENSOR, attributes, t->by_value ? 6 : 5, "describe a tensor", descriptor);
}
