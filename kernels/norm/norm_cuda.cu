/* Batch normalisation with activation and pooling on a GPU: bound by memory. A thread has a chunk of channels, as many
 * as go to memory at once, of several pixels or windows: what belongs to its channels it reads once. In a block chunks
 * lie next to each other, and rows of them share the windows of a part. Sums are of few values in float, and of those
 * in double; then the rows are added in order. */
#include "kernels/kernels.h"
#include "kernels/norm/norm_cuda.cuh"

constexpr int64_t PARTS = 528; /* of a sum, at most: four blocks for each processor of a large GPU */
constexpr int64_t LEAST = 64;  /* pixels or windows of a part */
constexpr int FEW = 8;         /* values that are added in float */

/* What a part of a sum takes of n pixels or windows, and how many parts that makes. */
static int64_t part_of(int64_t n)
{
    const int64_t part = (n + PARTS - 1) / PARTS;
    return part < LEAST ? LEAST : part;
}

static int64_t parts_of(int64_t n)
{
    return (n + part_of(n) - 1) / part_of(n);
}

static bool whole(const void *shape, struct sl_need *need)
{
    (void)shape;
    need->units = 1;
    return true;
}

/* The sums of a block's channels over its rows, in order: to[c]. `room`: THREADS * EACH doubles. */
template <int EACH>
__device__ __forceinline__ void sum_rows(const struct sl_norm &s, const struct layout &l, const double *v, double *room,
                                         float *to, const float *factor)
{
    const int32_t channels = l.across * EACH, first = (int32_t)blockIdx.y * channels;
    __syncthreads(); /* the room is free */
    SL_UNROLLED for (int e = 0; e < EACH; e++) room[threadIdx.x * EACH + e] = v[e];
    __syncthreads();
    for (int32_t i = (int32_t)threadIdx.x; i < channels && first + i < s.xs; i += THREADS) {
        double sum = 0.0;
        for (int row = 0; row < l.rows; row++)
            sum += room[row * channels + i];
        to[first + i] = (float)(factor ? sum * factor[first + i] : sum);
    }
}

/* ---- moments: 32 channels x 8 rows of threads ---- */

constexpr int CHANNELS = 32, ROWS = THREADS / CHANNELS;

static bool moments_need(const void *shape, struct sl_need *need)
{
    const auto *s = static_cast<const struct sl_norm *>(shape);
    need->units = parts_of((int64_t)s->n * s->h * s->w);
    return true;
}

/* The sum over the rows, in order, for the threads of row 0. `room`: THREADS doubles. */
__device__ __forceinline__ double sum_column(double x, double *room)
{
    __syncthreads(); /* the room is free */
    room[threadIdx.x] = x;
    __syncthreads();
    double sum = 0.0;
    for (int row = 0; row < ROWS && threadIdx.x < CHANNELS; row++)
        sum += room[row * CHANNELS + threadIdx.x];
    return sum;
}

/* Sums of x - origin and of its square, the origin being the part's first pixel: then the variance loses nothing where
 * values lie far from zero. */
template <class T>
static __global__ void __launch_bounds__(THREADS)
    sum_moments(const struct sl_norm s, int64_t part, const T *x, float *moments)
{
    const int32_t c = (int32_t)(blockIdx.y * CHANNELS + threadIdx.x % CHANNELS), row = (int32_t)threadIdx.x / CHANNELS;
    const int64_t pixels = (int64_t)s.n * s.h * s.w, begin = blockIdx.x * part;
    const int64_t end = begin + part < pixels ? begin + part : pixels;
    const double origin = c < s.xs ? (double)sl_read(x + begin * s.xs + c) : 0.0;
    double sum = 0.0, squares = 0.0;
    for (int64_t i = begin + row; i < end && c < s.xs; i += ROWS) {
        const double d = sl_read(x + i * s.xs + c) - origin;
        sum += d;
        squares = fma(d, d, squares);
    }
    sum = sum_column(sum, sl_shared<double>());
    squares = sum_column(squares, sl_shared<double>());
    float *record = moments + blockIdx.x * sl_moments_size(s.xs);
    if (row == 0 && c < s.xs) {
        const double n = (double)(end - begin), left = squares - sum * sum / n;
        record[c] = (float)(origin + sum / n);
        record[s.xs + c] = (float)(left > 0.0 ? left : squares - squares); /* NaN stays */
    }
    if (blockIdx.y == 0 && threadIdx.x < SL_LANES)
        record[2 * s.xs + threadIdx.x] = threadIdx.x == 0 ? (float)(end - begin) : 0.0f;
}

template <class T> static void moments(const void *shape, const void *args, const struct sl_work *work)
{
    const auto *s = static_cast<const struct sl_norm *>(shape);
    const auto *t = static_cast<const struct sl_norm_moments *>(args);
    sl_cuda_launch(sum_moments<T>, dim3((unsigned)work->end, (unsigned)((s->xs + CHANNELS - 1) / CHANNELS)),
                   dim3(THREADS), THREADS * sizeof(double), work, *s, part_of((int64_t)s->n * s->h * s->w),
                   (const T *)t->x, t->moments);
}

/* ---- forward ---- */

template <class T, int EACH, int POOL>
static __global__ void __launch_bounds__(THREADS)
    normalise(const struct sl_norm s, const struct layout l, const T *x, const float *scale, const float *shift, T *y)
{
    const struct place at = place_of<EACH>(s, l);
    if (at.at >= at.end)
        return;
    const struct numbers<EACH> factor = read<float, EACH>(scale + at.c), offset = read<float, EACH>(shift + at.c);
    for (int64_t i = at.at; i < at.end; i += l.rows) {
        struct numbers<EACH> z = read_window<T, EACH, POOL>(s, x + window_at(s, l, i) + at.c, factor, offset).z;
        SL_UNROLLED for (int e = 0; e < EACH; e++) z.at[e] = z.at[e] >= 0.0f ? z.at[e] : s.slope * z.at[e];
        write<T, EACH>(y + i * s.xs + at.c, z);
    }
}

template <class T, int EACH>
static void start_fwd(const struct sl_norm *s, const struct sl_norm_fwd *t, const struct sl_work *work)
{
    const struct layout l = layout_of_writes<EACH>(s);
    sl_cuda_launch(s->pool == 1 ? normalise<T, EACH, 1> : normalise<T, EACH, 2>, grid_of<EACH>(s, l), dim3(THREADS), 0,
                   work, *s, l, (const T *)t->x, t->scale, t->shift, (T *)t->y);
}

template <class T> static void fwd(const void *shape, const void *args, const struct sl_work *work)
{
    const auto *s = static_cast<const struct sl_norm *>(shape);
    const auto *t = static_cast<const struct sl_norm_fwd *>(args);
    (s->xs % each_of<T>() ? start_fwd<T, 1> : start_fwd<T, each_of<T>()>)(s, t, work);
}

/* ---- backward ---- */

static bool reduce_need(const void *shape, struct sl_need *need)
{
    need->units = parts_of(windows_of(*static_cast<const struct sl_norm *>(shape)));
    return true;
}

/* Sums of a thread: of few values in float, and of those in double. */
template <int EACH> struct sum {
    float few[EACH];
    double all[EACH];
};

template <int EACH> __device__ __forceinline__ void gather_few(struct sum<EACH> *sum)
{
    SL_UNROLLED for (int e = 0; e < EACH; e++)
    {
        sum->all[e] += sum->few[e];
        sum->few[e] = 0.0f;
    }
}

/* dz goes to the window's first largest z alone. */
template <class T, int EACH, int POOL>
static __global__ void __launch_bounds__(THREADS)
    reduce(const struct sl_norm s, const struct layout l, const struct sl_norm_bwd_reduce t, const T *x, const T *dy)
{
    const struct place at = place_of<EACH>(s, l);
    struct sum<EACH> sum = {}, products = {
    };
    struct numbers<EACH> scale = {}, shift = {}, mean = {
    };
    if (at.at < at.end) {
        scale = read<float, EACH>(t.scale + at.c);
        shift = read<float, EACH>(t.shift + at.c);
        mean = read<float, EACH>(t.mean + at.c);
    }
    for (int64_t i = at.at; i < at.end;) {
        for (int few = 0; few < FEW && i < at.end; few++, i += l.rows) {
            const struct numbers<EACH> d = read<T, EACH>(dy + i * s.xs + at.c);
            const struct window<EACH> w = read_window<T, EACH, POOL>(s, x + window_at(s, l, i) + at.c, scale, shift);
            SL_UNROLLED for (int e = 0; e < EACH; e++)
            {
                const float dz = w.z.at[e] >= 0.0f ? d.at[e] : s.slope * d.at[e];
                sum.few[e] += dz;
                products.few[e] = fmaf(dz, w.best_x.at[e] - mean.at[e], products.few[e]);
            }
        }
        gather_few(&sum);
        gather_few(&products);
    }
    float *record = t.sums + 2 * (int64_t)blockIdx.x * s.xs;
    sum_rows<EACH>(s, l, sum.all, sl_shared<double>(), record, nullptr);
    sum_rows<EACH>(s, l, products.all, sl_shared<double>(), record + s.xs, t.rstd);
}

template <class T, int EACH>
static void start_reduce(const struct sl_norm *s, const struct sl_norm_bwd_reduce *t, const struct sl_work *work)
{
    const int64_t windows = windows_of(*s);
    const struct layout l = layout_of<EACH>(s, windows, part_of(windows));
    sl_cuda_launch(s->pool == 1 ? reduce<T, EACH, 1> : reduce<T, EACH, 2>, grid_of<EACH>(s, l), dim3(THREADS),
                   THREADS * EACH * sizeof(double), work, *s, l, *t, (const T *)t->x, (const T *)t->dy);
}

template <class T> static void bwd_reduce(const void *shape, const void *args, const struct sl_work *work)
{
    const auto *s = static_cast<const struct sl_norm *>(shape);
    const auto *t = static_cast<const struct sl_norm_bwd_reduce *>(args);
    (s->xs % each_of<T>() ? start_reduce<T, 1> : start_reduce<T, each_of<T>()>)(s, t, work);
}

/* A thread reads its whole window before it writes: dx may be x. */
template <class T, int EACH, int POOL>
static __global__ void __launch_bounds__(THREADS)
    apply(const struct sl_norm s, const struct layout l, const struct sl_norm_bwd_apply t, const T *x, const T *dy,
          T *dx)
{
    const struct place at = place_of<EACH>(s, l);
    if (at.at >= at.end)
        return;
    const struct numbers<EACH> scale = read<float, EACH>(t.scale + at.c), shift = read<float, EACH>(t.shift + at.c);
    const struct numbers<EACH> a = read<float, EACH>(t.a + at.c), b = read<float, EACH>(t.b + at.c);
    for (int64_t i = at.at; i < at.end; i += l.rows) {
        const int64_t first = window_at(s, l, i) + at.c;
        const struct numbers<EACH> d = read<T, EACH>(dy + i * s.xs + at.c);
        const struct window<EACH> w = read_window<T, EACH, POOL>(s, x + first, scale, shift);
        SL_UNROLLED for (int k = 0; k < POOL * POOL; k++)
        {
            struct numbers<EACH> v;
            SL_UNROLLED for (int e = 0; e < EACH; e++)
            {
                const float dz = w.z.at[e] >= 0.0f ? d.at[e] : s.slope * d.at[e];
                v.at[e] = fmaf(scale.at[e], k == w.best[e] ? dz : 0.0f, fmaf(a.at[e], w.x[k].at[e], b.at[e]));
            }
            write<T, EACH>(dx + first + step_of(s, k), v);
        }
    }
}

template <class T, int EACH>
static void start_apply(const struct sl_norm *s, const struct sl_norm_bwd_apply *t, const struct sl_work *work)
{
    const struct layout l = layout_of_writes<EACH>(s);
    sl_cuda_launch(s->pool == 1 ? apply<T, EACH, 1> : apply<T, EACH, 2>, grid_of<EACH>(s, l), dim3(THREADS), 0, work,
                   *s, l, *t, (const T *)t->x, (const T *)t->dy, (T *)t->dx);
}

template <class T> static void bwd_apply(const void *shape, const void *args, const struct sl_work *work)
{
    const auto *s = static_cast<const struct sl_norm *>(shape);
    const auto *t = static_cast<const struct sl_norm_bwd_apply *>(args);
    (s->xs % each_of<T>() ? start_apply<T, 1> : start_apply<T, each_of<T>()>)(s, t, work);
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
