/* The shape of an activation: NHWC, `stride` elements from one pixel to the next. No ownership inside. */
#ifndef SL_RUNTIME_GRAPH_TENSOR_H
#define SL_RUNTIME_GRAPH_TENSOR_H

#include "kernels/base.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sl_tensor {
    int32_t n, h, w, c;
    int32_t stride; /* >= c; lanes past c are zero */
    enum sl_element element;
};

/* An activation made by a layer: its channel stride is a whole number of vectors. Of floats, until a plan decides. */
static inline struct sl_tensor sl_activation(int32_t n, int32_t h, int32_t w, int32_t c)
{
    const struct sl_tensor shape = {n, h, w, c, sl_round_up(c, SL_LANES), SL_ELEMENT_F32};
    return shape;
}

static inline size_t sl_tensor_elements(const struct sl_tensor *t)
{
    return (size_t)t->n * (size_t)t->h * (size_t)t->w * (size_t)t->stride;
}

static inline size_t sl_tensor_bytes(const struct sl_tensor *t)
{
    return sl_tensor_elements(t) * sl_element_bytes(t->element);
}

#ifdef __cplusplus
}
#endif
#endif
