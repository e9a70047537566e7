/* Operations on whole buffers on a GPU: bound by memory; threads next to each other take elements next to each other.
 */
#include "kernels/cuda/cuda.cuh"
#include "kernels/elementwise/elementwise.h"
#include "kernels/elementwise/flat.h"
#include "kernels/kernels.h"

constexpr int THREADS = 256, EACH = 4; /* elements of a thread, in the least grid */

static dim3 grid_of(int64_t n)
{
    return dim3(sl_cuda_blocks(n, EACH * THREADS));
}

/* The loop of every kernel here: element i of this thread, then every so many after it. */
#define FOR_EACH(i, n) \
    for (int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x; i < (int64_t)(n); i += (int64_t)gridDim.x * THREADS)

/* ---- sums ---- */

template <class T> static __global__ void __launch_bounds__(THREADS) add(int64_t n, const T *a, const T *b, T *y)
{
    FOR_EACH(i, n)
    sl_write(y + i, sl_read(a + i) + sl_read(b + i));
}

template <class T> static void add_fwd(const void *shape, const void *args, const struct sl_work *work)
{
    const auto *s = static_cast<const struct sl_flat *>(shape);
    const auto *t = static_cast<const struct sl_add_fwd *>(args);
    sl_cuda_launch(add<T>, grid_of(s->n), dim3(THREADS), 0, work, s->n, (const T *)t->a, (const T *)t->b, (T *)t->y);
}

template <class T> static void accumulate(const void *shape, const void *args, const struct sl_work *work)
{
    const auto *s = static_cast<const struct sl_flat *>(shape);
    const auto *t = static_cast<const struct sl_accumulate *>(args);
    sl_cuda_launch(add<T>, grid_of(s->n), dim3(THREADS), 0, work, s->n, (const T *)t->y, (const T *)t->x, (T *)t->y);
}

static __global__ void __launch_bounds__(THREADS) multiply(int64_t n, float factor, float *y)
{
    FOR_EACH(i, n)
    y[i] *= factor;
}

static void scale(const void *shape, const void *args, const struct sl_work *work)
{
    const auto *s = static_cast<const struct sl_flat *>(shape);
    const auto *t = static_cast<const struct sl_scale *>(args);
    sl_cuda_launch(multiply, grid_of(s->n), dim3(THREADS), 0, work, s->n, t->factor, t->y);
}

static __global__ void __launch_bounds__(THREADS)
    weigh(int64_t n, int32_t parts, const float *x, const float *weights, float *to)
{
    FOR_EACH(i, n)
    {
        float sum = weights ? weights[0] * x[i] : x[i];
        for (int32_t j = 1; j < parts; j++)
            sum = fmaf(weights ? weights[j] : 1.0f, x[j * n + i], sum);
        to[i] = sum;
    }
}

static void weighted_sum(const void *shape, const void *args, const struct sl_work *work)
{
    const auto *s = static_cast<const struct sl_weighted_sum_shape *>(shape);
    const auto *t = static_cast<const struct sl_weighted_sum *>(args);
    sl_cuda_launch(weigh, grid_of(s->n), dim3(THREADS), 0, work, s->n, s->parts, t->x, t->weights, t->sum);
}

/* ---- channels ---- */

template <class T>
static __global__ void __launch_bounds__(THREADS) copy_channels(const struct sl_channels s, const T *from, T *to)
{
    FOR_EACH(i, s.pixels * s.c)
    {
        const int64_t pixel = i / s.c, c = i % s.c;
        const float x = sl_read(from + pixel * s.from_stride + s.from_at + c);
        T *at = to + pixel * s.to_stride + s.to_at + c;
        sl_write(at, s.add ? sl_read(at) + x : x);
    }
}

static bool channel_copy_need(const void *shape, struct sl_need *need)
{
    need->units = static_cast<const struct sl_channels *>(shape)->pixels;
    return true;
}

template <class T> static void channel_copy(const void *shape, const void *args, const struct sl_work *work)
{
    const auto *s = static_cast<const struct sl_channels *>(shape);
    const auto *t = static_cast<const struct sl_channel_copy *>(args);
    if (s->pixels > 0 && s->c > 0)
        sl_cuda_launch(copy_channels<T>, grid_of(s->pixels * s->c), dim3(THREADS), 0, work, *s, (const T *)t->from,
                       (T *)t->to);
}

/* ---- dropout ---- */

/* A draw has four words, for elements 16 apart (elementwise.h). */
template <class T>
static __global__ void __launch_bounds__(THREADS)
    drop(int64_t n, float rate, const struct sl_dropout t, const T *x, T *y)
{
    const float factor = 1.0f / (1.0f - rate);
    const uint64_t seed = t.now->seed, stream = sl_dropout_stream(&t);
    FOR_EACH(j, (n + 63) / 64 * 16)
    {
        const struct sl_philox draw = sl_philox4x32(seed, stream, (uint64_t)j);
        for (int w = 0; w < 4; w++) {
            const int64_t i = j / 16 * 64 + w * 16 + j % 16;
            if (i < n)
                sl_write(y + i, sl_uniform(draw.word[w]) >= rate ? sl_read(x + i) * factor : 0.0f);
        }
    }
}

template <class T> static void dropout(const void *shape, const void *args, const struct sl_work *work)
{
    const auto *s = static_cast<const struct sl_dropout_shape *>(shape);
    const auto *t = static_cast<const struct sl_dropout *>(args);
    sl_cuda_launch(drop<T>, grid_of(s->n), dim3(THREADS), 0, work, s->n, s->rate, *t, (const T *)t->x, (T *)t->y);
}

const struct sl_kernel sl_add_fwd_cuda = {.need = sl_flat_need, .run = add_fwd<float>};
const struct sl_kernel sl_accumulate_cuda = {.need = sl_flat_need, .run = accumulate<float>};
const struct sl_kernel sl_channel_copy_cuda = {.need = channel_copy_need, .run = channel_copy<float>};
const struct sl_kernel sl_dropout_cuda = {.need = sl_flat_need, .run = dropout<float>};
const struct sl_kernel sl_weighted_sum_cuda = {.need = sl_flat_need, .run = weighted_sum};
const struct sl_kernel sl_scale_cuda = {.need = sl_flat_need, .run = scale};

const struct sl_kernel sl_add_fwd_bf16_cuda = {
    .element = SL_ELEMENT_BF16, .need = sl_flat_need, .run = add_fwd<uint16_t>};
const struct sl_kernel sl_accumulate_bf16_cuda = {
    .element = SL_ELEMENT_BF16, .need = sl_flat_need, .run = accumulate<uint16_t>};
const struct sl_kernel sl_channel_copy_bf16_cuda = {
    .element = SL_ELEMENT_BF16, .need = channel_copy_need, .run = channel_copy<uint16_t>};
const struct sl_kernel sl_dropout_bf16_cuda = {
    .element = SL_ELEMENT_BF16, .need = sl_flat_need, .run = dropout<uint16_t>};
