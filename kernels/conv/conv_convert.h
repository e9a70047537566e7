/* Runs of pixels from bf16 to floats and back. A template over the names of simd/vec_*.h. */
#ifndef SL_KERNELS_CONV_CONVERT_H
#define SL_KERNELS_CONV_CONVERT_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/simd/vec_bf16.h"

/* Pixels with some channels each, `from` elements apart, to floats `to` apart; lanes past the channels become zero. */
struct convert {
    int64_t pixels;
    int64_t channels;
    ptrdiff_t from, to;
};

/* Pixels without gaps are one long one. */
static struct convert convert_joined(struct convert c)
{
    if (c.channels == c.from && c.channels == c.to)
        return (struct convert){1, c.pixels * c.channels, c.pixels * c.from, c.pixels * c.to};
    return c;
}

static int convert_lanes(int64_t left)
{
    return left < 0 ? 0 : left < VL ? (int)left : VL;
}

static void convert_widen(struct convert c, const sl_bf16 *from, float *to)
{
    c = convert_joined(c);
    for (int64_t i = 0; i < c.pixels; i++, from += c.from, to += c.to)
        for (int64_t l = 0; l < c.to; l += VL) {
            const int lanes = convert_lanes(c.channels - l);
            v_store_some(to + l, v_load_bf16_some(from + (lanes ? l : 0), lanes), convert_lanes(c.to - l));
        }
}

/* n floats, which then hold what was stored. */
static void convert_narrow(int64_t n, float *from, sl_bf16 *to)
{
    for (int64_t i = 0; i < n; i += VL) {
        const int lanes = convert_lanes(n - i);
        const vf a = v_load_some(from + i, lanes);
        v_store_bf16_some(to + i, a, lanes);
        v_store_some(from + i, v_round_bf16(a), lanes);
    }
}
#endif
