/* The record of moments of a unit (norm.h), summed as its output is stored: for each channel the sum of the
 * differences from the unit's first pixel, and of their squares. The first pixel takes the place of a mean that is not
 * known yet: without it, the squares of numbers far from zero would lose what they differ by. */
#ifndef SL_KERNELS_CONV_AMX_MOMENTS_H
#define SL_KERNELS_CONV_AMX_MOMENTS_H

#include "kernels/conv/conv_amx_element.h"
#include "kernels/norm/norm.h"

/* Of 32 output channels. */
struct amx_moments {
    float first[2 * VL], sum[2 * VL], square[2 * VL];
};

static inline void amx_moments_of(struct amx_moments *m, int32_t at, vf value)
{
    const vf d = v_sub(value, v_load(m->first + at));
    v_store(m->sum + at, v_add(v_load(m->sum + at), d));
    v_store(m->square + at, v_fma(d, d, v_load(m->square + at)));
}

/* Both take pixels as they are stored. */
static inline void amx_moments_start(struct amx_moments *m, vf low, vf high)
{
    amx_round(&low, &high);
    memset(m, 0, sizeof *m);
    v_store(m->first, low);
    v_store(m->first + VL, high);
}

static inline void amx_moments_add(struct amx_moments *m, vf low, vf high)
{
    amx_round(&low, &high);
    amx_moments_of(m, 0, low);
    amx_moments_of(m, VL, high);
}

/* Channels [begin, end) of the record of `pixels` pixels, of which `lanes` were summed; who has the first of them also
 * says how many pixels there are. */
static void amx_moments_record(const struct amx_moments *m, int32_t pixels, int32_t lanes, int32_t begin, int32_t end,
                               int32_t ys, float *record)
{
    memset(record + begin, 0, (size_t)(end - begin) * sizeof *record);
    memset(record + ys + begin, 0, (size_t)(end - begin) * sizeof *record);
    for (int32_t k = begin; k < amx_least(lanes, end); k++) {
        const struct amx_moments *of = &m[k / (2 * VL)];
        const float sum = of->sum[k % (2 * VL)], mean = sum / (float)pixels;
        const float squares = of->square[k % (2 * VL)] - sum * mean;
        record[k] = of->first[k % (2 * VL)] + mean;
        record[ys + k] = squares < 0.0f ? 0.0f : squares; /* a NaN stays one */
    }
    if (begin > 0)
        return;
    memset(record + 2 * ys, 0, SL_LANES * sizeof *record);
    record[2 * ys] = (float)pixels;
}
#endif
