/* Resampling of RGB bytes. */
#ifndef SL_RUNTIME_DATA_RESIZE_H
#define SL_RUNTIME_DATA_RESIZE_H

#include "kernels/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* from[height][width][3] to to[size][size][3] with a triangle filter, widened by the reduction so that nothing aliases;
 * separable, columns first, rounded once. Holds only the rows that one row of the result is made of. The aspect is not
 * kept. SL_SYSTEM: out of memory. */
int sl_resize(const uint8_t *from, int32_t width, int32_t height, int32_t size, uint8_t *to);

#ifdef __cplusplus
}
#endif
#endif
