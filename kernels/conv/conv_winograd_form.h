/* Winograd's transforms of whole tiles, as one function for each form, so that the numbers of points, outputs and taps
 * are constants in it. A template over the names of simd/vec_*.h. */
#ifndef SL_KERNELS_CONV_WINOGRAD_FORM_H
#define SL_KERNELS_CONV_WINOGRAD_FORM_H

#include "kernels/conv/conv_winograd_output.h"
#include "kernels/conv/conv_winograd_tile.h"

/* All channels of a square to V: chunk by chunk, `v_chunk` floats apart, the frequencies of a chunk `step` apart. */
WINOGRAD_INLINE void winograd_input_channels(const int t, const bool whole, const struct winograd_square *s,
                                             int32_t channels, float *v, ptrdiff_t v_chunk, ptrdiff_t step)
{
    for (int32_t c = 0; c < channels; c += VL) {
        const int32_t at = c / WINOGRAD_PAIR;
        winograd_input_square(t, whole, s, c, v + at / WINOGRAD_CHUNK * v_chunk + at % WINOGRAD_CHUNK, step, 0);
    }
}

WINOGRAD_INLINE void winograd_input_tile_of(const int t, const struct winograd_square *s, int32_t channels, float *v,
                                            ptrdiff_t v_chunk, ptrdiff_t step)
{
    if (winograd_is_whole(s, t))
        winograd_input_channels(t, true, s, channels, v, v_chunk, step);
    else
        winograd_input_channels(t, false, s, channels, v, v_chunk, step);
}

/* The functions of a form. */
struct winograd_transforms {
    void (*input)(const struct winograd_square *s, int32_t channels, float *v, ptrdiff_t v_chunk, ptrdiff_t step);
    void (*kernel)(const float *g, ptrdiff_t pixel, const float *scale, float *u, ptrdiff_t step);
    void (*output)(const struct winograd_output *o, const float *m, ptrdiff_t step, int32_t width);
    /* The same with its 2 x 2 windows pooled; NULL: a tile does not have them whole. */
    void (*pooled)(const struct winograd_output *o, const float *m, ptrdiff_t step, int32_t width);
};

#define WINOGRAD_POINTS_OF(t)                                                                                      \
    static __attribute__((noinline)) void winograd_input_of_##t(const struct winograd_square *s, int32_t channels, \
                                                                float *v, ptrdiff_t v_chunk, ptrdiff_t step)       \
    {                                                                                                              \
        winograd_input_tile_of(t, s, channels, v, v_chunk, step);                                                  \
    }
#define WINOGRAD_FORM_OF(m, r)                                                                                       \
    static __attribute__((noinline)) void winograd_kernel_of_##m##_##r(const float *g, ptrdiff_t pixel,              \
                                                                       const float *scale, float *u, ptrdiff_t step) \
    {                                                                                                                \
        winograd_kernel_square(m + r - 1, r, g, pixel, scale, u, step);                                              \
    }                                                                                                                \
    static __attribute__((noinline)) void winograd_output_of_##m##_##r(                                              \
        const struct winograd_output *o, const float *sums, ptrdiff_t step, int32_t width)                           \
    {                                                                                                                \
        winograd_output_panel(m + r - 1, m, 1, o, sums, step, width);                                                \
    }
#define WINOGRAD_POOLED_OF(m, r)                                                           \
    static __attribute__((noinline)) void winograd_pooled_of_##m##_##r(                    \
        const struct winograd_output *o, const float *sums, ptrdiff_t step, int32_t width) \
    {                                                                                      \
        winograd_output_panel(m + r - 1, m, 2, o, sums, step, width);                      \
    }
WINOGRAD_POINTS_OF(4)
WINOGRAD_POINTS_OF(5)
WINOGRAD_POINTS_OF(6)
WINOGRAD_FORM_OF(4, 2)
WINOGRAD_FORM_OF(3, 2)
WINOGRAD_FORM_OF(4, 3)
WINOGRAD_FORM_OF(2, 3)
WINOGRAD_POOLED_OF(4, 2)
WINOGRAD_POOLED_OF(4, 3)
WINOGRAD_POOLED_OF(2, 3)

static const struct winograd_transforms winograd_transforms[SL_WINOGRAD_FORMS] = {
    [SL_WINOGRAD_4_2] = {winograd_input_of_5, winograd_kernel_of_4_2, winograd_output_of_4_2, winograd_pooled_of_4_2},
    [SL_WINOGRAD_3_2] = {winograd_input_of_4, winograd_kernel_of_3_2, winograd_output_of_3_2, NULL},
    [SL_WINOGRAD_4_3] = {winograd_input_of_6, winograd_kernel_of_4_3, winograd_output_of_4_3, winograd_pooled_of_4_3},
    [SL_WINOGRAD_2_3] = {winograd_input_of_4, winograd_kernel_of_2_3, winograd_output_of_2_3, winograd_pooled_of_2_3},
};
#endif
