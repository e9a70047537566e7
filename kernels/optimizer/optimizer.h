/* Updaters over a flat run of parameters, one pass over memory each.
 *
 * For every element, k the 0-based step:  g' = g + l2*w  (DL4J's L2: added before the updater), then
 *   sgd      m = momentum*m + g';                w -= lr*m
 *   adam     m = b1*m + (1-b1)*g'; v = b2*v + (1-b2)*g'^2;                      w -= a*m/(sqrt(v) + eps)
 *   amsgrad  m, v as adam; h = max(h, v);                                       w -= a*m/(sqrt(h) + eps)
 * with a = lr*sqrt(1 - b2^(k+1))/(1 - b1^(k+1)) (Kingma & Ba 2015, section 2, last form; Reddi et al. 2018; v is
 * not bias-corrected inside the maximum, as in DL4J). The caller computes a in double. */
#ifndef SL_KERNELS_OPTIMIZER_OPTIMIZER_H
#define SL_KERNELS_OPTIMIZER_OPTIMIZER_H

#include "kernels/base.h"
#include "kernels/step/step.h"

struct sl_optimizer {
    int64_t n;
    enum sl_element element;
};

struct sl_optimizer_step {
    float *w;
    const float *g;
    float *m, *v, *h;         /* state; sgd uses m (NULL: no momentum), adam m and v */
    float *u;                 /* NULL: w changes. Else w stays, and u becomes what would have been subtracted from it */
    const struct sl_now *now; /* rate: lr for sgd, a for the others. A bad step changes nothing */
    float momentum, beta1, beta2, epsilon, l2;
};

/* subtract: w -= u, unless the step is bad. */
struct sl_subtract {
    float *w;
    const float *u;
    const struct sl_now *now;
};
#endif
