/* Convolutions and the gradient of their bias. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kernels/conv/conv.h"
#include "kernels/conv/winograd.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/norm/norm.h"
#include "tests/check.h"

/* One case a line. */
/* clang-format off */
static const struct sl_conv2d shapes[] = {
    /*    n   h   w    c    k kh kw sh sw pt pl  oh  ow   xs   ys */
    { 1,  1,  1,   1,   1, 1, 1, 1, 1, 0, 0,  1,  1,   1,   1, SL_ELEMENT_F32},
    { 1,  1,  1,   1,   1, 3, 3, 1, 1, 1, 1,  1,  1,  16,  16, SL_ELEMENT_F32},
    { 2,  5,  7,   3,  15, 3, 3, 1, 1, 1, 1,  5,  7,   3,  16, SL_ELEMENT_F32},
    { 3,  9, 11,   3,  32, 3, 3, 1, 1, 1, 1,  9, 11,   3,  32, SL_ELEMENT_F32},
    { 2,  8,  8,  15,  16, 2, 2, 1, 1, 0, 0,  8,  8,  16,  16, SL_ELEMENT_F32},
    { 2,  8,  8,  16,  17, 2, 2, 1, 1, 0, 0,  8,  8,  16,  32, SL_ELEMENT_F32},
    { 1,  6,  5,  17,  33, 5, 5, 1, 1, 2, 2,  6,  5,  32,  48, SL_ELEMENT_F32},
    { 2,  4, 19,   7,  31, 1, 7, 1, 1, 0, 3,  4, 19,  16,  32, SL_ELEMENT_F32},
    { 2, 19,  4,   5,  97, 7, 1, 1, 1, 3, 0, 19,  4,  16, 112, SL_ELEMENT_F32},
    { 2, 12, 13,  19,  23, 3, 3, 2, 2, 1, 1,  6,  7,  32,  32, SL_ELEMENT_F32},
    { 1, 14, 14,   8,  70, 2, 2, 3, 3, 0, 0,  5,  5,  16,  80, SL_ELEMENT_F32},
    { 1, 16, 17,   3,  11, 7, 7, 2, 2, 3, 3,  8,  9,   3,  16, SL_ELEMENT_F32},
    { 1,  9, 10,   4,   5, 3, 5, 2, 3, 1, 2,  5,  4,   4,   5, SL_ELEMENT_F32},
    { 1,  2,  3,   5,   6, 2, 2, 1, 1, 4, 5,  9, 11,  16,  16, SL_ELEMENT_F32},   /* padding larger than the kernel */
    { 1,  5,  5,   9,  20, 5, 5, 1, 1, 0, 0,  1,  1,  16,  32, SL_ELEMENT_F32},
    { 3,  7,  6,   6,   9, 2, 3, 1, 1, 0, 0,  6,  4,   6,   9, SL_ELEMENT_F32},   /* no padding */
    { 3,  7,  6,   6,   9, 2, 3, 1, 1, 0, 0,  6,  4,  16,  16, SL_ELEMENT_F32},
    { 2,  9,  9,  18,  40, 1, 1, 2, 2, 0, 0,  5,  5,  32,  48, SL_ELEMENT_F32},   /* 1x1, strided */
    { 2,  3,  3,  16,  16, 3, 3, 1, 1, 1, 1,  3,  3,  80,  90, SL_ELEMENT_F32},   /* far padding lanes */
    {13,  2,  2,  37,  64, 2, 2, 1, 1, 0, 0,  2,  2,  48,  64, SL_ELEMENT_F32},   /* several images a unit */
    {67,  4,  4,   3,   5, 3, 3, 1, 1, 1, 1,  4,  4,   3,  16, SL_ELEMENT_F32},
    { 1, 37,  1,  53, 129, 1, 1, 1, 1, 0, 0, 37,  1,  64, 144, SL_ELEMENT_F32},   /* dense */
    { 1,  1,  1, 700,  10, 1, 1, 1, 1, 0, 0,  1,  1, 704,  16, SL_ELEMENT_F32},
    { 1,  5,  6, 300,  18, 3, 3, 1, 1, 1, 1,  5,  6, 304,  32, SL_ELEMENT_F32},   /* weights cut within a kernel row */
    { 1,  3,  4, 700,  20, 3, 3, 1, 1, 1, 1,  3,  4, 704,  32, SL_ELEMENT_F32},   /* cut between its columns: lanes lie between them */
    { 1,  2,  3, 2100,  9, 2, 2, 1, 1, 0, 0,  2,  3, 2112, 16, SL_ELEMENT_F32},   /* cut within a column */
    { 1,  4,  3,  20, 700, 3, 3, 1, 1, 1, 1,  4,  3,  32, 704, SL_ELEMENT_F32},
    { 2,  2,  2,  16,  32, 5, 5, 1, 1, 2, 2,  2,  2,  16,  32, SL_ELEMENT_F32},   /* kernel larger than the image */
    { 2,  9,  9,  20,  24, 3, 3, 2, 2, 0, 1,  4,  5,  32,  32, SL_ELEMENT_F32},   /* strides: phases of the backward pass */
    { 3, 10,  7,  16,  48, 5, 4, 3, 2, 2, 1,  4,  4,  16,  48, SL_ELEMENT_F32},
    { 1, 11, 12,  16,  16, 2, 1, 4, 3, 0, 0,  3,  4,  16,  16, SL_ELEMENT_F32},   /* rows and columns that no output reads */
    { 1,  2,  2, 144, 112, 3, 3, 1, 1, 1, 1,  2,  2, 144, 112, SL_ELEMENT_F32},   /* one slice of backward-weights: the last 128 of 144 channels */
    { 1,  1,  1,  16,  16, 2, 2, 1, 1, 0, 0,  1,  1,  16,  16, SL_ELEMENT_F32},   /* Winograd's tiles: images smaller than one, */
    { 3,  2,  1,  32,  48, 3, 3, 1, 1, 1, 1,  2,  1,  32,  48, SL_ELEMENT_F32},   /* as large, and a few pixels larger; channels */
    { 2,  3,  3,  48,  32, 2, 2, 1, 1, 0, 0,  3,  3,  48,  32, SL_ELEMENT_F32},   /* of one to six vectors */
    { 1,  4,  5,  64,  96, 3, 3, 1, 1, 1, 1,  4,  5,  64,  96, SL_ELEMENT_F32},
    { 3,  5,  4,  16,  64, 2, 2, 1, 1, 0, 0,  5,  4,  16,  64, SL_ELEMENT_F32},
    { 1,  6,  6,  96,  16, 3, 3, 1, 1, 1, 1,  6,  6,  96,  16, SL_ELEMENT_F32},
    { 5,  6,  3,  32,  48, 2, 2, 1, 1, 0, 0,  6,  3,  32,  48, SL_ELEMENT_F32},
    { 2,  7,  7,  32,  32, 2, 2, 1, 1, 0, 0,  7,  7,  32,  32, SL_ELEMENT_F32},
    { 1,  8,  9,  16,  96, 3, 3, 1, 1, 1, 1,  8,  9,  16,  96, SL_ELEMENT_F32},
    { 2,  9,  8,  48,  48, 2, 2, 1, 1, 0, 0,  9,  8,  48,  48, SL_ELEMENT_F32},
    { 1, 31, 17,  16,  16, 2, 2, 1, 1, 0, 0, 31, 17,  16,  16, SL_ELEMENT_F32},   /* two blocks of backward-weights */
    { 2,  9,  7,  32,  37, 3, 3, 1, 1, 0, 0,  7,  5,  48,  90, SL_ELEMENT_F32},   /* no padding, far padding lanes */
    { 2,  7,  7,  32,  16, 2, 2, 1, 1, 1, 1,  7,  7,  32,  32, SL_ELEMENT_F32},   /* padding before, not after */
    { 1,  5,  6,  19,  33, 3, 3, 1, 1, 4, 5, 12, 13,  32,  48, SL_ELEMENT_F32},   /* padding larger than the kernel */
    { 1,  3,  6, 272,  80, 2, 2, 1, 1, 0, 0,  3,  6, 272,  80, SL_ELEMENT_F32},   /* pieces of the sum that are not alike */
    { 2,  3,  4, 130, 129, 2, 2, 1, 1, 0, 0,  3,  4, 144, 144, SL_ELEMENT_F32},   /* many channels on both sides, */
    { 1,  5,  6, 128, 130, 3, 2, 2, 3, 1, 0,  3,  2, 128, 144, SL_ELEMENT_F32},   /* strided */
    { 5, 31, 28,   5,  16, 3, 3, 1, 1, 1, 1, 31, 28,  16,  16, SL_ELEMENT_F32},   /* parts of backward-weights: images, */
    { 1, 91, 99,   3,  20, 3, 3, 1, 1, 1, 1, 91, 99,   3,  32, SL_ELEMENT_F32},   /* rows of an image, */
    { 1,131,131,   3,  16, 5, 4, 2, 2, 2, 1, 66, 66,  16,  16, SL_ELEMENT_F32},   /* strided, */
    { 1, 4300,1,  16,  40, 1, 1, 1, 1, 0, 0, 4300,1,  16,  48, SL_ELEMENT_F32},   /* read in place, */
    {65,  6,  6,  16,  16, 3, 3, 1, 1, 1, 1,  6,  6,  16,  16, SL_ELEMENT_F32},   /* Winograd's tiles */
    {521, 4,  4,  16,  16, 2, 2, 1, 1, 0, 0,  4,  4,  16,  16, SL_ELEMENT_F32},
    { 1, 13, 11,  33,  13, 7, 7, 1, 1, 3, 3, 13, 11,  48,  16, SL_ELEMENT_F32},
    { 1, 24, 24, 112,  64, 1, 1, 1, 1, 0, 0, 24, 24, 112,  80, SL_ELEMENT_F32},   /* one slice of backward-weights: groups of channels not alike */
    { 1, 256, 256, 3,  32, 1, 1, 1, 1, 0, 0, 256, 256, 3,  32, SL_ELEMENT_F32},   /* y goes past the caches, */
    { 1,  3,  1, 2048, 1024, 1, 1, 1, 1, 0, 0, 3, 1, 2048, 1024, SL_ELEMENT_F32}, /* and dw */
    { 3,  9, 11, 128, 100, 1, 1, 2, 3, 0, 0,  5,  4, 128, 1024, SL_ELEMENT_F32},  /* 1x1: strided, dy copied; blocks of 64, 32 and 16 channels */
    { 1, 17, 16,  64,  64, 2, 2, 1, 1, 0, 0, 17, 16,  64,  64, SL_ELEMENT_F32},
    { 1, 16, 17,  32,  64, 3, 3, 1, 1, 1, 1, 16, 17,  32,  64, SL_ELEMENT_F32},
    { 1, 31, 31,  16,  32, 2, 2, 1, 1, 0, 0, 31, 31,  16,  32, SL_ELEMENT_F32},
    { 1, 31, 17,  32,  16, 3, 3, 1, 1, 1, 1, 31, 17,  32,  16, SL_ELEMENT_F32},
    { 2, 65, 66,  32,  32, 3, 3, 1, 1, 1, 1, 65, 66,  32,  32, SL_ELEMENT_F32},   /* parts whose tiles are not alike */
    { 1,  9, 10, 272,  80, 2, 2, 1, 1, 0, 0,  9, 10, 272,  80, SL_ELEMENT_F32},
    { 1, 64, 64,   3,  32, 3, 3, 1, 1, 1, 1, 64, 64,   3,  32, SL_ELEMENT_F32},   /* the network, some of it on smaller images */
    { 1, 32, 32,  32,  64, 3, 3, 1, 1, 1, 1, 32, 32,  32,  64, SL_ELEMENT_F32},
    { 1, 16, 32,  64, 128, 2, 2, 1, 1, 0, 0, 16, 32,  64, 128, SL_ELEMENT_F32},
    { 1,  8, 32, 128, 256, 2, 2, 1, 1, 0, 0,  8, 32, 128, 256, SL_ELEMENT_F32},
    { 1,  5, 16, 256, 256, 2, 2, 1, 1, 0, 0,  5, 16, 256, 256, SL_ELEMENT_F32},
    { 1,  3, 16, 256, 512, 2, 2, 1, 1, 0, 0,  3, 16, 256, 512, SL_ELEMENT_F32},
    { 2,  8,  8, 512, 200, 1, 1, 1, 1, 0, 0,  8,  8, 512, 208, SL_ELEMENT_F32},
    {32,  8,  8, 512, 200, 1, 1, 1, 1, 0, 0,  8,  8, 512, 208, SL_ELEMENT_F32},   /* measured; bench/bench_conv.cc measures the other layers */
};
/* clang-format on */
/* Forward with a pool: windows in whole and in cut tiles, in units of an odd number of rows and of several images. */
/* clang-format off */
static const struct sl_conv2d poolable[] = {
    { 1,  2,  2,   1,   1, 1, 1, 1, 1, 0, 0,  2,  2,   1,   1, SL_ELEMENT_F32},
    { 2,  6,  4,   3,   5, 3, 3, 1, 1, 1, 1,  6,  4,   3,   5, SL_ELEMENT_F32},
    { 1, 12, 13,  19,  23, 3, 3, 2, 2, 1, 0,  6,  6,  32,  32, SL_ELEMENT_F32},
    { 1, 40, 38,   3,  32, 3, 3, 1, 1, 1, 1, 40, 38,   3,  32, SL_ELEMENT_F32},
    { 1, 12, 98,   5,  40, 3, 3, 1, 1, 1, 1, 12, 98,   5,  48, SL_ELEMENT_F32},
    { 7,  4,  4,  15,  70, 2, 2, 1, 1, 0, 0,  4,  4,  16,  90, SL_ELEMENT_F32},
    { 1,  2,  2,  16,  16, 2, 2, 1, 1, 0, 0,  2,  2,  16,  16, SL_ELEMENT_F32},
    { 3,  6,  6,  32,  48, 2, 2, 1, 1, 0, 0,  6,  6,  32,  48, SL_ELEMENT_F32},
    { 2, 10,  4,  17,  37, 2, 2, 1, 1, 0, 0, 10,  4,  32,  90, SL_ELEMENT_F32},
    { 1,  6, 10,  32,  64, 3, 3, 1, 1, 1, 1,  6, 10,  32,  64, SL_ELEMENT_F32},
    { 2,  2,  6,  16,  33, 3, 3, 1, 1, 1, 1,  2,  6,  16,  48, SL_ELEMENT_F32},
    { 1, 10, 120, 15,  20, 3, 3, 1, 1, 1, 1, 10, 120, 16,  32, SL_ELEMENT_F32},
    { 1, 16, 18, 144, 128, 2, 2, 1, 1, 0, 0, 16, 18, 144, 128, SL_ELEMENT_F32},
    {32, 16, 16, 256, 512, 2, 2, 1, 1, 0, 0, 16, 16, 256, 512, SL_ELEMENT_F32},   /* measured */
};
/* clang-format on */

enum {
    MEASURED = 1,
    SHAPES = sizeof shapes / sizeof *shapes - MEASURED,
    POOLABLE = sizeof poolable / sizeof *poolable - MEASURED
};

static const void *describe(const struct sl_conv2d *s, const char *what, char *name, size_t size)
{
    snprintf(name, size, "n%dh%dw%dc%d_%dk%d_%do%dx%d_%dx%ds%dx%dp%d_%d%s", s->n, s->h, s->w, s->c, s->xs, s->k, s->ys,
             s->oh, s->ow, s->kh, s->kw, s->stride_h, s->stride_w, s->pad_top, s->pad_left, what);
    return s;
}

static const void *shape(size_t index, char *name, size_t size)
{
    return describe(&shapes[index], "", name, size);
}

/* Forward runs twice: alone, then with bias, activation and moments. */
static const void *fwd_shape(size_t index, char *name, size_t size)
{
    return describe(&shapes[index / 2], index % 2 ? "_fused" : "", name, size);
}

static const void *pooled_shape(size_t index, char *name, size_t size)
{
    return describe(&poolable[index], "_pooled", name, size);
}

static int64_t inside(const struct sl_conv2d *s)
{
    return (int64_t)s->n * s->h * s->w;
}

static int64_t outside(const struct sl_conv2d *s)
{
    return (int64_t)s->n * s->oh * s->ow;
}

/* Operands are uniform in [-1, 1): a product has variance 1/9, so a sum of m of them is about sqrt(m)/3, and its
 * roundings in single precision add up, at random, to about 0.07*m*epsilon; for the largest of many sums to a few times
 * as much. A term that is missing or wrong shows as about 1/3. */
static struct check_tolerance sum_of(double terms)
{
    return (struct check_tolerance){(terms + 4.0) * (double)FLT_EPSILON, 0.0, 0};
}

/* A row of Winograd's method adds up other products than the formula has, and its errors are those of its form
 * (kernels/conv/README.md): a multiple of the size of a sum that hardly depends on how many terms it has. Here twice
 * and a half the largest one measured. */
static struct check_tolerance winograd_sum_of(double terms, enum sl_winograd form)
{
    static const double most[SL_WINOGRAD_FORMS] = {6e-5, 6e-6, 6e-5, 6e-6};
    return (struct check_tolerance){most[form] * sqrt(terms) / 3.0, 0.0, 0};
}

/* The same of one that rounds transformed values to bf16: again twice and a half the largest. */
static struct check_tolerance winograd_dot_sum_of(double terms)
{
    return (struct check_tolerance){6e-2 * sqrt(terms) / 3.0, 0.0, 0};
}

/* A row of split floats leaves out about 2^-18 of each product, at random, and adds up as others do. */
static struct check_tolerance split_sum_of(double terms)
{
    struct check_tolerance t = sum_of(terms);
    t.absolute += 4e-5 * sqrt(terms) / 3.0;
    return t;
}

/* The tolerance of sums of `terms` for the case's row, h x w of them in an image. */
static struct check_tolerance sums(const struct check_case *c, double terms, int32_t h, int32_t w)
{
    const struct sl_conv2d *s = c->shape;
    const bool tensor_cores =
        c->row->needs & SL_CUDA && (c->row->needs & SL_TF32 || c->kernel->element == SL_ELEMENT_BF16);
    const bool library = c->row->needs & SL_CUDNN;
    if (!strncmp(c->row->name, "split", 5))
        return split_sum_of(terms);
    /* Tensor cores cut their sums off instead of rounding them; how a library adds up is its own affair. */
    if (strncmp(c->row->name, "winograd", 8))
        return sum_of(tensor_cores || library ? 4.0 * terms : terms);
    return strstr(c->row->name, "_dot_") ? winograd_dot_sum_of(terms)
                                         : winograd_sum_of(terms, sl_winograd_choose(s->kh, h, w));
}

static const void *activation(struct check_case *c, const char *name, int64_t pixels, int32_t channels, int32_t stride)
{
    return check_input_pixels(c, name, pixels, channels, stride, CHECK_UNIFORM);
}

/* Comes last in a case: rows that do not pack have one buffer less, and buffers are compared by their order. Rows of
 * bf16 round weights to it; here they are so already, so that errors are those of the sums. */
static const float *weights(struct check_case *c, const struct sl_conv2d *s)
{
    const size_t n = sl_conv2d_weights(s);
    float *at = check_input_bytes(c, "weights", n * sizeof *at, sizeof *at);
    for (size_t i = 0; i < n; i++) {
        const float value = check_draw(c, CHECK_UNIFORM);
        at[i] = c->rounded ? sl_bf16_to_float(sl_bf16_from_float(value)) : value;
    }
    check_freeze(c, at);
    return check_pack(c, at);
}

static int64_t records(const struct check_case *c)
{
    return c->need.records ? c->need.records : c->need.units;
}

/* The moments are compared after their join: how a row cuts its records is its own affair, and so is whether it takes
 * them before or after it rounds to the element. */
static void fuse(struct check_case *c, const struct sl_conv2d *s, struct sl_conv2d_fwd *t, double terms)
{
    const double spread = sqrt(terms) + 1.0, rounding = c->kernel->element == SL_ELEMENT_BF16 ? 0x1p-8 : 0.0;
    t->bias = check_input(c, "bias", (size_t)s->k, CHECK_UNIFORM);
    t->slope = 0.25f;
    t->moments = check_work(c, "records", (size_t)records(c) * sl_moments_size(s->ys));
    check_output_rows(c, "mean", 1, s->k, s->ys, (struct check_tolerance){(1e-5 + rounding) * spread, 0.0, 0});
    check_output_rows(c, "var", 1, s->k, s->ys, (struct check_tolerance){(1e-5 + rounding) * spread * spread, 1e-5, 0});
}

/* cuDNN stores its sums before the bias is added to them: in bf16 they are rounded there as well. */
static struct check_tolerance fused_sums(const struct check_case *c, double terms, int32_t h, int32_t w)
{
    struct check_tolerance t = sums(c, terms, h, w);
    if (strstr(c->row->name, "bf16_cudnn"))
        t.absolute += 0x1p-8 * (sqrt(terms) + 1.0);
    return t;
}

static void fwd(struct check_case *c)
{
    const struct sl_conv2d *s = c->shape;
    struct sl_conv2d_fwd *t = (void *)c->args.bytes;
    const double terms = (double)s->kh * s->kw * s->c;
    t->x = activation(c, "x", inside(s), s->c, s->xs);
    t->slope = 1.0f;
    const bool fused = c->index % 2;
    t->y = check_output_pixels(c, "y", outside(s), s->k, s->ys, (fused ? fused_sums : sums)(c, terms, s->oh, s->ow));
    if (fused)
        fuse(c, s, t, terms);
    t->weights = weights(c, s);
}

/* With and without bias and activation in turns. A form whose tiles cut windows gives way to the large one. */
static void pool_fwd(struct check_case *c)
{
    const struct sl_conv2d *s = c->shape;
    struct sl_conv2d_fwd *t = (void *)c->args.bytes;
    const double terms = (double)s->kh * s->kw * s->c;
    const bool winograd = !strncmp(c->row->name, "winograd", 8) && s->kh == 2;
    const struct check_tolerance tolerance =
        winograd ? winograd_sum_of(terms, SL_WINOGRAD_4_2) : sums(c, terms, s->oh, s->ow);
    t->x = activation(c, "x", inside(s), s->c, s->xs);
    t->slope = c->variant % 2 ? 0.25f : 1.0f;
    t->bias = c->variant % 2 ? check_input(c, "bias", (size_t)s->k, CHECK_UNIFORM) : NULL;
    t->y = check_output_pixels(c, "y", outside(s) / 4, s->k, s->ys, tolerance);
    t->weights = weights(c, s);
}

static void join(struct check_case *c)
{
    const struct sl_conv2d *s = c->shape;
    if (c->index % 2)
        check_reference(
            SL_OP_norm_join, &(struct sl_norm){.c = s->k, .xs = s->ys},
            &(struct sl_norm_join){check_find(c, "records"), records(c), check_find(c, "mean"), check_find(c, "var")});
}

static void bwd_data(struct check_case *c)
{
    const struct sl_conv2d *s = c->shape;
    struct sl_conv2d_bwd_data *t = (void *)c->args.bytes;
    t->dy = activation(c, "dy", outside(s), s->k, s->ys);
    t->dx = check_output_pixels(c, "dx", inside(s), s->c, s->xs, sums(c, (double)s->kh * s->kw * s->k, s->h, s->w));
    t->weights = weights(c, s);
}

/* cuDNN stores its sums of bf16 in bf16. */
static struct check_tolerance gradient_sums(const struct check_case *c, double terms, int32_t h, int32_t w)
{
    struct check_tolerance t = sums(c, terms, h, w);
    if (strstr(c->row->name, "bf16_cudnn"))
        t.relative += 0x1p-8;
    return t;
}

static void bwd_weights(struct check_case *c)
{
    const struct sl_conv2d *s = c->shape;
    struct sl_conv2d_bwd_weights *t = (void *)c->args.bytes;
    t->x = activation(c, "x", inside(s), s->c, s->xs);
    t->dy = activation(c, "dy", outside(s), s->k, s->ys);
    t->dw = check_output(c, "dw", sl_conv2d_weights(s), gradient_sums(c, (double)outside(s), s->oh, s->ow));
    if (c->need.parts)
        t->dw = check_work(c, "parts", (size_t)c->need.parts * sl_conv2d_weights(s));
}

static void add_parts(struct check_case *c)
{
    const struct sl_weighted_sum_shape shape = {(int64_t)sl_conv2d_weights(c->shape), (int32_t)c->need.parts,
                                                SL_ELEMENT_F32};
    if (c->need.parts)
        check_reference(SL_OP_weighted_sum, &shape,
                        &(struct sl_weighted_sum){.x = check_find(c, "parts"), .sum = check_find(c, "dw")});
}

static void bias_bwd(struct check_case *c)
{
    const struct sl_conv2d *s = c->shape;
    struct sl_bias_bwd *t = (void *)c->args.bytes;
    t->dy = activation(c, "dy", outside(s), s->k, s->ys);
    t->db = check_output(c, "db", (size_t)s->k, sum_of((double)outside(s)));
}

/* Two roundings of each weight. */
static void fold(struct check_case *c)
{
    const struct sl_conv2d *s = c->shape;
    struct sl_conv2d_fold *t = (void *)c->args.bytes;
    const size_t k = (size_t)s->k;
    t->weights = check_input(c, "weights", sl_conv2d_weights(s), CHECK_UNIFORM);
    t->bias = c->variant % 2 ? check_input(c, "bias", k, CHECK_UNIFORM) : NULL;
    t->gamma = check_input(c, "gamma", k, CHECK_UNIFORM);
    t->beta = check_input(c, "beta", k, CHECK_UNIFORM);
    t->mean = check_input(c, "mean", k, CHECK_UNIFORM);
    t->var = check_input(c, "var", k, CHECK_POSITIVE);
    t->epsilon = 1e-5;
    t->folded = check_output(c, "folded", sl_conv2d_weights(s), (struct check_tolerance){0.0, 2e-7, 2});
    t->folded_bias = check_output(c, "folded bias", k, (struct check_tolerance){1e-6, 2e-7, 2});
}

static const struct check_op ops[] = {
    {SL_OP_conv2d_fwd, 2 * SHAPES, 2 * MEASURED, fwd_shape, fwd, join, CHECK_CLOSE},
    {SL_OP_conv2d_pool_fwd, POOLABLE, 1, pooled_shape, pool_fwd, NULL, CHECK_CLOSE},
    {SL_OP_conv2d_bwd_data, SHAPES, MEASURED, shape, bwd_data, NULL, CHECK_CLOSE},
    {SL_OP_conv2d_bwd_weights, SHAPES, MEASURED, shape, bwd_weights, add_parts, CHECK_CLOSE},
    {SL_OP_bias_bwd, SHAPES, MEASURED, shape, bias_bwd, NULL, CHECK_CLOSE},
    {SL_OP_conv2d_fold, SHAPES, MEASURED, shape, fold, NULL, CHECK_CLOSE},
};
const struct check_area check_conv = {ops, sizeof ops / sizeof *ops};
