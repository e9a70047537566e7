/* One convolution of cuDNN. */
#ifndef SL_KERNELS_CONV_CONV_PLAN_CUDNN_H
#define SL_KERNELS_CONV_CONV_PLAN_CUDNN_H

#include "kernels/cuda/plan_cudnn.h"

#ifdef __cplusplus
extern "C" {
#endif

enum sl_cudnn_pass { SL_CUDNN_FORWARD, SL_CUDNN_BACKWARD_DATA, SL_CUDNN_BACKWARD_WEIGHTS };

/* x is the input side and y the output side: gradients of them where the pass says so. */
struct sl_cudnn_convolution {
    enum sl_cudnn_pass pass;
    bool tensor_cores;
    struct sl_cudnn_tensor x, w, y;
    int64_t before[2], after[2], strides[2]; /* rows, columns: padding on either side, and from output to output */
};

/* Its plan, which runs on x, w and y. SL_UNAVAILABLE: cuDNN has none. */
int sl_cudnn_convolution_open(const struct sl_device *device, const struct sl_cudnn_convolution *convolution,
                              struct sl_cudnn_plan *plan);

#ifdef __cplusplus
}
#endif
#endif
