/* Packing weights for forward and backward-data on AMX. conv_amx.h says in which order they lie. */
#ifndef SL_KERNELS_CONV_AMX_PACK_H
#define SL_KERNELS_CONV_AMX_PACK_H

#include "kernels/contract.h"
#include "kernels/conv/conv_amx_plan.h"

/* OHWI weights as a pass sees them. */
struct amx_filter {
    const float *weights;
    ptrdiff_t channel; /* floats from one output channel to the next */
    ptrdiff_t source;  /* from one channel of the source to the next */
    ptrdiff_t tap;     /* from one tap to the next */
    bool turned;       /* by 180 degrees */
};

/* A kernel row of a pair of phases. */
struct amx_run {
    const struct amx *a;
    const struct amx_filter *filter;
    const struct sl_amx_taps *taps;
    int32_t row;
};

/* The weight of element `e` of a run for output channel 0. NULL: past the end of the run, or a lane of zeros. */
static const float *amx_weight(const struct amx_run *run, int32_t e)
{
    const struct sl_window *w = &run->a->band.window;
    const struct amx_filter *f = run->filter;
    const int32_t s = e / run->a->band.pitch, c = e % run->a->band.pitch;
    if (s >= run->taps->columns || c >= w->c)
        return NULL;
    const int64_t r = run->taps->row_phase + (int64_t)run->row * w->rows.spacing;
    const int64_t tap = r * w->columns.kernel + run->taps->column_phase + (int64_t)s * w->columns.spacing;
    const int64_t last = (int64_t)w->rows.kernel * w->columns.kernel - 1;
    return f->weights + (f->turned ? last - tap : tap) * f->tap + c * f->source;
}

/* One register of each part: elements [e, e + T_DEPTH) of a kernel row x `channels` output channels from `first` on.
 * Channels of the output are neighbours in memory (backward-data), ... */
static void amx_pack_columns(const struct amx_run *run, int32_t e, int32_t first, int32_t channels, sl_bf16 *to,
                             ptrdiff_t part)
{
    for (int32_t i = 0; i < T_DEPTH; i += 2, to += T_DEPTH) {
        float value[2][VL] = {{0}};
        for (int32_t h = 0; h < 2; h++) {
            const float *from = amx_weight(run, e + i + h);
            if (from)
                memcpy(value[h], from + first, (size_t)channels * sizeof *from);
        }
        t_words pairs[AMX_PARTS];
        amx_pair_floats(v_load(value[0]), v_load(value[1]), pairs);
        for (int p = 0; p < AMX_PARTS; p++)
            t_store_words(to + p * part, pairs[p]);
    }
}

/* ... or those of the source are (forward). */
static void amx_pack_rows(const struct amx_run *run, int32_t e, int32_t first, int32_t channels, sl_bf16 *to,
                          ptrdiff_t part)
{
    const float *from[T_DEPTH];
    t_words pairs[AMX_PARTS][VL];
    bool whole = true;
    for (int32_t i = 0; i < T_DEPTH; i++) {
        from[i] = amx_weight(run, e + i);
        whole = whole && from[i] && from[i] == from[0] + i;
    }
    for (int32_t n = 0; n < VL; n++) {
        const ptrdiff_t at = (ptrdiff_t)(first + n) * run->filter->channel;
        float value[T_DEPTH] = {0};
        for (int32_t i = 0; i < T_DEPTH && n < channels && !whole; i++)
            value[i] = from[i] ? from[i][at] : 0.0f;
        if (whole && n < channels)
            memcpy(value, from[0] + at, sizeof value);
        t_words parts[AMX_PARTS];
        amx_split(v_load(value), v_load(value + VL), parts);
        for (int p = 0; p < AMX_PARTS; p++)
            pairs[p][n] = parts[p];
    }
    for (int p = 0; p < AMX_PARTS; p++) {
        t_transpose(pairs[p]);
        for (int32_t i = 0; i < VL; i++)
            t_store_words(to + p * part + i * T_DEPTH, pairs[p][i]);
    }
}

/* One kernel row of a block of output channels; where the next one goes. */
static sl_bf16 *amx_pack_run(const struct amx_run *run, int32_t first, sl_bf16 *to)
{
    const struct amx *a = run->a;
    const int32_t steps = amx_row_steps(&a->band, run->taps), tiles = amx_block_tiles(a, first);
    for (int32_t i = 0; i < steps; i++, to += AMX_PARTS * tiles * T_ELEMENTS)
        for (int32_t t = 0; t < tiles; t++) {
            const int32_t k = first + t * VL, channels = amx_least(a->k - k, VL);
            (run->filter->channel == 1 ? amx_pack_columns : amx_pack_rows)(run, i * T_DEPTH, k, channels,
                                                                           to + t * T_ELEMENTS, tiles * T_ELEMENTS);
        }
    return to;
}

/* A slice of the blocks of output channels. */
static void amx_pack(const struct amx *a, const struct amx_filter *filter, void *packed, const struct sl_work *work)
{
    const int64_t tiles = AMX_BLOCK / VL, steps = amx_all_steps(&a->band);
    assert(sl_slice_is_within(work, amx_blocks(a->k)));
    for (int64_t b = work->begin; b < work->end; b++) {
        sl_bf16 *to = (sl_bf16 *)packed + b * tiles * steps * AMX_PARTS * T_ELEMENTS;
        struct sl_amx_taps taps = sl_amx_first_taps(&a->band);
        do
            for (int32_t r = 0; r < taps.rows; r++) {
                const struct amx_run run = {a, filter, &taps, r};
                to = amx_pack_run(&run, (int32_t)b * AMX_BLOCK, to);
            }
        while (sl_amx_next_taps(&a->band, &taps));
    }
}
#endif
