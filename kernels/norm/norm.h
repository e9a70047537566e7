/* Batch normalisation fused with activation and maximum pooling (Ioffe & Szegedy 2015).
 *
 *   z[n,i,j,c] = scale[c] * x[n,i,j,c] + shift[c]        scale = gamma*rstd, shift = beta - mean*scale
 *   a          = z >= 0 ? z : slope*z                     slope 1: none, 0: ReLU, 0.1: Darknet's
 *   y          = a if pool == 1, else the maximum of each pool x pool window (stride pool)
 * z is one fused multiply-add in every row, so that all agree on its sign and on equal ones.
 * mean and var (population) are over n,i,j, rstd = 1/sqrt(var + eps). The window's maximum is its
 * first largest z (slope >= 0, so a is monotone in z). h and w are multiples of pool.
 *
 * One pixel holds `xs` elements on both sides; lanes past c are zero in x and get scale = shift = 0.
 * Every per-channel array has xs floats. The operations on channels alone (join, scale, commit) see no elements: they
 * are asked for at shapes of floats (sl_norm_channels). */
#ifndef SL_KERNELS_NORM_NORM_H
#define SL_KERNELS_NORM_NORM_H

#include "kernels/base.h"
#include "kernels/step/step.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sl_norm {
    int32_t n, h, w, c;
    int32_t xs;
    int32_t pool; /* 1 or 2 */
    float slope;
    enum sl_element element; /* of x, y and their gradients */
};

/* What every row takes for granted of a shape. */
static inline bool sl_norm_is_sound(const struct sl_norm *shape)
{
    return sl_is_image_count(shape->n) && sl_is_length(shape->h) && sl_is_length(shape->w) && sl_is_length(shape->c) &&
           shape->xs >= shape->c && shape->xs <= SL_MAX_LENGTH && (shape->pool == 1 || shape->pool == 2) &&
           shape->h % shape->pool == 0 && shape->w % shape->pool == 0 && shape->slope >= 0.0f;
}

/* The shape for operations on channels alone. */
static inline struct sl_norm sl_norm_channels(const struct sl_norm *shape)
{
    struct sl_norm channels = *shape;
    channels.element = SL_ELEMENT_F32;
    return channels;
}

/* Elements of x, dx, or dy before the pool. */
static inline size_t sl_norm_inputs(const struct sl_norm *shape)
{
    return (size_t)shape->n * (size_t)shape->h * (size_t)shape->w * (size_t)shape->xs;
}

/* norm_moments. One record for each unit of the row: mean[xs], sum of squared deviations from that mean[xs], then
 * the number of pixels they are over (an exact float) and zeros up to a full vector. */
struct sl_norm_moments {
    const void *x;
    float *moments;
};

/* Floats of one record. */
SL_ANYWHERE static inline size_t sl_moments_size(int32_t xs)
{
    return 2 * (size_t)xs + SL_LANES;
}

/* norm_join: joins `parts` records to the moments of all (Chan, Golub & LeVeque 1983), in order and in double.
 * mean[xs], var[xs]: population variance. */
struct sl_norm_join {
    const float *moments;
    int64_t parts;
    float *mean, *var;
};

/* norm_scale: rstd = 1/sqrt(var + epsilon), scale = gamma*rstd, shift = beta - mean*scale; zeros past c. All are NaN
 * where var has overflowed: a factor of 0 would hide it, and the step would count. */
struct sl_norm_scale {
    const float *mean, *var;   /* [c] */
    const float *gamma, *beta; /* [c] */
    double epsilon;
    float *rstd, *scale, *shift; /* [xs] */
};

/* norm_fwd. */
struct sl_norm_fwd {
    const void *x;
    const float *scale, *shift;
    void *y; /* [n, h/pool, w/pool, xs] */
};

/* norm_bwd_reduce. With dz = dy routed back through pool and activation (derivative at z = 0 is 1),
 * for each unit u of the row: sums[u][0][xs] = sum dz, sums[u][1][xs] = sum dz*xhat, xhat = (x - mean)*rstd.
 *
 * Where y is at hand, a row may read it instead of x, which is less if there is a pool: with a slope > 0, y is z or
 * slope*z, its sign tells which, y of a window belongs to the one pixel that has a gradient, and
 *   sum dz*z = sum dy*y,   sum dz*xhat = (sum dz*z - beta*sum dz)/gamma.
 * That is how in-place activated batch norm saves memory (Rota Bulo, Porzi & Kontschieder 2018). Where gamma is 0 or
 * small beside beta, z tells too little of xhat, and x is read: sl_norm_is_invertible. */
struct sl_norm_bwd_reduce {
    const void *x;
    const float *scale, *shift, *mean, *rstd;
    const void *dy;
    float *sums;
    const void *y;             /* what norm_fwd made of x; or NULL */
    const float *gamma, *beta; /* [c]; with y */
};

/* Does z = gamma*xhat + beta tell xhat of every channel? The rounding of z is multiplied by 1 + |beta/gamma|. */
static inline bool sl_norm_is_invertible(int32_t c, const float *gamma, const float *beta)
{
    const float most = 16.0f, least = 0x1p-100f;
    bool is = true;
    for (int32_t i = 0; i < c; i++) {
        const float size = gamma[i] < 0.0f ? -gamma[i] : gamma[i], shift = beta[i] < 0.0f ? -beta[i] : beta[i];
        is &= size >= least && shift <= most * size; /* false for a NaN */
    }
    return is;
}

/* norm_bwd_join: adds `parts` of them in order and in double: dbeta[c] = sum dz, dgamma[c] = sum dz*xhat; and with
 * m = n*h*w what norm_bwd_apply multiplies by: a = -scale*rstd*dgamma/m, b = -scale*dbeta/m - a*mean. */
struct sl_norm_bwd_join {
    const float *sums;
    int64_t parts;
    const float *scale, *mean, *rstd; /* [xs] */
    float *dbeta, *dgamma;            /* [c] */
    float *a, *b;                     /* [xs] */
};

/* norm_bwd_apply. dx = scale * (dz - dbeta/m - xhat*dgamma/m), m = n*h*w; given as
 * dx = scale*dz + a*x + b per channel (norm_bwd_join). dx may be x itself. */
struct sl_norm_bwd_apply {
    const void *x;
    const float *scale, *shift;
    const void *dy;
    const float *a, *b;
    void *dx;
};

/* norm_commit: running = decay*running + (1 - decay)*batch, mean and population variance as DL4J's, unless the step is
 * bad. */
struct sl_norm_commit {
    const float *mean, *var; /* of the batch */
    double decay;
    const struct sl_now *now;
    float *running_mean, *running_var; /* [c] */
};

#ifdef __cplusplus
}
#endif
#endif
