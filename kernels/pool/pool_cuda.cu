/* Pooling on a GPU: forward one output a thread, backward one input a thread, which gathers what the windows over it
 * give, in their order; so nothing is added to memory that others add to. */
#include "kernels/cuda/cuda.cuh"
#include "kernels/kernels.h"
#include "kernels/pool/pool.h"

constexpr int THREADS = 256;

#define FOR_EACH(i, n) \
    for (int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x; i < (int64_t)(n); i += (int64_t)gridDim.x * THREADS)

static bool each_image(const void *shape, struct sl_need *need)
{
    need->units = static_cast<const struct sl_pool *>(shape)->n;
    return true;
}

/* ---- forward ---- */

template <class T, bool MAXIMUM>
static __global__ void __launch_bounds__(THREADS) forward(const struct sl_pool s, const T *x, T *y)
{
    FOR_EACH(i, (int64_t)s.n * s.oh * s.ow * s.xs)
    {
        const int32_t c = (int32_t)(i % s.xs);
        const int64_t window = i / s.xs, n = window / s.ow / s.oh;
        const struct sl_pool_window w =
            sl_pool_window_at(&s, (int32_t)(window / s.ow % s.oh), (int32_t)(window % s.ow));
        float best = sl_read(x + sl_pool_at(&s, n, w.top, w.left) + c);
        double sum = 0.0;
        for (int32_t p = w.top; p < w.bottom; p++)
            for (int32_t q = w.left; q < w.right; q++) {
                const float at = sl_read(x + sl_pool_at(&s, n, p, q) + c);
                best = at > best ? at : best;
                sum += at;
            }
        sl_write(y + i, MAXIMUM ? best : (float)(sum / sl_pool_window_pixels(w)));
    }
}

template <class T, bool MAXIMUM> static void fwd(const void *shape, const void *args, const struct sl_work *work)
{
    const auto *s = static_cast<const struct sl_pool *>(shape);
    const auto *t = static_cast<const struct sl_pool_fwd *>(args);
    sl_cuda_launch(forward<T, MAXIMUM>, dim3(sl_cuda_blocks((int64_t)sl_pool_outputs(s), THREADS)), dim3(THREADS), 0,
                   work, *s, (const T *)t->x, (T *)t->y);
}

/* ---- backward ---- */

/* The first and the last window of one axis that cover position i. */
struct covering {
    int32_t first, last;
};

__device__ __forceinline__ struct covering covering_of(int32_t i, int32_t size, int32_t stride, int32_t pad,
                                                       int32_t windows)
{
    const int32_t from = i + pad - size + 1;
    const int32_t first = from <= 0 ? 0 : (from + stride - 1) / stride, last = (i + pad) / stride;
    return {first, last < windows ? last : windows - 1};
}

/* Is element (i, j) the first largest of its window? */
template <class T>
__device__ __forceinline__ bool wins(const struct sl_pool &s, const struct sl_pool_window &w, const T *x, int64_t n,
                                     int32_t i, int32_t j, int32_t c)
{
    const float own = sl_read(x + sl_pool_at(&s, n, i, j) + c);
    float best = sl_read(x + sl_pool_at(&s, n, w.top, w.left) + c);
    bool mine = i == w.top && j == w.left;
    SL_ROLLED for (int32_t p = w.top; p < w.bottom; p++) SL_ROLLED for (int32_t q = w.left; q < w.right; q++)
    {
        const float at = p == i && q == j ? own : sl_read(x + sl_pool_at(&s, n, p, q) + c);
        if (at > best) {
            best = at;
            mine = p == i && q == j;
        }
    }
    return mine;
}

template <class T, bool MAXIMUM>
static __global__ void __launch_bounds__(THREADS) backward(const struct sl_pool s, const T *x, const T *dy, T *dx)
{
    FOR_EACH(at, (int64_t)s.n * s.h * s.w * s.xs)
    {
        const int32_t c = (int32_t)(at % s.xs);
        const int64_t pixel = at / s.xs, n = pixel / s.w / s.h;
        const int32_t i = (int32_t)(pixel / s.w % s.h), j = (int32_t)(pixel % s.w);
        const struct covering rows = covering_of(i, s.kh, s.stride_h, s.pad_top, s.oh);
        const struct covering columns = covering_of(j, s.kw, s.stride_w, s.pad_left, s.ow);
        float sum = 0.0f;
        for (int32_t p = rows.first; p <= rows.last; p++)
            for (int32_t q = columns.first; q <= columns.last; q++) {
                const struct sl_pool_window w = sl_pool_window_at(&s, p, q);
                const float d = sl_read(dy + ((n * s.oh + p) * s.ow + q) * s.xs + c);
                if (!MAXIMUM)
                    sum += d / (float)sl_pool_window_pixels(w);
                else if (wins(s, w, x, n, i, j, c))
                    sum += d;
            }
        sl_write(dx + at, sum);
    }
}

template <class T, bool MAXIMUM> static void bwd(const void *shape, const void *args, const struct sl_work *work)
{
    const auto *s = static_cast<const struct sl_pool *>(shape);
    const auto *t = static_cast<const struct sl_pool_bwd *>(args);
    sl_cuda_launch(backward<T, MAXIMUM>, dim3(sl_cuda_blocks((int64_t)sl_pool_inputs(s), THREADS)), dim3(THREADS), 0,
                   work, *s, (const T *)t->x, (const T *)t->dy, (T *)t->dx);
}

const struct sl_kernel sl_pool_max_fwd_cuda = {.need = each_image, .run = fwd<float, true>};
const struct sl_kernel sl_pool_max_bwd_cuda = {.need = each_image, .run = bwd<float, true>};
const struct sl_kernel sl_pool_avg_fwd_cuda = {.need = each_image, .run = fwd<float, false>};
const struct sl_kernel sl_pool_avg_bwd_cuda = {.need = each_image, .run = bwd<float, false>};

const struct sl_kernel sl_pool_max_fwd_bf16_cuda = {
    .element = SL_ELEMENT_BF16, .need = each_image, .run = fwd<uint16_t, true>};
const struct sl_kernel sl_pool_max_bwd_bf16_cuda = {
    .element = SL_ELEMENT_BF16, .need = each_image, .run = bwd<uint16_t, true>};
const struct sl_kernel sl_pool_avg_fwd_bf16_cuda = {
    .element = SL_ELEMENT_BF16, .need = each_image, .run = fwd<uint16_t, false>};
const struct sl_kernel sl_pool_avg_bwd_bf16_cuda = {
    .element = SL_ELEMENT_BF16, .need = each_image, .run = bwd<uint16_t, false>};
