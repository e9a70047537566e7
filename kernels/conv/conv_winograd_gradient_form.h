/* The transforms of Winograd's backward-weights, of all channels of an area, as one function for each form, so that the
 * numbers of points, outputs and taps are constants in it. A template over the names of simd/vec_*.h. */
#ifndef SL_KERNELS_CONV_WINOGRAD_GRADIENT_FORM_H
#define SL_KERNELS_CONV_WINOGRAD_GRADIENT_FORM_H

#include "kernels/conv/conv_winograd_square.h"

/* Transformed values, or sums: [frequency][panel of channels][row][panel]. `at` is the first float of a row. */
struct winograd_panels {
    float *at;
    int32_t width;              /* channels of a panel */
    ptrdiff_t frequency, panel; /* floats from one to the next */
};

WINOGRAD_INLINE float *winograd_panels_at(const struct winograd_panels *panels, int32_t channel)
{
    return panels->at + channel / panels->width * panels->panel + channel % panels->width;
}

#ifdef WINOGRAD_DOT
/* The values of two tiles, places of VL/2 each, side by side. */
WINOGRAD_INLINE void winograd_join_values(int32_t frequencies,
                                          float values[2][WINOGRAD_POINTS * WINOGRAD_POINTS][VL / 2],
                                          const struct winograd_panels *to, float *at)
{
    for (int32_t f = 0; f < frequencies; f++, at += to->frequency) {
        __builtin_prefetch(at + to->width, 1);
        v_store(at, v_zip_bf16((const sl_bf16 *)values[0][f], (const sl_bf16 *)values[1][f]));
    }
}
#endif

/* x under the tiles of a step; the row of the next step is asked for. */
WINOGRAD_INLINE void winograd_gradient_x(const int t, const bool whole, const struct winograd_square *s,
                                         int32_t channels, const struct winograd_panels *to)
{
    for (int32_t c = 0; c < channels; c += VL) {
#ifdef WINOGRAD_DOT
        float values[2][WINOGRAD_POINTS * WINOGRAD_POINTS][VL / 2];
        for (int i = 0; i < 2; i++)
            winograd_input_square(t, whole, &s[i], c, values[i][0], VL / 2, 0);
        winograd_join_values(t * t, values, to, winograd_panels_at(to, c));
#else
        winograd_input_square(t, whole, s, c, winograd_panels_at(to, c), to->frequency, to->width);
#endif
    }
}

/* dy under the tiles of a step, of n x n. */
WINOGRAD_INLINE void winograd_gradient_dy(const int t, const int n, const bool whole, const struct winograd_square *s,
                                          int32_t channels, const struct winograd_panels *to)
{
    for (int32_t k = 0; k < channels; k += VL) {
#ifdef WINOGRAD_DOT
        float values[2][WINOGRAD_POINTS * WINOGRAD_POINTS][VL / 2];
        for (int i = 0; i < 2; i++)
            winograd_gradient_square(t, n, whole, &s[i], k, values[i][0], VL / 2, 0);
        winograd_join_values(t * t, values, to, winograd_panels_at(to, k));
#else
        winograd_gradient_square(t, n, whole, s, k, winograd_panels_at(to, k), to->frequency, to->width);
#endif
    }
}

/* One output channel of dw, its taps `tap` floats apart, from its row of sums. The next row and the next channel are
 * asked for. */
WINOGRAD_INLINE void winograd_gradient_dw(const int t, const int r, const struct winograd_panels *sums,
                                          int32_t channels, const float *scale, float *dw, ptrdiff_t tap)
{
    for (int32_t c = 0; c < channels; c += VL) {
        vf taps[WINOGRAD_OUTPUTS][WINOGRAD_OUTPUTS];
        const float *from = winograd_panels_at(sums, c);
        WINOGRAD_UNROLL
        for (int f = 0; f < t * t; f++)
            __builtin_prefetch(from + f * sums->frequency + sums->width);
        winograd_output_square(t, r, from, sums->frequency, scale, taps);
        WINOGRAD_UNROLL
        for (int i = 0; i < r; i++) {
            WINOGRAD_UNROLL
            for (int j = 0; j < r; j++)
                v_store(dw + (i * r + j) * tap + c, taps[i][j]);
            WINOGRAD_UNROLL
            for (int j = 0; j < r; j++)
                __builtin_prefetch(dw + (r * r + i * r + j) * tap + c, 1);
        }
    }
}

/* Do all squares of a step lie within? */
WINOGRAD_INLINE bool winograd_are_whole(const struct winograd_square s[WINOGRAD_PAIR], int32_t n)
{
    return winograd_is_whole(&s[0], n) && winograd_is_whole(&s[WINOGRAD_PAIR - 1], n);
}

/* The functions of a form. x and dy take the squares of a step. */
struct winograd_gradient_form {
    void (*x)(const struct winograd_square *s, int32_t channels, const struct winograd_panels *to);
    void (*dy)(const struct winograd_square *s, int32_t channels, const struct winograd_panels *to);
    void (*dw)(const struct winograd_panels *sums, int32_t channels, const float *scale, float *dw, ptrdiff_t tap);
};

#define WINOGRAD_GRADIENT_X_OF(t)                                                                                    \
    static __attribute__((noinline)) void winograd_gradient_x_##t(const struct winograd_square *s, int32_t channels, \
                                                                  const struct winograd_panels *to)                  \
    {                                                                                                                \
        if (winograd_are_whole(s, t))                                                                                \
            winograd_gradient_x(t, true, s, channels, to);                                                           \
        else                                                                                                         \
            winograd_gradient_x(t, false, s, channels, to);                                                          \
    }
#define WINOGRAD_GRADIENT_FORM_OF(m, r)                                                                     \
    static __attribute__((noinline)) void winograd_gradient_dy_##m##_##r(                                   \
        const struct winograd_square *s, int32_t channels, const struct winograd_panels *to)                \
    {                                                                                                       \
        if (winograd_are_whole(s, m))                                                                       \
            winograd_gradient_dy(m + r - 1, m, true, s, channels, to);                                      \
        else                                                                                                \
            winograd_gradient_dy(m + r - 1, m, false, s, channels, to);                                     \
    }                                                                                                       \
    static __attribute__((noinline)) void winograd_gradient_dw_##m##_##r(                                   \
        const struct winograd_panels *sums, int32_t channels, const float *scale, float *dw, ptrdiff_t tap) \
    {                                                                                                       \
        winograd_gradient_dw(m + r - 1, r, sums, channels, scale, dw, tap);                                 \
    }
WINOGRAD_GRADIENT_X_OF(4)
WINOGRAD_GRADIENT_X_OF(5)
WINOGRAD_GRADIENT_X_OF(6)
WINOGRAD_GRADIENT_FORM_OF(4, 2)
WINOGRAD_GRADIENT_FORM_OF(3, 2)
WINOGRAD_GRADIENT_FORM_OF(4, 3)
WINOGRAD_GRADIENT_FORM_OF(2, 3)

static const struct winograd_gradient_form winograd_gradient_forms[SL_WINOGRAD_FORMS] = {
    [SL_WINOGRAD_4_2] = {winograd_gradient_x_5, winograd_gradient_dy_4_2, winograd_gradient_dw_4_2},
    [SL_WINOGRAD_3_2] = {winograd_gradient_x_4, winograd_gradient_dy_3_2, winograd_gradient_dw_3_2},
    [SL_WINOGRAD_4_3] = {winograd_gradient_x_6, winograd_gradient_dy_4_3, winograd_gradient_dw_4_3},
    [SL_WINOGRAD_2_3] = {winograd_gradient_x_4, winograd_gradient_dy_2_3, winograd_gradient_dw_2_3},
};
#endif
