/* From floats to bf16 (kernels/bf16.h), whole buffers: to the nearest, ties to even. Every row gives the same bits. The
 * shape is a flat one (elementwise.h), of floats. */
#ifndef SL_KERNELS_CONVERT_CONVERT_H
#define SL_KERNELS_CONVERT_CONVERT_H

#include "kernels/bf16.h"
#include "kernels/elementwise/elementwise.h"

struct sl_to_bf16 {
    const float *x;
    sl_bf16 *y;
};
#endif
