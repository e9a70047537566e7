/* What a rank has learned and not sent yet, in the memory of its device, and the operations of kernels/threshold on it.
 * Results come as pointers into the host's memory that hold until the next call. */
#ifndef SL_COMM_RESIDUAL_H
#define SL_COMM_RESIDUAL_H

#include "kernels/exec.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sl_residual;

/* Bytes that it takes open, but for a few of each chunk. */
uint64_t sl_residual_memory(const struct sl_device *device, int64_t n);

/* Zeros; 1 <= n < 2^31. SL_SYSTEM, SL_UNAVAILABLE. */
int sl_residual_open(const struct sl_device *device, int64_t n, struct sl_residual **residual);
void sl_residual_close(struct sl_residual *residual);

/* Its floats, in the memory of the device. */
float *sl_residual_floats(const struct sl_residual *residual);

/* Magnitudes of r + u at m places, for sl_threshold_next. u is in the memory of the device. */
int sl_residual_sample(struct sl_residual *residual, const float *u, const float **sample, size_t *m);

/* r += u, and what reaches tau leaves it: entries and counts as of threshold_encode. */
int sl_residual_encode(struct sl_residual *residual, const float *u, float tau, bool dense, const uint32_t **entries,
                       const int64_t **counts);

/* Holds it to +-limit; *lost is the sum of what that took away. */
int sl_residual_clip(struct sl_residual *residual, float limit, double *lost);

/* The square root of the sum of squares. */
int sl_residual_norm(struct sl_residual *residual, double *norm);

#ifdef __cplusplus
}
#endif
#endif
