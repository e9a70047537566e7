/* One convolution of cuDNN, from its description to a plan that runs. */
#ifndef SL_KERNELS_CUDA_PLAN_CUDNN_H
#define SL_KERNELS_CUDA_PLAN_CUDNN_H

#include "kernels/exec.h"

#ifdef __cplusplus
extern "C" {
#endif

enum sl_cudnn_pass { SL_CUDNN_FORWARD, SL_CUDNN_BACKWARD_DATA, SL_CUDNN_BACKWARD_WEIGHTS };

/* NHWC without gaps, from an address that is a multiple of 16 if its bytes are. Of weights, n is the filters. */
struct sl_cudnn_tensor {
    enum sl_element element;
    int64_t n, h, w, c;
};

/* x is the input side and y the output side: gradients of them where the pass says so. */
struct sl_cudnn_convolution {
    enum sl_cudnn_pass pass;
    bool tensor_cores; /* products may be rounded to tf32, or are of bf16 */
    struct sl_cudnn_tensor x, w, y;
    int64_t before[2], after[2], strides[2]; /* rows, columns: padding on either side, and from output to output */
};

enum { SL_CUDNN_KEPT = 8 };

struct sl_cudnn_plan {
    void *handle;
    void *kept[SL_CUDNN_KEPT]; /* descriptors, of which each leads to those before it; the last is the plan */
    int count;
    int64_t workspace; /* bytes */
};

/* The first plan that cuDNN suggests which has the same bits in each run, computes the formula as it stands, and works
 * with `most` bytes. SL_UNAVAILABLE: there is none. */
int sl_cudnn_plan_open(const struct sl_device *device, const struct sl_cudnn_convolution *convolution, int64_t most,
                       struct sl_cudnn_plan *plan);
void sl_cudnn_plan_close(struct sl_cudnn_plan *plan);

/* On the stream of the work. What goes wrong is noted (cudnn.h). */
void sl_cudnn_plan_run(const struct sl_cudnn_plan *plan, const void *x, const void *w, const void *y, void *workspace,
                       const struct sl_work *work);

#ifdef __cplusplus
}
#endif
#endif
