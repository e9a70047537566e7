/* What the passes of batch norm over pixels share, once for all vector lengths and elements: norm_sums_vec.h has those
 * that sum, norm_pixels_vec.h those that write pixels.
 *
 * The forward pass keeps nothing but x. The backward passes compute z and the maximum of a window again: that costs a
 * multiply-add, and these passes wait for memory anyway. Each pass goes pixel by pixel through all channels, so that it
 * reads memory in order. */
#ifndef SL_KERNELS_NORM_NORM_VEC_H
#define SL_KERNELS_NORM_NORM_VEC_H

#include "kernels/contract.h"
#include "kernels/elementwise/flat.h"
#include "kernels/kernels.h"
#include "kernels/norm/norm.h"

/* Rows of the output. */
static int64_t output_rows(const struct sl_norm *s)
{
    return (int64_t)s->n * (s->h / s->pool);
}

static inline vf leak(vf z, vf v, vf slope)
{
    return v_select(v_ge(z, v_zero()), v, v_mul(slope, v));
}
#endif
