/* The weights of Winograd's convolution, transformed. A template over the names of simd/vec_*.h.
 *
 * Packed weights are U: [panel of output channels][frequency][step][output channel], with zeros past the last channels,
 * and a cache line left free after each frequency. A step is a channel of the source, or a pair of them side by side.
 * The divisors of both axes are in them. */
#ifndef SL_KERNELS_CONV_WINOGRAD_PACK_H
#define SL_KERNELS_CONV_WINOGRAD_PACK_H

#include <string.h>

#include "kernels/contract.h"
#include "kernels/conv/conv_winograd_form.h"
#include "kernels/conv/conv_winograd_plan.h"

/* Taps of some output channels x SL_LANES source channels, as [tap][step][output], VL numbers each step. */
static void winograd_gather(const struct winograd *w, const float *weights, int32_t first, int32_t c,
                            float taps[][SL_LANES][VL])
{
    const int32_t r = sl_winograd_forms[w->which].r, all = r * r;
    const ptrdiff_t filter = (ptrdiff_t)all * (w->turned ? w->k : w->c);
    const ptrdiff_t k_step = w->turned ? 1 : filter, c_step = w->turned ? filter : 1;
    for (int32_t tap = 0; tap < all; tap++) {
        const float *from = weights + (ptrdiff_t)(w->turned ? all - 1 - tap : tap) * (filter / all);
        for (int32_t l = 0; l < VL; l++)
            for (int32_t i = 0; i < SL_LANES / WINOGRAD_PAIR; i++) {
                const int32_t at = c + i * WINOGRAD_PAIR + l % WINOGRAD_PAIR, k = first + l / WINOGRAD_PAIR;
                taps[tap][i][l] = at < w->c && k < w->k ? from[k * k_step + at * c_step] : 0.0f;
            }
    }
}

/* Output channels from k on, of those of a panel. */
static void winograd_pack_unit(const struct winograd *w, const float *weights, int32_t panel, int32_t c, int32_t k,
                               const float *scale, float *u)
{
    float taps[SL_WINOGRAD_KERNEL * SL_WINOGRAD_KERNEL][SL_LANES][VL];
    winograd_gather(w, weights, panel * w->width + k, c, taps);
    for (int32_t i = 0; i < SL_LANES / WINOGRAD_PAIR; i++)
        winograd_transforms[w->which].kernel(taps[0][i], SL_LANES * VL, scale,
                                             u + (ptrdiff_t)(c / WINOGRAD_PAIR + i) * w->width + k, winograd_u_step(w));
    for (int32_t f = 0; f < winograd_frequencies(w) && c == 0 && k == 0; f++)
        memset(u + (f + 1) * winograd_u_step(w) - WINOGRAD_GAP, 0, WINOGRAD_GAP * sizeof *u);
}

static void winograd_pack(const struct winograd *w, const float *weights, float *packed, const struct sl_work *work)
{
    const int32_t t = sl_winograd_forms[w->which].t;
    float scale[SL_WINOGRAD_POINTS * SL_WINOGRAD_POINTS];
    sl_winograd_scale(t, scale);
    const int32_t vectors = w->width * WINOGRAD_PAIR / VL, chunks = winograd_channels(w) / SL_LANES;
    assert(sl_slice_is_within(work, winograd_pack_units(w)));
    for (int64_t unit = work->begin; unit < work->end; unit++) {
        const int32_t panel = (int32_t)(unit / vectors / chunks), c = (int32_t)(unit / vectors % chunks);
        winograd_pack_unit(w, weights, panel, c * SL_LANES, (int32_t)(unit % vectors) * (VL / WINOGRAD_PAIR), scale,
                           packed + panel * winograd_u_panel(w));
    }
}
#endif
