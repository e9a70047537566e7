/* The scalars of a training step, and what decides over it.
 *
 * They lie in the memory of the device, so that a step is enqueued without waiting for any of its numbers: operations
 * that change what lasts (updaters, running statistics) look at `bad` themselves, and the host reads the result once.
 */
#ifndef SL_KERNELS_STEP_STEP_H
#define SL_KERNELS_STEP_STEP_H

#include "kernels/base.h"

enum sl_step_fault {
    SL_BAD_LOSS = 1,     /* the loss or the weights are not finite */
    SL_BAD_GRADIENT = 2, /* a gradient is not finite */
};

struct sl_now {
    /* Given to the step. */
    uint64_t iteration, seed;
    float rate; /* of the updater: optimizer/optimizer.h */
    /* Found by it. */
    uint32_t bad;         /* sl_step_fault; 0: the step counts */
    double loss;          /* mean over the batch */
    double half_norm;     /* 0.5 * sum of squares of the decayed weights: DL4J's regularisation is l2 times this */
    double gradient_norm; /* of the whole gradient, without L2 */
};

/* sum_squares: for each chunk of SL_FLAT_CHUNK floats (elementwise/flat.h), sums[chunk] = sum x^2 in double. No square
 * of a finite float overflows, so the sum is finite if all are. Element i of a chunk is added to lane i %
 * SL_SQUARE_LANES, in order, and the lanes are joined by halves: all rows have the same bits. */
struct sl_sum_squares {
    const float *x;
    double *sums;
};

enum { SL_SQUARE_LANES = 32 };

/* Of the lanes of a chunk. */
static inline double sl_join_squares(double lanes[SL_SQUARE_LANES])
{
    for (int half = SL_SQUARE_LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            lanes[i] += lanes[half + i];
    return lanes[0];
}

/* judge: joins losses and sums of squares, in order, to `now`. Without losses, the step of a worker that has no images,
 * the loss is 0. */
struct sl_judge_shape {
    int64_t losses, weights, gradients; /* how many of each */
    enum sl_element element;
};
struct sl_judge {
    const double *losses;              /* of each sample */
    const double *weights, *gradients; /* of sum_squares */
    struct sl_now *now;
};

/* fingerprint: for each chunk of SL_FLAT_CHUNK floats sums[chunk] = the sum, modulo 2^64, of sl_mix_float over its
 * elements, at most 2^32 in all. Sums of integers have one value in any order, so all rows have the same bits, and the
 * chunks may be added up. Another bit in one element always changes the sum; in several, all but certainly. */
struct sl_fingerprint {
    const float *x;
    uint64_t *sums;
};

/* An element's bits and place, well mixed (the last steps of SplitMix64): no two of them give the same. */
SL_ANYWHERE static inline uint64_t sl_mix_float(uint32_t bits, uint32_t place)
{
    uint64_t z = ((uint64_t)place << 32 | bits) + UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}
#endif
