/* The operations of the fake cuDNN, in double. */
#include "tests/fake/fake_cudnn_graph.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/bf16.h"
#include "kernels/cuda/cudnn.h"

/* ---- attributes ---- */

static const void *find(const struct descriptor *d, int name)
{
    for (int i = 0; i < d->count; i++)
        if (d->attributes[i].name == name)
            return d->attributes[i].bytes;
    return NULL;
}

bool fake_has(const struct descriptor *d, int name)
{
    return find(d, name);
}

const void *fake_get(const struct descriptor *d, int name)
{
    const void *found = find(d, name);
    if (found)
        return found;
    fprintf(stderr, "fake cuDNN: a descriptor of type %d lacks %d\n", d->type, name);
    abort();
}

const struct descriptor *fake_get_descriptor(const struct descriptor *d, int name)
{
    return *(struct descriptor *const *)fake_get(d, name);
}

static int32_t get_int(const struct descriptor *d, int name)
{
    return *(const int32_t *)fake_get(d, name);
}

/* ---- tensors ---- */

struct tensor {
    const int64_t *lengths, *strides; /* n c h w */
    int32_t type;
    void *at;
};

static struct tensor tensor_of(const struct descriptor *operation, int name, const struct descriptor *pack)
{
    enum { MOST = FAKE_BYTES / 8 };
    const struct descriptor *d = fake_get_descriptor(operation, name);
    const int64_t id = *(const int64_t *)fake_get(d, SL_CUDNN_TENSOR_UNIQUE_ID);
    const int64_t *ids = fake_get(pack, SL_CUDNN_VARIANT_PACK_UNIQUE_IDS);
    void *const *pointers = fake_get(pack, SL_CUDNN_VARIANT_PACK_DATA_POINTERS);
    struct tensor t = {fake_get(d, SL_CUDNN_TENSOR_DIMENSIONS), fake_get(d, SL_CUDNN_TENSOR_STRIDES),
                       get_int(d, SL_CUDNN_TENSOR_DATA_TYPE), NULL};
    for (int i = 0; i < MOST; i++)
        if (ids[i] == id)
            t.at = pointers[i];
    if (!t.at || (uintptr_t)t.at % (size_t) * (const int64_t *)fake_get(d, SL_CUDNN_TENSOR_BYTE_ALIGNMENT))
        abort();
    return t;
}

static int64_t place(const struct tensor *t, int64_t n, int64_t c, int64_t h, int64_t w)
{
    return n * t->strides[0] + c * t->strides[1] + h * t->strides[2] + w * t->strides[3];
}

static double read(const struct tensor *t, int64_t at)
{
    return t->type == SL_CUDNN_DATA_FLOAT      ? ((float *)t->at)[at]
           : t->type == SL_CUDNN_DATA_BFLOAT16 ? sl_bf16_to_float(((sl_bf16 *)t->at)[at])
                                               : ((int8_t *)t->at)[at];
}

static void write(const struct tensor *t, int64_t at, double value)
{
    if (t->type == SL_CUDNN_DATA_FLOAT)
        ((float *)t->at)[at] = (float)value;
    else if (t->type == SL_CUDNN_DATA_BFLOAT16)
        ((sl_bf16 *)t->at)[at] = sl_bf16_from_float((float)value);
    else
        ((int8_t *)t->at)[at] = (int8_t)value;
}

static int64_t elements(const struct tensor *t)
{
    return t->lengths[0] * t->lengths[1] * t->lengths[2] * t->lengths[3];
}

/* ---- convolutions ---- */

/* Adds up all products of one output pixel; the pass decides which of the three they are added to. */
static void add_pixel(const struct descriptor *window, int type, const struct tensor *x, const struct tensor *w,
                      const struct tensor *y, double *sums, int64_t n, int64_t p, int64_t q)
{
    const int64_t *before = fake_get(window, SL_CUDNN_CONVOLUTION_PRE_PADDINGS),
                  *stride = fake_get(window, SL_CUDNN_CONVOLUTION_FILTER_STRIDES);
    for (int64_t k = 0; k < w->lengths[0]; k++)
        for (int64_t i = 0; i < w->lengths[1] * w->lengths[2] * w->lengths[3]; i++) {
            const int64_t c = i % w->lengths[1], s = i / w->lengths[1] % w->lengths[3],
                          r = i / w->lengths[1] / w->lengths[3];
            const int64_t row = p * stride[0] + r - before[0], column = q * stride[1] + s - before[1];
            if (row < 0 || row >= x->lengths[2] || column < 0 || column >= x->lengths[3])
                continue;
            const int64_t at_x = place(x, n, c, row, column), at_w = place(w, k, c, r, s), at_y = place(y, n, k, p, q);
            if (type == SL_CUDNN_OPERATION_CONVOLUTION_FORWARD)
                sums[at_y] += read(x, at_x) * read(w, at_w);
            else if (type == SL_CUDNN_OPERATION_CONVOLUTION_BACKWARD_DATA)
                sums[at_x] += read(y, at_y) * read(w, at_w);
            else
                sums[at_w] += read(x, at_x) * read(y, at_y);
        }
}

/* Do so many outputs follow from lengths, paddings and strides? */
static bool fits(const struct descriptor *window, const struct tensor *x, const struct tensor *w,
                 const struct tensor *y)
{
    const int64_t *before = fake_get(window, SL_CUDNN_CONVOLUTION_PRE_PADDINGS),
                  *after = fake_get(window, SL_CUDNN_CONVOLUTION_POST_PADDINGS),
                  *stride = fake_get(window, SL_CUDNN_CONVOLUTION_FILTER_STRIDES);
    for (int i = 0; i < 2; i++)
        if ((x->lengths[2 + i] + before[i] + after[i] - w->lengths[2 + i]) / stride[i] + 1 != y->lengths[2 + i] ||
            before[i] < 0 || after[i] < 0)
            return false;
    return x->lengths[1] == w->lengths[1] && y->lengths[1] == w->lengths[0] && x->lengths[0] == y->lengths[0] &&
           x->type == w->type && x->type == y->type;
}

static void convolve(const struct descriptor *operation, const struct descriptor *pack)
{
    static const int names[][4] = {
        {SL_CUDNN_FORWARD_CONV_DESC, SL_CUDNN_FORWARD_X, SL_CUDNN_FORWARD_W, SL_CUDNN_FORWARD_Y},
        {SL_CUDNN_BWD_FILTER_CONV_DESC, SL_CUDNN_BWD_FILTER_X, SL_CUDNN_BWD_FILTER_DW, SL_CUDNN_BWD_FILTER_DY},
        {SL_CUDNN_BWD_DATA_CONV_DESC, SL_CUDNN_BWD_DATA_DX, SL_CUDNN_BWD_DATA_W, SL_CUDNN_BWD_DATA_DY}};
    const int type = operation->type, *name = names[type - SL_CUDNN_OPERATION_CONVOLUTION_FORWARD];
    const struct descriptor *window = fake_get_descriptor(operation, name[0]);
    const struct tensor x = tensor_of(operation, name[1], pack), w = tensor_of(operation, name[2], pack),
                        y = tensor_of(operation, name[3], pack);
    const struct tensor *to = type == SL_CUDNN_OPERATION_CONVOLUTION_FORWARD         ? &y
                              : type == SL_CUDNN_OPERATION_CONVOLUTION_BACKWARD_DATA ? &x
                                                                                     : &w;
    double *sums = calloc((size_t)elements(to), sizeof *sums);
    if (!fits(window, &x, &w, &y))
        abort();
    for (int64_t i = 0; i < y.lengths[0] * y.lengths[2] * y.lengths[3]; i++)
        add_pixel(window, type, &x, &w, &y, sums, i / y.lengths[3] / y.lengths[2], i / y.lengths[3] % y.lengths[2],
                  i % y.lengths[3]);
    for (int64_t i = 0; i < elements(to); i++)
        write(to, i, sums[i]);
    free(sums);
}

/* ---- pools ---- */

struct windows {
    bool maximum;
    const int64_t *size, *stride, *before; /* fractions of two axes */
};

static struct windows windows_of(const struct descriptor *d)
{
    const bool maximum = get_int(d, SL_CUDNN_RESAMPLE_MODE) == SL_CUDNN_RESAMPLE_MAXPOOL;
    if (get_int(d, SL_CUDNN_RESAMPLE_PADDING_MODE) != (maximum ? SL_CUDNN_NEG_INF_PAD : SL_CUDNN_ZERO_PAD))
        abort();
    return (struct windows){maximum, fake_get(d, SL_CUDNN_RESAMPLE_WINDOW_DIMS), fake_get(d, SL_CUDNN_RESAMPLE_STRIDES),
                            fake_get(d, SL_CUDNN_RESAMPLE_PRE_PADDINGS)};
}

/* Where pixel k of a window lies in x; negative: in the padding. */
static int64_t pixel_at(const struct windows *w, const struct tensor *x, int64_t n, int64_t c, int64_t p, int64_t q,
                        int64_t k)
{
    const int64_t row = p * w->stride[0] - w->before[0] + k / w->size[2],
                  column = q * w->stride[2] - w->before[2] + k % w->size[2];
    const bool inside = row >= 0 && row < x->lengths[2] && column >= 0 && column < x->lengths[3];
    return inside ? place(x, n, c, row, column) : -1;
}

/* One window forward: its value, and which of its pixels is the first largest. */
static double pool_window(const struct windows *w, const struct tensor *x, int64_t n, int64_t c, int64_t p, int64_t q,
                          int *largest, int *pixels)
{
    double best = -INFINITY, sum = 0.0;
    *largest = *pixels = 0;
    for (int k = 0; k < w->size[0] * w->size[2]; k++) {
        const int64_t at = pixel_at(w, x, n, c, p, q, k);
        const double value = at < 0 ? -INFINITY : read(x, at);
        if (value > best) {
            best = value;
            *largest = k;
        }
        *pixels += at >= 0;
        sum += at < 0 ? 0.0 : value;
    }
    return w->maximum ? best : sum / *pixels;
}

static void pool(const struct descriptor *operation, const struct descriptor *pack)
{
    const struct windows w = windows_of(fake_get_descriptor(operation, SL_CUDNN_RESAMPLE_FWD_DESC));
    const struct tensor x = tensor_of(operation, SL_CUDNN_RESAMPLE_FWD_XDESC, pack),
                        y = tensor_of(operation, SL_CUDNN_RESAMPLE_FWD_YDESC, pack);
    const bool has_index = fake_has(operation, SL_CUDNN_RESAMPLE_FWD_IDXDESC);
    const struct tensor index = has_index ? tensor_of(operation, SL_CUDNN_RESAMPLE_FWD_IDXDESC, pack) : y;
    for (int64_t i = 0; i < elements(&y); i++) {
        const int64_t c = i % y.lengths[1], q = i / y.lengths[1] % y.lengths[3],
                      p = i / y.lengths[1] / y.lengths[3] % y.lengths[2], n = i / (elements(&y) / y.lengths[0]);
        int largest, pixels;
        write(&y, place(&y, n, c, p, q), pool_window(&w, &x, n, c, p, q, &largest, &pixels));
        if (has_index)
            write(&index, place(&index, n, c, p, q), largest);
    }
}

static void pool_back(const struct descriptor *operation, const struct descriptor *pack)
{
    const struct windows w = windows_of(fake_get_descriptor(operation, SL_CUDNN_RESAMPLE_BWD_DESC));
    const struct tensor dx = tensor_of(operation, SL_CUDNN_RESAMPLE_BWD_DXDESC, pack),
                        dy = tensor_of(operation, SL_CUDNN_RESAMPLE_BWD_DYDESC, pack);
    const struct tensor index = w.maximum ? tensor_of(operation, SL_CUDNN_RESAMPLE_BWD_IDXDESC, pack) : dy;
    for (int64_t i = 0; i < elements(&dy); i++) {
        const int64_t c = i % dy.lengths[1], q = i / dy.lengths[1] % dy.lengths[3],
                      p = i / dy.lengths[1] / dy.lengths[3] % dy.lengths[2], n = i / (elements(&dy) / dy.lengths[0]);
        const int64_t pixels = w.size[0] * w.size[2], at = place(&dy, n, c, p, q);
        for (int64_t k = 0; k < pixels; k++) {
            const double share = !w.maximum ? 1.0 / (double)pixels : k == (int64_t)read(&index, at) ? 1.0 : 0.0;
            write(&dx, pixel_at(&w, &dx, n, c, p, q, k), share * read(&dy, at));
        }
    }
}

/* ---- batch norm ---- */

/* The sum over all pixels of a channel, of x, or of products with y. */
static double sum_channel(const struct tensor *x, int64_t c, double origin, const struct tensor *y, double other)
{
    double sum = 0.0;
    for (int64_t i = c; i < elements(x); i += x->lengths[1])
        sum += (read(x, i) - origin) * (y ? read(y, i) - other : 1.0);
    return sum;
}

static void normalise(const struct descriptor *operation, const struct descriptor *pack)
{
    const struct tensor x = tensor_of(operation, SL_CUDNN_NORM_FWD_XDESC, pack),
                        mean = tensor_of(operation, SL_CUDNN_NORM_FWD_MEAN_DESC, pack),
                        rstd = tensor_of(operation, SL_CUDNN_NORM_FWD_INV_VARIANCE_DESC, pack),
                        scale = tensor_of(operation, SL_CUDNN_NORM_FWD_SCALE_DESC, pack),
                        bias = tensor_of(operation, SL_CUDNN_NORM_FWD_BIAS_DESC, pack),
                        epsilon = tensor_of(operation, SL_CUDNN_NORM_FWD_EPSILON_DESC, pack),
                        y = tensor_of(operation, SL_CUDNN_NORM_FWD_YDESC, pack);
    const int64_t channels = x.lengths[1];
    const double pixels = (double)(elements(&x) / channels);
    if (get_int(operation, SL_CUDNN_NORM_FWD_MODE) != SL_CUDNN_BATCH_NORM ||
        get_int(operation, SL_CUDNN_NORM_FWD_PHASE) != SL_CUDNN_NORM_FWD_TRAINING)
        abort();
    for (int64_t c = 0; c < channels; c++) {
        const double m = sum_channel(&x, c, 0.0, NULL, 0.0) / pixels;
        const double r = 1.0 / sqrt(sum_channel(&x, c, m, &x, m) / pixels + read(&epsilon, 0));
        write(&mean, c, m);
        write(&rstd, c, r);
        for (int64_t i = c; i < elements(&x); i += channels)
            write(&y, i, (read(&x, i) - m) * r * read(&scale, c) + read(&bias, c));
    }
}

static void normalise_back(const struct descriptor *operation, const struct descriptor *pack)
{
    const struct tensor x = tensor_of(operation, SL_CUDNN_NORM_BWD_XDESC, pack),
                        mean = tensor_of(operation, SL_CUDNN_NORM_BWD_MEAN_DESC, pack),
                        rstd = tensor_of(operation, SL_CUDNN_NORM_BWD_INV_VARIANCE_DESC, pack),
                        dy = tensor_of(operation, SL_CUDNN_NORM_BWD_DYDESC, pack),
                        scale = tensor_of(operation, SL_CUDNN_NORM_BWD_SCALE_DESC, pack),
                        dscale = tensor_of(operation, SL_CUDNN_NORM_BWD_DSCALE_DESC, pack),
                        dbias = tensor_of(operation, SL_CUDNN_NORM_BWD_DBIAS_DESC, pack),
                        dx = tensor_of(operation, SL_CUDNN_NORM_BWD_DXDESC, pack);
    const int64_t channels = x.lengths[1];
    const double pixels = (double)(elements(&x) / channels);
    for (int64_t c = 0; c < channels; c++) {
        const double m = read(&mean, c), r = read(&rstd, c), sum = sum_channel(&dy, c, 0.0, NULL, 0.0),
                     products = sum_channel(&dy, c, 0.0, &x, m) * r;
        for (int64_t i = c; i < elements(&x); i += channels)
            write(&dx, i,
                  read(&scale, c) * r * (read(&dy, i) - sum / pixels - (read(&x, i) - m) * r * products / pixels));
        write(&dscale, c, products);
        write(&dbias, c, sum);
    }
}

/* ---- the choice ---- */

static const struct {
    int type, x;
    void (*compute)(const struct descriptor *operation, const struct descriptor *pack);
} operations[] = {
    {SL_CUDNN_OPERATION_CONVOLUTION_FORWARD, SL_CUDNN_FORWARD_X, convolve},
    {SL_CUDNN_OPERATION_CONVOLUTION_BACKWARD_DATA, SL_CUDNN_BWD_DATA_DX, convolve},
    {SL_CUDNN_OPERATION_CONVOLUTION_BACKWARD_FILTER, SL_CUDNN_BWD_FILTER_X, convolve},
    {SL_CUDNN_OPERATION_RESAMPLE_FWD, SL_CUDNN_RESAMPLE_FWD_XDESC, pool},
    {SL_CUDNN_OPERATION_RESAMPLE_BWD, SL_CUDNN_RESAMPLE_BWD_DXDESC, pool_back},
    {SL_CUDNN_OPERATION_NORM_FORWARD, SL_CUDNN_NORM_FWD_XDESC, normalise},
    {SL_CUDNN_OPERATION_NORM_BACKWARD, SL_CUDNN_NORM_BWD_XDESC, normalise_back},
};

static int find_operation(int type)
{
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
        if (operations[i].type == type)
            return (int)i;
    fprintf(stderr, "fake cuDNN: no operation of type %d\n", type);
    abort();
}

int64_t fake_images(const struct descriptor *operation)
{
    const struct descriptor *x = fake_get_descriptor(operation, operations[find_operation(operation->type)].x);
    return *(const int64_t *)fake_get(x, SL_CUDNN_TENSOR_DIMENSIONS);
}

void fake_compute(const struct descriptor *operation, const struct descriptor *pack)
{
    operations[find_operation(operation->type)].compute(operation, pack);
}
