/* The gradient of the bias: the sum of dy over all pixels, as a template like conv_direct.h. */
#ifndef SL_KERNELS_CONV_BIAS_H
#define SL_KERNELS_CONV_BIAS_H

#include "kernels/contract.h"
#include "kernels/conv/conv.h"
#include "kernels/kernels.h"
#include "kernels/simd/vec_bf16.h"

enum {
    BIAS_VECTORS = 64 / VL,
    BIAS_CHANNELS = 64, /* channels that the launch hands out at a time */
    BIAS_PIXELS = 256,  /* summed on their own before they join the rest, so that no sum in float is long */
};

static bool bias_need(const void *shape, struct sl_need *need)
{
    const struct sl_conv2d *s = shape;
    need->units = (s->k + BIAS_CHANNELS - 1) / BIAS_CHANNELS;
    return true;
}

/* Some of the elements from number `i` on. */
static inline vf bias_load(enum sl_element element, const void *dy, int64_t i, int lanes)
{
    return element == SL_ELEMENT_BF16 ? v_load_bf16_some((const sl_bf16 *)dy + i, lanes)
                                      : v_load_head((const float *)dy + i, lanes);
}

/* Adds some pixels of up to 64 channels to `sum`: those from element `first` on. */
static inline void bias_add(enum sl_element element, const struct sl_conv2d *s, const void *dy, int64_t first,
                            int32_t channels, int64_t pixels, vf sum[BIAS_VECTORS])
{
    for (int v = 0; v < BIAS_VECTORS && v * VL < channels; v++) {
        const int lanes = channels - v * VL < VL ? channels - v * VL : VL;
        vf part = v_zero();
        for (int64_t t = 0; t < pixels; t++)
            part = v_add(part, bias_load(element, dy, first + t * s->ys + v * VL, lanes));
        sum[v] = v_add(sum[v], part);
    }
}

static inline void bias_units(enum sl_element element, const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_conv2d *s = shape;
    const struct sl_bias_bwd *a = args;
    const int64_t pixels = (int64_t)s->n * s->oh * s->ow;
    assert(sl_conv2d_is_sound(s) && sl_work_fits(work, bias_need, s));
    for (int64_t unit = work->begin; unit < work->end; unit++) {
        const int32_t first = (int32_t)unit * BIAS_CHANNELS;
        const int32_t channels = s->k - first < BIAS_CHANNELS ? s->k - first : BIAS_CHANNELS;
        vf sum[BIAS_VECTORS];
        for (int v = 0; v < BIAS_VECTORS; v++)
            sum[v] = v_zero();
        for (int64_t t = 0; t < pixels; t += BIAS_PIXELS)
            bias_add(element, s, a->dy, t * s->ys + first, channels,
                     pixels - t < BIAS_PIXELS ? pixels - t : BIAS_PIXELS, sum);
        for (int v = 0; v < BIAS_VECTORS && v * VL < channels; v++)
            v_store_head(a->db + first + v * VL, sum[v], channels - v * VL < VL ? channels - v * VL : VL);
    }
}

static void bias_slice(const void *shape, const void *args, const struct sl_work *work)
{
    bias_units(SL_ELEMENT_F32, shape, args, work);
}

static void bias_bf16_slice(const void *shape, const void *args, const struct sl_work *work)
{
    bias_units(SL_ELEMENT_BF16, shape, args, work);
}

const struct sl_kernel DIRECT(sl_bias_bwd_sum) = {.need = bias_need, .run = bias_slice};
const struct sl_kernel DIRECT(sl_bias_bwd_sum_bf16) = {
    .element = SL_ELEMENT_BF16, .need = bias_need, .run = bias_bf16_slice};
#endif
