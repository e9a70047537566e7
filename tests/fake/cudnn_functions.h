/* The functions that those who stand in for cuDNN define. */
#ifndef SL_TESTS_FAKE_CUDNN_FUNCTIONS_H
#define SL_TESTS_FAKE_CUDNN_FUNCTIONS_H

#include <stddef.h>
#include <stdint.h>

size_t cudnnGetVersion(void);
const char *cudnnGetErrorString(int status);
int cudnnCreate(void **handle);
int cudnnDestroy(void *handle);
int cudnnSetStream(void *handle, void *stream);
int cudnnBackendCreateDescriptor(int type, void **descriptor);
int cudnnBackendDestroyDescriptor(void *descriptor);
int cudnnBackendSetAttribute(void *descriptor, int name, int type, int64_t count, const void *values);
int cudnnBackendGetAttribute(void *descriptor, int name, int type, int64_t room, int64_t *count, void *values);
int cudnnBackendFinalize(void *descriptor);
int cudnnBackendExecute(void *handle, void *plan, void *pack);
int cudnnCreateTensorDescriptor(void **tensor);
int cudnnDestroyTensorDescriptor(void *tensor);
int cudnnSetTensor4dDescriptorEx(void *tensor, int type, int n, int c, int h, int w, int by_n, int by_c, int by_h,
                                 int by_w);
int cudnnSoftmaxForward(void *handle, int algorithm, int mode, const void *alpha, void *x_tensor, const void *x,
                        const void *beta, void *y_tensor, void *y);
#endif
