/* Reference of the operations on whole buffers. */
#include <math.h>

#include "kernels/contract.h"
#include "kernels/element.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/elementwise/flat.h"
#include "kernels/kernels.h"

static void add_fwd(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_flat *s = shape;
    const struct sl_add_fwd *t = args;
    assert(sl_work_fits(work, sl_flat_need, shape));
    for (int64_t i = sl_flat_begin(work); i < sl_flat_end(work, s->n); i++)
        sl_put(s->element, t->y, i, sl_get(s->element, t->a, i) + sl_get(s->element, t->b, i));
}

static void accumulate(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_flat *s = shape;
    const struct sl_accumulate *t = args;
    assert(sl_work_fits(work, sl_flat_need, shape));
    for (int64_t i = sl_flat_begin(work); i < sl_flat_end(work, s->n); i++)
        sl_put(s->element, t->y, i, sl_get(s->element, t->y, i) + sl_get(s->element, t->x, i));
}

static bool channel_copy_need(const void *shape, struct sl_need *need)
{
    need->units = ((const struct sl_channels *)shape)->pixels;
    return true;
}

static void channel_copy(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_channels *s = shape;
    const struct sl_channel_copy *t = args;
    assert(sl_channels_are_sound(s) && sl_work_fits(work, channel_copy_need, s));
    for (int64_t pixel = work->begin; pixel < work->end; pixel++) {
        const int64_t from = pixel * s->from_stride + s->from_at, to = pixel * s->to_stride + s->to_at;
        for (int32_t i = 0; i < s->c; i++) {
            const float x = sl_get(s->element, t->from, from + i);
            sl_put(s->element, t->to, to + i, s->add ? sl_get(s->element, t->to, to + i) + x : x);
        }
    }
}

static void dropout(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_dropout_shape *s = shape;
    const struct sl_dropout *t = args;
    assert(sl_work_fits(work, sl_flat_need, s));
    const float factor = 1.0f / (1.0f - s->rate);
    const uint64_t seed = t->now->seed, stream = sl_dropout_stream(t);
    for (int64_t i = sl_flat_begin(work); i < sl_flat_end(work, s->n); i++) {
        const bool keeps = sl_dropout_keeps(s->rate, seed, stream, (uint64_t)i);
        sl_put(s->element, t->y, i, keeps ? sl_get(s->element, t->x, i) * factor : 0.0f);
    }
}

static void weighted_sum(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_weighted_sum_shape *s = shape;
    const struct sl_weighted_sum *t = args;
    assert(s->parts >= 1 && sl_work_fits(work, sl_flat_need, s));
    for (int64_t i = sl_flat_begin(work); i < sl_flat_end(work, s->n); i++) {
        float sum = (t->weights ? t->weights[0] : 1.0f) * t->x[i];
        for (int32_t j = 1; j < s->parts; j++)
            sum = fmaf(t->weights ? t->weights[j] : 1.0f, t->x[j * s->n + i], sum);
        t->sum[i] = sum;
    }
}

static void scale(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_flat *s = shape;
    const struct sl_scale *t = args;
    assert(sl_work_fits(work, sl_flat_need, s));
    for (int64_t i = sl_flat_begin(work); i < sl_flat_end(work, s->n); i++)
        t->y[i] *= t->factor;
}

const struct sl_kernel sl_add_fwd_ref = {.need = sl_flat_need, .run = add_fwd};
const struct sl_kernel sl_add_fwd_bf16_ref = {.element = SL_ELEMENT_BF16, .need = sl_flat_need, .run = add_fwd};
const struct sl_kernel sl_accumulate_ref = {.need = sl_flat_need, .run = accumulate};
const struct sl_kernel sl_accumulate_bf16_ref = {.element = SL_ELEMENT_BF16, .need = sl_flat_need, .run = accumulate};
const struct sl_kernel sl_channel_copy_ref = {.need = channel_copy_need, .run = channel_copy};
const struct sl_kernel sl_channel_copy_bf16_ref = {
    .element = SL_ELEMENT_BF16, .need = channel_copy_need, .run = channel_copy};
const struct sl_kernel sl_dropout_ref = {.need = sl_flat_need, .run = dropout};
const struct sl_kernel sl_dropout_bf16_ref = {.element = SL_ELEMENT_BF16, .need = sl_flat_need, .run = dropout};
const struct sl_kernel sl_weighted_sum_ref = {.need = sl_flat_need, .run = weighted_sum};
const struct sl_kernel sl_scale_ref = {.need = sl_flat_need, .run = scale};
