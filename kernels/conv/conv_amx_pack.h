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

/* The weights of elements [e, e + T_DEPTH) of a run for output channel 0. NULL: past the end of the run, or a lane of
 * zeros. */
static void amx_weights_of(const struct amx_run *run, int32_t e, const float *from[T_DEPTH])
{
    const struct sl_window *w = &run->a->band.window;
    const struct amx_filter *f = run->filter;
    const int32_t pitch = run->a->band.pitch;
    const int64_t r = run->taps->row_phase + (int64_t)run->row * w->rows.spacing;
    const int64_t first = r * w->columns.kernel + run->taps->column_phase;
    const int64_t last = (int64_t)w->rows.kernel * w->columns.kernel - 1;
    for (int32_t i = 0, s = e / pitch, c = e % pitch; i < T_DEPTH; s++, c = 0) {
        const int64_t tap = first + (int64_t)s * w->columns.spacing;
        const float *at = f->weights + (f->turned ? last - tap : tap) * f->tap;
        for (; i < T_DEPTH && c < pitch; i++, c++)
            from[i] = s < run->taps->columns && c < w->c ? at + c * f->source : NULL;
    }
}

/* One register of each part: elements [e, e + T_DEPTH) of a kernel row x `channels` output channels from `first` on.
 * Channels of the output are neighbours in memory (backward-data), ... */
static void amx_pack_columns(const struct amx_run *run, int32_t e, int32_t first, int32_t channels, sl_bf16 *to,
                             ptrdiff_t part)
{
    const float *from[T_DEPTH];
    amx_weights_of(run, e, from);
    for (int32_t i = 0; i < T_DEPTH; i += 2, to += T_DEPTH) {
        t_words pairs[AMX_PARTS];
        amx_pair_floats(from[i] ? v_load_head(from[i] + first, channels) : v_zero(),
                        from[i + 1] ? v_load_head(from[i + 1] + first, channels) : v_zero(), pairs);
        for (int p = 0; p < AMX_PARTS; p++)
            t_store_words(to + p * part, pairs[p]);
    }
}

/* ... or those of the source are (forward). */
static void amx_pack_rows(const struct amx_run *run, int32_t e, int32_t first, int32_t channels, sl_bf16 *to,
                          ptrdiff_t part)
{
    const float *from[T_DEPTH];
    t_words pairs[AMX_PARTS][VL] = {{{0}}};
    amx_weights_of(run, e, from);
    /* A lane of zeros in between would bring the last of them nearer to the first. */
    const bool whole = from[0] && from[T_DEPTH - 1] == from[0] + T_DEPTH - 1;
    for (int32_t n = 0; n < channels; n++) {
        const ptrdiff_t at = (ptrdiff_t)(first + n) * run->filter->channel;
        float value[T_DEPTH];
        for (int32_t i = 0; i < T_DEPTH && !whole; i++)
            value[i] = from[i] ? from[i][at] : 0.0f;
        const float *values = whole ? from[0] + at : value;
        t_words parts[AMX_PARTS];
        amx_split(v_load(values), v_load(values + VL), parts);
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
