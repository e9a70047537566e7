/* Threshold encoding (N. Strom, "Scalable distributed DNN training using commodity GPU cloud computing", 2015): what a
 * rank has learned is kept in a residual r, and only elements of at least tau leave it, one quantum of +-tau each.
 *
 * The boundary belongs to what is sent: |r| >= tau, as in DL4J. Where this differs from DL4J: a message of one element
 * is sent; a change of the message's form loses nothing, since the form is chosen after what is sent is known; there is
 * no half step of -tau/2 in the bitmap form, which DL4J has for negative elements only and which pulls everything
 * upwards.
 *
 * The outermost loop are chunks of SL_THRESHOLD_CHUNK elements, whose entries are joined in order: indices ascend, and
 * the bits do not depend on the number of threads. All of it changes parameters sooner or later, so every row has the
 * same bits as the reference: encode makes one addition and one subtraction for each element, each rounded once. */
#ifndef SL_KERNELS_THRESHOLD_THRESHOLD_H
#define SL_KERNELS_THRESHOLD_THRESHOLD_H

#include "kernels/base.h"

enum { SL_THRESHOLD_CHUNK = 65536, SL_THRESHOLD_SAMPLES = 16384 };

/* An entry: the element's index, and the sign of what is sent in the highest bit. */
#define SL_THRESHOLD_NEGATIVE UINT32_C(0x80000000)

/* The density from which on `dense` pays: then a branch for each few vectors is a guess. */
#define SL_THRESHOLD_DENSE 1e-2

struct sl_threshold {
    int64_t n; /* at least 1, less than 2^31 */
    enum sl_element element;
};

static inline int64_t sl_threshold_chunks(int64_t n)
{
    return (n + SL_THRESHOLD_CHUNK - 1) / SL_THRESHOLD_CHUNK;
}

/* How many threshold_sample looks at. */
static inline int64_t sl_threshold_samples(int64_t n)
{
    const int64_t most = SL_THRESHOLD_SAMPLES;
    return n < most ? n : most;
}

/* threshold_encode: r += u; then for each k with |r[k]| >= tau an entry, and r[k] -= +-tau with the sign of r[k]. This
 * is exact where |r[k]| <= 2 tau (Sterbenz). A NaN is never sent. 12 bytes and 2 operations an element, and 4 bytes an
 * entry. */
struct sl_threshold_encode {
    float *r;       /* [n] */
    const float *u; /* [n]; NULL: nothing is added */
    float tau;      /* > 0 */
    bool dense;     /* a hint that changes no bit: many elements are expected to be sent */
    /* Out: chunk c's entries, ascending, at entries + c * SL_THRESHOLD_CHUNK; counts[c] of them. What lies behind them
     * in the chunk's room may be overwritten. */
    uint32_t *entries; /* [n] */
    int64_t *counts;   /* [chunks] */
};

/* How many of `count` ascending entries have an index below `index`. */
static inline int64_t sl_threshold_count_below(const uint32_t *entries, int64_t count, int64_t index)
{
    int64_t low = 0, high = count;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if ((int64_t)(entries[middle] & ~SL_THRESHOLD_NEGATIVE) < index)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* What one rank sent: entries end to end, those of chunk c at [offsets[c], offsets[c + 1]). */
struct sl_threshold_part {
    const uint32_t *entries;
    const int64_t *offsets; /* [chunks + 1] */
    float tau;
};

/* threshold_decode: sum[k] = scale * (sum over the parts of +-tau for their entries), in the order of the parts, each
 * addition rounded to float. Parts in a row that have the same tau are counted as integers first: exact, count * tau
 * rounded once. */
struct sl_threshold_decode {
    const struct sl_threshold_part *parts; /* [count] */
    int32_t count;
    float scale;
    float *sum; /* [n], out */
};

/* threshold_sample: sample[i] = |r[k] + u[k]|, k = floor(i * n / m), i < m = min(n, SL_THRESHOLD_SAMPLES): what an
 * encoding is going to meet, for a limit on what it sends. */
struct sl_threshold_sample {
    const float *r, *u; /* [n]; u NULL: nothing */
    float *sample;      /* [m], out */
};

/* threshold_clip: r = max(-limit, min(limit, r)), limit >= 0; lost[c] = what that took away, the sum of |change| over
 * chunk c, in double. A NaN stays. */
struct sl_threshold_clip {
    float *r;
    float limit;
    double *lost; /* [chunks], out */
};

#endif
