/* Leaky ReLU; slope 0 is ReLU.   y = x >= 0 ? x : slope*x;   dx = x >= 0 ? dy : slope*dy.
 * Flat arrays of n elements; y may be x, dx may be dy. */
#ifndef SL_KERNELS_ACTIVATION_ACTIVATION_H
#define SL_KERNELS_ACTIVATION_ACTIVATION_H

#include "kernels/base.h"

struct sl_leaky_relu {
    int64_t n;
    float slope;
    enum sl_element element;
};

struct sl_leaky_relu_fwd {
    const void *x;
    void *y;
};

struct sl_leaky_relu_bwd {
    const void *x, *dy;
    void *dx;
};
#endif
