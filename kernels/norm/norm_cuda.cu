/* Batch normalisation with activation and pooling on a GPU: bound by memory. Passes that only write take one output, or
 * one window, a thread. Passes that sum take 32 channels x 8 rows of threads a block: channels lie next to each other
 * in memory, and rows share the pixels of a part; each thread sums in double, then the rows are added in order. */
#include "kernels/norm/norm.h"
#include "kernels/cuda/cuda.cuh"
#include "kernels/kernels.h"

constexpr int THREADS = 256;
constexpr int CHANNELS = 32, ROWS = 8; /* of a block that sums */
constexpr int64_t PARTS = 512;         /* at most: enough blocks for a large GPU */
constexpr int64_t LEAST = 64;          /* pixels or windows of a part */

#define FOR_EACH(i, n) \
    for (int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x; i < (int64_t)(n); i += (int64_t)gridDim.x * THREADS)

/* Windows of pool x pool pixels; with pool 1 the pixels. */
SL_ANYWHERE static int64_t windows_of(const struct sl_norm &s)
{
    return (int64_t)s.n * (s.h / s.pool) * (s.w / s.pool);
}

/* What a part of a sum takes of n pixels or windows, and how many parts that makes. */
SL_ANYWHERE static int64_t part_of(int64_t n)
{
    const int64_t part = (n + PARTS - 1) / PARTS;
    return part < LEAST ? LEAST : part;
}

static int64_t parts_of(int64_t n)
{
    return (n + part_of(n) - 1) / part_of(n);
}

static dim3 grid_of(const struct sl_norm *s, int64_t parts)
{
    return dim3((unsigned)parts, (unsigned)((s->xs + CHANNELS - 1) / CHANNELS));
}

static bool whole(const void *shape, struct sl_need *need)
{
    (void)shape;
    need->units = 1;
    return true;
}

/* The channel and the row of a thread that sums. */
struct place {
    int32_t c;
    int row;
};

__device__ __forceinline__ struct place place_of()
{
    return {(int32_t)(blockIdx.y * CHANNELS + threadIdx.x % CHANNELS), (int)(threadIdx.x / CHANNELS)};
}

/* The sums over the rows, in order, for the threads of row 0. `room`: THREADS doubles. */
__device__ __forceinline__ double sum_rows(double x, double *room)
{
    __syncthreads(); /* the room is free */
    room[threadIdx.x] = x;
    __syncthreads();
    double sum = 0.0;
    for (int row = 0; row < ROWS && threadIdx.x < CHANNELS; row++)
        sum += room[row * CHANNELS + threadIdx.x];
    return sum;
}

/* ---- moments ---- */

static bool moments_need(const void *shape, struct sl_need *need)
{
    const auto *s = static_cast<const struct sl_norm *>(shape);
    need->units = parts_of((int64_t)s->n * s->h * s->w);
    return true;
}

/* Sums of x - origin and of its square, the origin being the part's first pixel: then the variance loses nothing where
 * values lie far from zero. */
template <class T>
static __global__ void __launch_bounds__(THREADS) sum_moments(const struct sl_norm s, const T *x, float *moments)
{
    const struct place at = place_of();
    const int64_t pixels = (int64_t)s.n * s.h * s.w, part = part_of(pixels), begin = blockIdx.x * part;
    const int64_t end = begin + part < pixels ? begin + part : pixels;
    const double origin = at.c < s.xs ? (double)sl_read(x + begin * s.xs + at.c) : 0.0;
    double sum = 0.0, squares = 0.0;
    for (int64_t i = begin + at.row; i < end && at.c < s.xs; i += ROWS) {
        const double d = sl_read(x + i * s.xs + at.c) - origin;
        sum += d;
        squares = fma(d, d, squares);
    }
    sum = sum_rows(sum, sl_shared<double>());
    squares = sum_rows(squares, sl_shared<double>());
    float *record = moments + blockIdx.x * sl_moments_size(s.xs);
    if (at.row == 0 && at.c < s.xs) {
        const double n = (double)(end - begin), left = squares - sum * sum / n;
        record[at.c] = (float)(origin + sum / n);
        record[s.xs + at.c] = (float)(left > 0.0 ? left : squares - squares); /* NaN stays */
    }
    if (blockIdx.y == 0 && threadIdx.x < SL_LANES)
        record[2 * s.xs + threadIdx.x] = threadIdx.x == 0 ? (float)(end - begin) : 0.0f;
}

template <class T> static void moments(const void *shape, const void *args, const struct sl_work *work)
{
    const auto *s = static_cast<const struct sl_norm *>(shape);
    const auto *t = static_cast<const struct sl_norm_moments *>(args);
    sl_cuda_launch(sum_moments<T>, grid_of(s, work->end), dim3(THREADS), THREADS * sizeof(double), work, *s,
                   (const T *)t->x, t->moments);
}

/* ---- forward ---- */

/* Where the first pixel of window i lies. */
__device__ __forceinline__ int64_t window_at(const struct sl_norm &s, int64_t i)
{
    const int32_t across = s.w / s.pool, down = s.h / s.pool;
    const int64_t column = i % across, row = i / across % down, n = i / across / down;
    return ((n * s.h + row * s.pool) * s.w + column * s.pool) * s.xs;
}

/* The pixels of a window of one channel: their values, and which is the first largest z. */
struct window {
    float x[4];
    int64_t step[4]; /* from the first pixel */
    int pixels, best;
    float z, best_x; /* of the best */
};

template <class T>
__device__ __forceinline__ struct window read_window(const struct sl_norm &s, const T *x, int64_t at, float scale,
                                                     float shift)
{
    struct window w = {
        .step = {0, s.xs, (int64_t)s.w * s.xs, (int64_t)(s.w + 1) * s.xs}, .pixels = s.pool * s.pool, .best = 0};
    w.x[0] = sl_read(x + at);
    w.z = fmaf(scale, w.x[0], shift);
    w.best_x = w.x[0];
    SL_UNROLLED for (int k = 1; k < 4; k++)
    {
        w.x[k] = k < w.pixels ? sl_read(x + at + w.step[k]) : 0.0f;
        const float z = fmaf(scale, w.x[k], shift);
        if (k < w.pixels && z > w.z) {
            w.z = z;
            w.best = k;
            w.best_x = w.x[k];
        }
    }
    return w;
}

template <class T>
static __global__ void __launch_bounds__(THREADS)
    normalise(const struct sl_norm s, const T *x, const float *scale, const float *shift, T *y)
{
    FOR_EACH(i, windows_of(s) * s.xs)
    {
        const int32_t c = (int32_t)(i % s.xs);
        const struct window w = read_window(s, x, window_at(s, i / s.xs) + c, scale[c], shift[c]);
        sl_write(y + i, w.z >= 0.0f ? w.z : s.slope * w.z);
    }
}

template <class T> static void fwd(const void *shape, const void *args, const struct sl_work *work)
{
    const auto *s = static_cast<const struct sl_norm *>(shape);
    const auto *t = static_cast<const struct sl_norm_fwd *>(args);
    sl_cuda_launch(normalise<T>, dim3(sl_cuda_blocks(windows_of(*s) * s->xs, THREADS)), dim3(THREADS), 0, work, *s,
                   (const T *)t->x, t->scale, t->shift, (T *)t->y);
}

/* ---- backward ---- */

static bool reduce_need(const void *shape, struct sl_need *need)
{
    need->units = parts_of(windows_of(*static_cast<const struct sl_norm *>(shape)));
    return true;
}

/* dz goes to the window's first largest z alone. */
template <class T>
static __global__ void __launch_bounds__(THREADS)
    reduce(const struct sl_norm s, const struct sl_norm_bwd_reduce t, const T *x, const T *dy)
{
    const struct place at = place_of();
    const int64_t windows = windows_of(s), part = part_of(windows), begin = blockIdx.x * part;
    const int64_t end = begin + part < windows ? begin + part : windows;
    double sum = 0.0, products = 0.0;
    if (at.c < s.xs) {
        const float scale = t.scale[at.c], shift = t.shift[at.c], mean = t.mean[at.c];
        for (int64_t i = begin + at.row; i < end; i += ROWS) {
            const struct window w = read_window(s, x, window_at(s, i) + at.c, scale, shift);
            const float d = sl_read(dy + i * s.xs + at.c), dz = w.z >= 0.0f ? d : s.slope * d;
            sum += dz;
            products = fma((double)dz, (double)w.best_x - mean, products);
        }
    }
    sum = sum_rows(sum, sl_shared<double>());
    products = sum_rows(products, sl_shared<double>());
    if (at.row != 0 || at.c >= s.xs)
        return;
    float *record = t.sums + 2 * (int64_t)blockIdx.x * s.xs;
    record[at.c] = (float)sum;
    record[s.xs + at.c] = (float)(products * t.rstd[at.c]);
}

template <class T> static void bwd_reduce(const void *shape, const void *args, const struct sl_work *work)
{
    const auto *s = static_cast<const struct sl_norm *>(shape);
    const auto *t = static_cast<const struct sl_norm_bwd_reduce *>(args);
    sl_cuda_launch(reduce<T>, grid_of(s, work->end), dim3(THREADS), THREADS * sizeof(double), work, *s, *t,
                   (const T *)t->x, (const T *)t->dy);
}

/* A thread reads its whole window before it writes: dx may be x. */
template <class T>
static __global__ void __launch_bounds__(THREADS)
    apply(const struct sl_norm s, const struct sl_norm_bwd_apply t, const T *x, const T *dy, T *dx)
{
    FOR_EACH(i, windows_of(s) * s.xs)
    {
        const int32_t c = (int32_t)(i % s.xs);
        const int64_t at = window_at(s, i / s.xs) + c;
        const float scale = t.scale[c], a = t.a[c], b = t.b[c], d = sl_read(dy + i);
        const struct window w = read_window(s, x, at, scale, t.shift[c]);
        const float dz = w.z >= 0.0f ? d : s.slope * d;
        SL_UNROLLED for (int k = 0; k < 4; k++)
        {
            if (k < w.pixels)
                sl_write(dx + at + w.step[k], fmaf(scale, k == w.best ? dz : 0.0f, fmaf(a, w.x[k], b)));
        }
    }
}

template <class T> static void bwd_apply(const void *shape, const void *args, const struct sl_work *work)
{
    const auto *s = static_cast<const struct sl_norm *>(shape);
    const auto *t = static_cast<const struct sl_norm_bwd_apply *>(args);
    sl_cuda_launch(apply<T>, dim3(sl_cuda_blocks(windows_of(*s) * s->xs, THREADS)), dim3(THREADS), 0, work, *s, *t,
                   (const T *)t->x, (const T *)t->dy, (T *)t->dx);
}

const struct sl_kernel sl_norm_moments_cuda = {.need = moments_need, .run = moments<float>};
const struct sl_kernel sl_norm_fwd_cuda = {.need = whole, .run = fwd<float>};
const struct sl_kernel sl_norm_bwd_reduce_cuda = {.need = reduce_need, .run = bwd_reduce<float>};
const struct sl_kernel sl_norm_bwd_apply_cuda = {.need = whole, .run = bwd_apply<float>};

const struct sl_kernel sl_norm_moments_bf16_cuda = {
    .element = SL_ELEMENT_BF16, .need = moments_need, .run = moments<uint16_t>};
const struct sl_kernel sl_norm_fwd_bf16_cuda = {.element = SL_ELEMENT_BF16, .need = whole, .run = fwd<uint16_t>};
const struct sl_kernel sl_norm_bwd_reduce_bf16_cuda = {
    .element = SL_ELEMENT_BF16, .need = reduce_need, .run = bwd_reduce<uint16_t>};
const struct sl_kernel sl_norm_bwd_apply_bf16_cuda = {
    .element = SL_ELEMENT_BF16, .need = whole, .run = bwd_apply<uint16_t>};
