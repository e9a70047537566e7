/* The operations of batch norm that see channels only, on a GPU: in double. The joins read records with a warp's width
 * of channels; 32 rows of threads share the records, and are joined in order. Many records are joined in groups first.
 */
#include "kernels/cuda/cuda.cuh"
#include "kernels/kernels.h"
#include "kernels/norm/norm.h"

constexpr int CHANNELS = 32, ROWS = 32, THREADS = CHANNELS * ROWS;
constexpr int GROUPS = 64; /* of records */

static bool whole(const void *shape, struct sl_need *need)
{
    (void)shape;
    need->units = 1;
    return true;
}

static dim3 blocks_of(const struct sl_norm *s, int groups)
{
    return dim3((unsigned)((s->xs + CHANNELS - 1) / CHANNELS), (unsigned)groups);
}

/* The sum over the rows of a column of threads, in order, for all of them. `room`: THREADS doubles. */
__device__ __forceinline__ double sum_rows(double x, double *room)
{
    __syncthreads(); /* the room is free */
    room[threadIdx.x] = x;
    __syncthreads();
    double sum = 0.0;
    for (int row = 0; row < ROWS; row++)
        sum += room[row * CHANNELS + threadIdx.x % CHANNELS];
    return sum;
}

/* ---- join: mean and squared deviations of all records, from what each has of its own (Chan, Golub & LeVeque 1983)
 * ---- */

struct moment {
    double mean, squares, count;
};

__device__ __forceinline__ struct moment moment_of(const float *records, int32_t xs, int64_t i, int32_t c)
{
    const float *record = records + (size_t)i * sl_moments_size(xs);
    return {record[c], record[xs + c], record[2 * xs]};
}

__device__ __forceinline__ struct moment moment_of(const struct moment *records, int32_t xs, int64_t i, int32_t c)
{
    return records[i * xs + c];
}

/* Of the records [begin, end), for channel c < xs; all threads of the block come here. Two passes: with the mean of all
 * at hand, deviations only add up. */
template <class R>
__device__ __forceinline__ struct moment join_block(const R *records, int32_t xs, int64_t begin, int64_t end, int32_t c,
                                                    double *room)
{
    const int64_t first = c < xs ? begin + threadIdx.x / CHANNELS : end;
    double count = 0.0, sum = 0.0, squares = 0.0;
    for (int64_t i = first; i < end; i += ROWS) {
        const struct moment m = moment_of(records, xs, i, c);
        count += m.count;
        sum += m.count > 0.0 ? m.count * m.mean : 0.0;
    }
    count = sum_rows(count, room);
    sum = sum_rows(sum, room);
    const double mean = count > 0.0 ? sum / count : 0.0;
    for (int64_t i = first; i < end; i += ROWS) {
        const struct moment m = moment_of(records, xs, i, c);
        squares += m.count > 0.0 ? m.squares + m.count * (m.mean - mean) * (m.mean - mean) : 0.0;
    }
    return {mean, sum_rows(squares, room), count};
}

__device__ __forceinline__ int32_t channel_of()
{
    return (int32_t)(blockIdx.x * CHANNELS + threadIdx.x % CHANNELS);
}

static __global__ void __launch_bounds__(THREADS)
    join_groups(const struct sl_norm s, const float *records, int64_t parts, struct moment *to)
{
    const int32_t c = channel_of();
    const struct moment m = join_block(records, s.xs, parts * blockIdx.y / GROUPS, parts * (blockIdx.y + 1) / GROUPS, c,
                                       sl_shared<double>());
    if (threadIdx.x < CHANNELS && c < s.xs)
        to[(int64_t)blockIdx.y * s.xs + c] = m;
}

template <class R>
static __global__ void __launch_bounds__(THREADS)
    join_all(const struct sl_norm s, const R *records, int64_t parts, float *mean, float *var)
{
    const int32_t c = channel_of();
    const struct moment m = join_block(records, s.xs, 0, parts, c, sl_shared<double>());
    if (threadIdx.x < CHANNELS && c < s.xs) {
        mean[c] = (float)m.mean;
        var[c] = m.count > 0.0 ? (float)(m.squares / m.count) : 0.0f;
    }
}

static bool join_need(const void *shape, struct sl_need *need)
{
    need->units = 1;
    need->scratch = (size_t)GROUPS * (size_t) static_cast<const struct sl_norm *>(shape)->xs * sizeof(struct moment);
    return true;
}

static void join(const void *shape, const void *args, const struct sl_work *work)
{
    constexpr size_t ROOM = THREADS * sizeof(double);
    const auto *s = static_cast<const struct sl_norm *>(shape);
    const auto *t = static_cast<const struct sl_norm_join *>(args);
    auto *groups = static_cast<struct moment *>(work->scratch);
    if (t->parts <= 2 * ROWS) {
        sl_cuda_launch(join_all<float>, blocks_of(s, 1), dim3(THREADS), ROOM, work, *s, t->moments, t->parts, t->mean,
                       t->var);
        return;
    }
    sl_cuda_launch(join_groups, blocks_of(s, GROUPS), dim3(THREADS), ROOM, work, *s, t->moments, t->parts, groups);
    sl_cuda_launch(join_all<struct moment>, blocks_of(s, 1), dim3(THREADS), ROOM, work, *s,
                   (const struct moment *)groups, (int64_t)GROUPS, t->mean, t->var);
}

/* ---- scale, commit: a thread for each channel ---- */

static __global__ void __launch_bounds__(CHANNELS) find_scale(const struct sl_norm s, const struct sl_norm_scale t)
{
    const int32_t c = (int32_t)(blockIdx.x * CHANNELS + threadIdx.x);
    if (c >= s.xs)
        return;
    const bool channel = c < s.c, overflowed = channel && !isfinite(t.var[c]);
    const double rstd = overflowed ? (double)NAN : channel ? 1.0 / sqrt((double)t.var[c] + t.epsilon) : 0.0;
    const double factor = channel ? t.gamma[c] * rstd : 0.0;
    t.rstd[c] = (float)rstd;
    t.scale[c] = (float)factor;
    t.shift[c] = channel ? (float)(t.beta[c] - t.mean[c] * factor) : 0.0f;
}

static void scale(const void *shape, const void *args, const struct sl_work *work)
{
    const auto *s = static_cast<const struct sl_norm *>(shape);
    sl_cuda_launch(find_scale, blocks_of(s, 1), dim3(CHANNELS), 0, work, *s,
                   *static_cast<const struct sl_norm_scale *>(args));
}

static __global__ void __launch_bounds__(CHANNELS) take_over(const struct sl_norm s, const struct sl_norm_commit t)
{
    const int32_t c = (int32_t)(blockIdx.x * CHANNELS + threadIdx.x);
    if (c >= s.c || t.now->bad)
        return;
    t.running_mean[c] = (float)(t.decay * t.running_mean[c] + (1.0 - t.decay) * t.mean[c]);
    t.running_var[c] = (float)(t.decay * t.running_var[c] + (1.0 - t.decay) * t.var[c]);
}

static void commit(const void *shape, const void *args, const struct sl_work *work)
{
    const auto *s = static_cast<const struct sl_norm *>(shape);
    sl_cuda_launch(take_over, blocks_of(s, 1), dim3(CHANNELS), 0, work, *s,
                   *static_cast<const struct sl_norm_commit *>(args));
}

/* ---- join of the backward pass ---- */

static __global__ void __launch_bounds__(THREADS) join_sums(const struct sl_norm s, const struct sl_norm_bwd_join t)
{
    const int32_t c = channel_of();
    double beta = 0.0, gamma = 0.0;
    for (int64_t part = threadIdx.x / CHANNELS; part < t.parts && c < s.xs; part += ROWS) {
        beta += t.sums[2 * part * s.xs + c];
        gamma += t.sums[(2 * part + 1) * s.xs + c];
    }
    beta = sum_rows(beta, sl_shared<double>());
    gamma = sum_rows(gamma, sl_shared<double>());
    if (threadIdx.x >= CHANNELS || c >= s.xs)
        return;
    const double m = (double)s.n * s.h * s.w;
    const float dbeta = (float)beta, dgamma = (float)gamma;
    const double slope = -(double)t.scale[c] * t.rstd[c] * dgamma / m;
    t.a[c] = (float)slope;
    t.b[c] = (float)(-(double)t.scale[c] * dbeta / m - slope * t.mean[c]);
    if (c < s.c) {
        t.dbeta[c] = dbeta;
        t.dgamma[c] = dgamma;
    }
}

static void bwd_join(const void *shape, const void *args, const struct sl_work *work)
{
    const auto *s = static_cast<const struct sl_norm *>(shape);
    const auto *t = static_cast<const struct sl_norm_bwd_join *>(args);
    sl_cuda_launch(join_sums, blocks_of(s, 1), dim3(THREADS), THREADS * sizeof(double), work, *s, *t);
}

const struct sl_kernel sl_norm_join_cuda = {.need = join_need, .run = join};
const struct sl_kernel sl_norm_scale_cuda = {.need = whole, .run = scale};
const struct sl_kernel sl_norm_bwd_join_cuda = {.need = whole, .run = bwd_join};
const struct sl_kernel sl_norm_commit_cuda = {.need = whole, .run = commit};
