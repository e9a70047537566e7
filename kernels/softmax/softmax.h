/* Softmax with the negative log-likelihood of the true class.
 *
 *   p[i,c]  = exp(x[i,c] - max_c x) / sum_c exp(x[i,c] - max_c x)
 *   loss[i] = -ln(clip(p[i,label[i]], 1e-10, 1 - 1e-10))       (DL4J's softmaxClipEps; only the score is clipped)
 *   dx[i,c] = (p[i,c] - [c == label[i]]) * factor                (unclipped)
 * Rows of `xs` numbers, of which c are classes; the rest of p and dx is written as zero. Probabilities are floats
 * whatever the element is. */
#ifndef SL_KERNELS_SOFTMAX_SOFTMAX_H
#define SL_KERNELS_SOFTMAX_SOFTMAX_H

#include <math.h>

#include "kernels/base.h"

struct sl_softmax {
    int32_t n, c, xs;
    enum sl_element element; /* of x and dx */
};

/* What every row takes for granted of a shape. */
static inline bool sl_softmax_is_sound(const struct sl_softmax *shape)
{
    return sl_is_image_count(shape->n) && sl_is_length(shape->c) && shape->xs >= shape->c && shape->xs <= SL_MAX_LENGTH;
}

struct sl_softmax_nll_fwd {
    const void *x;
    const int32_t *labels; /* [n], each in [0, c); NULL: probabilities only */
    float *p;
    double *loss; /* [n], or NULL */
};

struct sl_softmax_nll_bwd {
    const float *p;
    const int32_t *labels;
    float factor; /* 1 / true batch size */
    void *dx;
};

/* The loss of a probability; NaN stays NaN. */
SL_ANYWHERE static inline double sl_nll(double p)
{
    const double low = 1e-10, high = 1.0 - 1e-10;
    return -log(p < low ? low : p > high ? high : p);
}
#endif
