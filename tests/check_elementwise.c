/* Sums, channel copies, dropout and scaling: one rounding each, so equal bits. */
#include <stdio.h>

#include "kernels/elementwise/elementwise.h"
#include "tests/check.h"
#include "tests/check_flat.h"

static const void *flat_shape(size_t index, char *name, size_t size)
{
    static struct sl_flat s;
    s.n = check_length(index, CHECK_ACTIVATIONS);
    snprintf(name, size, "n%lld", (long long)s.n);
    return &s;
}

static void add_fwd(struct check_case *c)
{
    const int64_t n = check_length_of(c);
    struct sl_add_fwd *t = (void *)c->args.bytes;
    t->a = check_input_pixels(c, "a", n, 1, 1, CHECK_UNIFORM);
    if (c->variant % 2) {
        t->y = check_inout(c, "y", n, 1, 1, CHECK_UNIFORM, check_exact);
        t->b = t->y;
    } else {
        t->b = check_input_pixels(c, "b", n, 1, 1, CHECK_UNIFORM);
        t->y = check_output_pixels(c, "y", n, 1, 1, check_exact);
    }
}

static void accumulate(struct check_case *c)
{
    const int64_t n = check_length_of(c);
    struct sl_accumulate *t = (void *)c->args.bytes;
    t->x = check_input_pixels(c, "x", n, 1, 1, CHECK_UNIFORM);
    t->y = check_inout(c, "y", n, 1, 1, CHECK_UNIFORM, check_exact);
}

/* pixels, c, from_stride, from_at, to_stride, to_at, add; the last MEASURED to be measured */
static const struct sl_channels channels[] = {
    {1, 1, 16, 0, 16, 3, 0, SL_ELEMENT_F32},
    {5, 7, 16, 9, 32, 1, 1, SL_ELEMENT_F32},
    {64, 64, 64, 0, 192, 64, 0, SL_ELEMENT_F32},
    {64, 64, 192, 128, 64, 0, 1, SL_ELEMENT_F32},
    {3, 17, 32, 0, 48, 31, 1, SL_ELEMENT_F32},
    {129, 32, 32, 0, 32, 0, 0, SL_ELEMENT_F32},
    {11, 15, 15, 0, 16, 1, 0, SL_ELEMENT_F32},
    {1031, 8, 16, 8, 24, 16, 0, SL_ELEMENT_F32},
    {32 * 32 * 32, 64, 64, 0, 192, 64, 0, SL_ELEMENT_F32},
};
enum { MEASURED = 1, CHANNELS = sizeof channels / sizeof *channels - MEASURED };

static const void *channel_shape(size_t index, char *name, size_t size)
{
    const struct sl_channels *s = &channels[index];
    snprintf(name, size, "m%lldc%df%d_%dt%d_%d%s", (long long)s->pixels, s->c, s->from_stride, s->from_at, s->to_stride,
             s->to_at, s->add ? "add" : "");
    return s;
}

static void channel_copy(struct check_case *c)
{
    const struct sl_channels *s = c->shape;
    const size_t moved = sl_element_bytes(s->element) * (size_t)(s->pixels * s->c);
    struct sl_channel_copy *t = (void *)c->args.bytes;
    t->from = check_input_pixels(c, "from", s->pixels, s->from_stride, s->from_stride, CHECK_UNIFORM);
    t->to = check_inout(c, "to", s->pixels, s->to_stride, s->to_stride, CHECK_UNIFORM, check_exact);
    check_moves(c, t->from, moved, 0);
    check_moves(c, t->to, s->add ? moved : 0, moved);
}

static const void *dropout_shape(size_t index, char *name, size_t size)
{
    static const float rates[] = {0.0f, 0.5f, 0.999f, 0.2f};
    static struct sl_dropout_shape s;
    s = (struct sl_dropout_shape){check_length(index, CHECK_ACTIVATIONS),
                                  index < CHECK_LENGTHS ? rates[index % 4] : 0.5f, SL_ELEMENT_F32};
    snprintf(name, size, "n%lld_%g", (long long)s.n, (double)s.rate);
    return &s;
}

static void dropout(struct check_case *c)
{
    const int64_t n = check_length_of(c);
    struct sl_dropout *t = (void *)c->args.bytes;
    if (c->variant % 2) {
        t->y = check_inout(c, "y", n, 1, 1, CHECK_UNIFORM, check_exact);
        t->x = t->y;
    } else {
        t->x = check_input_pixels(c, "x", n, 1, 1, CHECK_UNIFORM);
        t->y = check_output_pixels(c, "y", n, 1, 1, check_exact);
    }
    t->now = check_now(c, false);
    t->stream = 0xfedcba9876543210;
}

static const void *weighted_shape(size_t index, char *name, size_t size)
{
    static const int32_t parts[] = {1, 2, 3, 8};
    static struct sl_weighted_sum_shape s;
    s = (struct sl_weighted_sum_shape){check_length(index, CHECK_WEIGHTS), index < CHECK_LENGTHS ? parts[index % 4] : 4,
                                       SL_ELEMENT_F32};
    snprintf(name, size, "n%lldp%d", (long long)s.n, s.parts);
    return &s;
}

static void weighted_sum(struct check_case *c)
{
    const struct sl_weighted_sum_shape *s = c->shape;
    struct sl_weighted_sum *t = (void *)c->args.bytes;
    t->weights = c->variant % 2 ? NULL : check_input(c, "weights", (size_t)s->parts, CHECK_UNIFORM);
    if (c->variant % 3 == 1) {
        float *x = check_inout(c, "x", s->n * s->parts, 1, 1, CHECK_UNIFORM, check_exact);
        t->x = x;
        t->sum = x + s->n * (s->parts - 1);
    } else {
        t->x = check_input(c, "x", (size_t)(s->n * s->parts), CHECK_UNIFORM);
        t->sum = check_output(c, "sum", (size_t)s->n, check_exact);
    }
}

static void scale(struct check_case *c)
{
    struct sl_scale *t = (void *)c->args.bytes;
    t->y = check_inout(c, "y", check_length_of(c), 1, 1, CHECK_UNIFORM, check_exact);
    t->factor = c->measured ? 1.0f : 0.3f;
}

static const struct check_op ops[] = {
    {SL_OP_add_fwd, CHECK_LENGTHS, 1, flat_shape, add_fwd, NULL, CHECK_ALL_EQUAL},
    {SL_OP_accumulate, CHECK_LENGTHS, 1, flat_shape, accumulate, NULL, CHECK_ALL_EQUAL},
    {SL_OP_channel_copy, CHANNELS, MEASURED, channel_shape, channel_copy, NULL, CHECK_ALL_EQUAL},
    {SL_OP_dropout, CHECK_LENGTHS, 1, dropout_shape, dropout, NULL, CHECK_ALL_EQUAL},
    {SL_OP_weighted_sum, CHECK_LENGTHS, 1, weighted_shape, weighted_sum, NULL, CHECK_ALL_EQUAL},
    {SL_OP_scale, CHECK_LENGTHS, 1, flat_shape, scale, NULL, CHECK_ALL_EQUAL},
};
const struct check_area check_elementwise = {ops, sizeof ops / sizeof *ops};
