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

enum { WINOGRAD_LINES = WINOGRAD_VECTORS * WINOGRAD_PAIR }; /* vectors that a step of the widest panel has */

/* Taps of some output channels x SL_LANES source channels, [tap][step][output], VL numbers each step. */
typedef float winograd_taps[SL_WINOGRAD_KERNEL * SL_WINOGRAD_KERNEL][SL_LANES][VL];

/* One tap of them. `whole`: all channels are there. */
WINOGRAD_INLINE void winograd_gather_tap(const bool whole, const struct winograd *w, const float *from, int32_t first,
                                         int32_t c, ptrdiff_t k_step, ptrdiff_t c_step, float to[SL_LANES][VL])
{
    for (int32_t l = 0; l < VL; l++)
        for (int32_t i = 0; i < SL_LANES / WINOGRAD_PAIR; i++) {
            const int32_t at = c + i * WINOGRAD_PAIR + l % WINOGRAD_PAIR, k = first + l / WINOGRAD_PAIR;
            to[i][l] = whole || (at < w->c && k < w->k) ? from[k * k_step + at * c_step] : 0.0f;
        }
}

static void winograd_gather(const struct winograd *w, const float *weights, int32_t first, int32_t c,
                            winograd_taps taps)
{
    const int32_t r = sl_winograd_forms[w->which].r, all = r * r;
    const ptrdiff_t filter = (ptrdiff_t)all * (w->turned ? w->k : w->c);
    const bool whole = c + SL_LANES <= w->c && first + VL / WINOGRAD_PAIR <= w->k;
    for (int32_t tap = 0; tap < all; tap++) {
        const float *from = weights + (ptrdiff_t)(w->turned ? all - 1 - tap : tap) * (filter / all);
        if (!whole)
            winograd_gather_tap(false, w, from, first, c, w->turned ? 1 : filter, w->turned ? filter : 1, taps[tap]);
        else if (w->turned)
            winograd_gather_tap(true, w, from, first, c, 1, filter, taps[tap]);
        else
            winograd_gather_tap(true, w, from, first, c, filter, 1, taps[tap]);
    }
}

/* `count` vectors of each step, from vector `first` on, of SL_LANES channels of a panel. They are written in the order
 * of memory, a stream for each frequency, so that the processor sees it coming. */
static void winograd_pack_steps(const struct winograd *w, const float *weights, int32_t panel, int32_t c, int32_t first,
                                int32_t count, const float *scale, float *u)
{
    winograd_taps taps[WINOGRAD_LINES];
    const int32_t outputs = VL / WINOGRAD_PAIR;
    for (int32_t j = 0; j < count; j++)
        winograd_gather(w, weights, panel * w->width + (first + j) * outputs, c, taps[j]);
    for (int32_t i = 0; i < SL_LANES / WINOGRAD_PAIR; i++) {
        float *step = u + (ptrdiff_t)(c / WINOGRAD_PAIR + i) * w->width;
        for (int32_t j = 0; j < count; j++)
            winograd_transforms[w->which].kernel(taps[j][0][i], SL_LANES * VL, scale, step + (first + j) * outputs,
                                                 winograd_u_step(w));
    }
    for (int32_t f = 0; f < winograd_frequencies(w) && c == 0 && first == 0; f++)
        memset(u + (f + 1) * winograd_u_step(w) - WINOGRAD_GAP, 0, WINOGRAD_GAP * sizeof *u);
}

static void winograd_pack(const struct winograd *w, const float *weights, float *packed, const struct sl_work *work)
{
    const int32_t t = sl_winograd_forms[w->which].t;
    float scale[SL_WINOGRAD_POINTS * SL_WINOGRAD_POINTS];
    sl_winograd_scale(t, scale);
    const int32_t vectors = w->width * WINOGRAD_PAIR / VL, chunks = winograd_channels(w) / SL_LANES;
    assert(sl_slice_is_within(work, winograd_pack_units(w)));
    for (int64_t unit = work->begin, next; unit < work->end; unit = next) {
        const int32_t panel = (int32_t)(unit / vectors / chunks), c = (int32_t)(unit / vectors % chunks);
        const int32_t first = (int32_t)(unit % vectors);
        next = work->end - unit < vectors - first ? work->end : unit + vectors - first;
        winograd_pack_steps(w, weights, panel, c * SL_LANES, first, (int32_t)(next - unit), scale,
                            packed + panel * winograd_u_panel(w));
    }
}
#endif
