/* The rows of a CUDA device: part of the plug-in, and of the tests that run them on the CPU. */
#ifndef SL_KERNELS_CUDA_ROWS_H
#define SL_KERNELS_CUDA_ROWS_H

#include "kernels/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

extern const struct sl_kernel_row sl_cuda_rows[];
extern const size_t sl_cuda_row_count;

/* The first operation for which a device of these bits (kernels/base.h) has no row among them; NULL: there is none. */
const char *sl_cuda_missing_operation(const struct sl_kernel_row *rows, size_t count, uint32_t isa);

#ifdef __cplusplus
}
#endif
#endif
