/* Images brought to another size. */
#ifndef SL_RUNTIME_DATA_RESIZE_H
#define SL_RUNTIME_DATA_RESIZE_H

#include "kernels/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Resizes from[height][width][3] to to[size][size][3]; the aspect is not kept, as in DL4J. The filter is a triangle, as
 * wide as the reduction asks, so that nothing aliases. It is separable, columns first, and rounds once. Only the rows
 * that one row of the result is made of are held. SL_SYSTEM: out of memory. */
int sl_resize(const uint8_t *from, int32_t width, int32_t height, int32_t size, uint8_t *to);

#ifdef __cplusplus
}
#endif
#endif
