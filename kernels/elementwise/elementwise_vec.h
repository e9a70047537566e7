/* Sums, channel copies and dropout, once for all vector lengths and elements: one pass, one vector at a time. */
#include "kernels/contract.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/elementwise/flat.h"
#include "kernels/kernels.h"

static void add_fwd(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_add_fwd *t = args;
    const int64_t end = sl_flat_end(work, ((const struct sl_flat *)shape)->n);
    int64_t i = sl_flat_begin(work);
    assert(sl_work_fits(work, sl_flat_need, shape));
    for (; i + VL <= end; i += VL) {
        __builtin_prefetch(e_at(t->a, i + SL_FLAT_AHEAD));
        __builtin_prefetch(e_at(t->b, i + SL_FLAT_AHEAD));
        __builtin_prefetch(e_to(t->y, i + SL_FLAT_AHEAD), 1);
        e_store(e_to(t->y, i), v_add(e_load(e_at(t->a, i)), e_load(e_at(t->b, i))));
    }
    if (i < end) {
        const int n = (int)(end - i);
        e_store_head(e_to(t->y, i), v_add(e_load_head(e_at(t->a, i), n), e_load_head(e_at(t->b, i), n)), n);
    }
}

static void accumulate(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_accumulate *t = args;
    const struct sl_add_fwd sum = {.a = t->y, .b = t->x, .y = t->y};
    add_fwd(shape, &sum, work);
}

/* Pixels in groups, so that a thread's slice is worth its while. */
enum { PIXEL_GROUP = 64 };

static bool channel_copy_need(const void *shape, struct sl_need *need)
{
    need->units = (((const struct sl_channels *)shape)->pixels + PIXEL_GROUP - 1) / PIXEL_GROUP;
    return true;
}

static inline void copy_some(const ve *from, ve *to, bool add, int n)
{
    const vf x = e_load_some(from, n);
    e_store_some(to, add ? v_add(e_load_some(to, n), x) : x, n);
}

static void channel_copy(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_channels *s = shape;
    const struct sl_channel_copy *t = args;
    const int64_t end = work->end * PIXEL_GROUP < s->pixels ? work->end * PIXEL_GROUP : s->pixels;
    assert(sl_channels_are_sound(s) && sl_work_fits(work, channel_copy_need, s));
    for (int64_t pixel = work->begin * PIXEL_GROUP; pixel < end; pixel++) {
        const ve *from = e_at(t->from, pixel * s->from_stride + s->from_at);
        ve *to = e_to(t->to, pixel * s->to_stride + s->to_at);
        int32_t c = 0;
        for (; c + VL <= s->c; c += VL) {
            __builtin_prefetch(from + c + SL_FLAT_AHEAD);
            __builtin_prefetch(to + c + SL_FLAT_AHEAD, 1);
            copy_some(from + c, to + c, s->add, VL);
        }
        if (c < s->c)
            copy_some(from + c, to + c, s->add, s->c - c);
    }
}

/* Philox4x32-10 (philox.h) of VL counters (stream, counter), (stream, counter + 1), ... */
static inline void philox(uint64_t key, uint64_t stream, uint64_t counter, vi word[4])
{
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    vi c0 = vi_count((uint32_t)counter), c1 = vi_set1((uint32_t)(counter >> 32));
    vi c2 = vi_set1((uint32_t)stream), c3 = vi_set1((uint32_t)(stream >> 32));
    for (int round = 0; round < 10; round++) {
        vi high0, low0, high2, low2;
        vi_mul(c0, vi_set1(0xD2511F53u), &high0, &low0);
        vi_mul(c2, vi_set1(0xCD9E8D57u), &high2, &low2);
        c0 = vi_xor(vi_xor(high2, c1), vi_set1(k0));
        c2 = vi_xor(vi_xor(high0, c3), vi_set1(k1));
        c1 = low2;
        c3 = low0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    word[0] = c0;
    word[1] = c1;
    word[2] = c2;
    word[3] = c3;
}

/* Elements [i, i + VL) of the run, of which n are there. */
static inline void drop_some(const struct sl_dropout *t, int64_t i, vi bits, vf rate, vf factor, int n)
{
    const vf kept = v_mul(e_load_some(e_at(t->x, i), n), factor);
    e_store_some(e_to(t->y, i), v_keep(v_ge(vi_uniform(bits), rate), kept), n);
}

static void dropout(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_dropout_shape *s = shape;
    const struct sl_dropout *t = args;
    const int64_t end = sl_flat_end(work, s->n);
    const vf rate = v_set1(s->rate), factor = v_set1(1.0f / (1.0f - s->rate));
    const uint64_t seed = t->now->seed, stream = sl_dropout_stream(t);
    assert(sl_work_fits(work, sl_flat_need, s));
    for (int64_t block = sl_flat_begin(work); block < end; block += 64)
        for (int64_t lane = 0; lane < 16; lane += VL) {
            vi word[4];
            philox(seed, stream, (uint64_t)(block / 4 + lane), word);
            for (int w = 0; w < 4; w++) {
                const int64_t i = block + 16 * w + lane;
                if (i + VL <= end)
                    drop_some(t, i, word[w], rate, factor, VL);
                else if (i < end)
                    drop_some(t, i, word[w], rate, factor, (int)(end - i));
            }
        }
}

const struct sl_kernel E_NAME(sl_add_fwd) = {.element = E_ELEMENT, .need = sl_flat_need, .run = add_fwd};
const struct sl_kernel E_NAME(sl_accumulate) = {.element = E_ELEMENT, .need = sl_flat_need, .run = accumulate};
const struct sl_kernel E_NAME(sl_channel_copy) = {.element = E_ELEMENT, .need = channel_copy_need, .run = channel_copy};
const struct sl_kernel E_NAME(sl_dropout) = {.element = E_ELEMENT, .need = sl_flat_need, .run = dropout};
