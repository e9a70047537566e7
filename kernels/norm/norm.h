/* Batch normalisation fused with activation and maximum pooling (Ioffe & Szegedy 2015).
 *
 *   z[n,i,j,c] = scale[c] * x[n,i,j,c] + shift[c]        scale = gamma*rstd, shift = beta - mean*scale
 *   a          = z >= 0 ? z : slope*z                     slope 1: none, 0: ReLU, 0.1: the chapter's
 *   y          = a if pool == 1, else the maximum of each pool x pool window (stride pool)
 * z is one fused multiply-add in every row, so that all agree on its sign and on equal ones.
 * mean and var (population) are over n,i,j, rstd = 1/sqrt(var + eps). The window's maximum is its
 * first largest z (slope >= 0, so a is monotone in z). h and w are multiples of pool.
 *
 * One pixel holds `xs` floats on both sides; lanes past c are zero in x and get scale = shift = 0.
 * Every per-channel array has xs floats. */
#ifndef SL_KERNELS_NORM_NORM_H
#define SL_KERNELS_NORM_NORM_H

#include "kernels/base.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sl_norm {
    int32_t n, h, w, c;
    int32_t xs;
    int32_t pool; /* 1 or 2 */
    float slope;
};

/* What every row takes for granted of a shape. */
static inline bool sl_norm_is_sound(const struct sl_norm *shape)
{
    return sl_is_image_count(shape->n) && sl_is_length(shape->h) && sl_is_length(shape->w) && sl_is_length(shape->c) &&
           shape->xs >= shape->c && shape->xs <= SL_MAX_LENGTH && (shape->pool == 1 || shape->pool == 2) &&
           shape->h % shape->pool == 0 && shape->w % shape->pool == 0 && shape->slope >= 0.0f;
}

/* Floats of x, dx, or dy before the pool. */
static inline size_t sl_norm_inputs(const struct sl_norm *shape)
{
    return (size_t)shape->n * (size_t)shape->h * (size_t)shape->w * (size_t)shape->xs;
}

/* norm_moments. One record for each unit of the row: mean[xs], sum of squared deviations from that mean[xs], then
 * the number of pixels they are over (an exact float) and zeros up to a full vector. */
struct sl_norm_moments {
    const float *x;
    float *moments;
};

/* Floats of one record. */
static inline size_t sl_moments_size(int32_t xs)
{
    return 2 * (size_t)xs + SL_LANES;
}

/* Joins `parts` records to the moments of all (Chan, Golub & LeVeque 1983), in order and in double.
 * mean[xs], var[xs]: population variance. */
void sl_norm_join(int32_t xs, int64_t parts, const float *moments, float *mean, float *var);

/* norm_fwd. */
struct sl_norm_fwd {
    const float *x, *scale, *shift;
    float *y; /* [n, h/pool, w/pool, xs] */
};

/* norm_bwd_reduce. With dz = dy routed back through pool and activation (derivative at z = 0 is 1),
 * for each unit u of the row: sums[u][0][xs] = sum dz, sums[u][1][xs] = sum dz*(x - mean)*rstd. */
struct sl_norm_bwd_reduce {
    const float *x, *scale, *shift, *mean, *rstd;
    const float *dy;
    float *sums;
};

/* Adds `parts` of them in order and in double: dbeta[xs] = sum dz, dgamma[xs] = sum dz*xhat. */
void sl_norm_join_sums(int32_t xs, int64_t parts, const float *sums, float *dbeta, float *dgamma);

/* norm_bwd_apply. dx = scale * (dz - dbeta/m - xhat*dgamma/m), m = n*h*w; given as
 * dx = scale*dz + a*x + b per channel (sl_norm_bwd_coefficients). dx may be x itself. */
struct sl_norm_bwd_apply {
    const float *x, *scale, *shift;
    const float *dy;
    const float *a, *b;
    float *dx;
};

/* a[c] = -scale*rstd*dgamma/m, b[c] = -scale*dbeta/m - a*mean. */
void sl_norm_bwd_coefficients(const struct sl_norm *shape, const float *scale, const float *mean, const float *rstd,
                              const float *dbeta, const float *dgamma, float *a, float *b);

#ifdef __cplusplus
}
#endif
#endif
