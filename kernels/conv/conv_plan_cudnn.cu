/* The graph of one convolution of cuDNN. */
#include "kernels/conv/conv_plan_cudnn.h"

static int make_window(struct sl_cudnn_plan *plan, const struct sl_cudnn_convolution *c, void **window)
{
    const int32_t type = SL_CUDNN_DATA_FLOAT, mode = SL_CUDNN_CROSS_CORRELATION;
    const int64_t axes = 2, dilations[] = {1, 1};
    const struct sl_cudnn_attribute attributes[] = {
        {SL_CUDNN_CONVOLUTION_COMP_TYPE, SL_CUDNN_TYPE_DATA_TYPE, 1, &type},
        {SL_CUDNN_CONVOLUTION_CONV_MODE, SL_CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode},
        {SL_CUDNN_CONVOLUTION_SPATIAL_DIMS, SL_CUDNN_TYPE_INT64, 1, &axes},
        {SL_CUDNN_CONVOLUTION_PRE_PADDINGS, SL_CUDNN_TYPE_INT64, 2, c->before},
        {SL_CUDNN_CONVOLUTION_POST_PADDINGS, SL_CUDNN_TYPE_INT64, 2, c->after},
        {SL_CUDNN_CONVOLUTION_FILTER_STRIDES, SL_CUDNN_TYPE_INT64, 2, c->strides},
        {SL_CUDNN_CONVOLUTION_DILATIONS, SL_CUDNN_TYPE_INT64, 2, dilations},
    };
    return sl_cudnn_plan_make(plan, SL_CUDNN_CONVOLUTION, attributes, 7, "describe a convolution", window);
}

static const struct {
    int type, window, x, w, y, alpha, beta;
} passes[] = {
    {SL_CUDNN_OPERATION_CONVOLUTION_FORWARD, SL_CUDNN_FORWARD_CONV_DESC, SL_CUDNN_FORWARD_X, SL_CUDNN_FORWARD_W,
     SL_CUDNN_FORWARD_Y, SL_CUDNN_FORWARD_ALPHA, SL_CUDNN_FORWARD_BETA},
    {SL_CUDNN_OPERATION_CONVOLUTION_BACKWARD_DATA, SL_CUDNN_BWD_DATA_CONV_DESC, SL_CUDNN_BWD_DATA_DX,
     SL_CUDNN_BWD_DATA_W, SL_CUDNN_BWD_DATA_DY, SL_CUDNN_BWD_DATA_ALPHA, SL_CUDNN_BWD_DATA_BETA},
    {SL_CUDNN_OPERATION_CONVOLUTION_BACKWARD_FILTER, SL_CUDNN_BWD_FILTER_CONV_DESC, SL_CUDNN_BWD_FILTER_X,
     SL_CUDNN_BWD_FILTER_DW, SL_CUDNN_BWD_FILTER_DY, SL_CUDNN_BWD_FILTER_ALPHA, SL_CUDNN_BWD_FILTER_BETA},
};

static int make_operation(struct sl_cudnn_plan *plan, const void *self, void **operation)
{
    int rc;
    const auto *c = static_cast<const struct sl_cudnn_convolution *>(self);
    void *x, *w, *y, *window;
    const float one = 1.0f, zero = 0.0f;
    const auto &pass = passes[c->pass];
    const struct sl_cudnn_attribute attributes[] = {
        {pass.window, SL_CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &window},
        {pass.x, SL_CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &x},
        {pass.w, SL_CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &w},
        {pass.y, SL_CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &y},
        {pass.alpha, SL_CUDNN_TYPE_FLOAT, 1, &one},
        {pass.beta, SL_CUDNN_TYPE_FLOAT, 1, &zero},
    };
    SL_TRY(sl_cudnn_plan_tensor(plan, &c->x, &x));
    SL_TRY(sl_cudnn_plan_tensor(plan, &c->w, &w));
    SL_TRY(sl_cudnn_plan_tensor(plan, &c->y, &y));
    SL_TRY(make_window(plan, c, &window));
    SL_TRY(sl_cudnn_plan_make(plan, pass.type, attributes, 6, "make an operation of the convolution", operation));
out:
    return rc;
}

/* Engines of the weights' gradient that an H200 found wrong (cuDNN 9.14), though they say that they take the graph: the
 * first, and the second where the padding behind an axis is not that before it. */
static uint64_t wrong_engines(const struct sl_cudnn_convolution *c)
{
    const bool uneven = c->before[0] != c->after[0] || c->before[1] != c->after[1];
    return c->pass != SL_CUDNN_BACKWARD_WEIGHTS ? 0 : uneven ? 3 : 1;
}

int sl_cudnn_convolution_open(const struct sl_device *device, const struct sl_cudnn_convolution *convolution,
                              struct sl_cudnn_plan *plan)
{
    const struct sl_cudnn_terms terms = {.tensor_cores = convolution->tensor_cores,
                                         .without = wrong_engines(convolution),
                                         .most = sl_cudnn_most_workspace(device)};
    return sl_cudnn_plan_open(device, &terms, "the convolution", make_operation, convolution, plan);
}
