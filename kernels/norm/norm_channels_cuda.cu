/* The operations of batch norm that see channels only, on a GPU: in double. The joins read records with a warp's width
 * of channels; eight rows of threads share the records, and are joined in order. */
#include "kernels/cuda/cuda.cuh"
#include "kernels/kernels.h"
#include "kernels/norm/norm.h"

constexpr int CHANNELS = 32, ROWS = 8, THREADS = CHANNELS * ROWS;

static bool whole(const void *shape, struct sl_need *need)
{
    (void)shape;
    need->units = 1;
    return true;
}

static dim3 blocks_of(const struct sl_norm *s)
{
    return dim3((unsigned)((s->xs + CHANNELS - 1) / CHANNELS));
}

/* The records of a row of threads: [begin, end). */
struct share {
    int64_t begin, end;
};

__device__ __forceinline__ struct share share_of(int64_t parts)
{
    const int64_t row = threadIdx.x / CHANNELS;
    return {parts * row / ROWS, parts * (row + 1) / ROWS};
}

/* ---- join ---- */

struct moment {
    double mean, squares, count;
};

/* Chan, Golub & LeVeque 1983. */
__device__ __forceinline__ void join_moment(struct moment *to, const struct moment &more)
{
    if (more.count <= 0.0)
        return;
    const double share = more.count / (to->count + more.count), delta = more.mean - to->mean;
    to->mean += delta * share;
    to->squares += more.squares + delta * delta * to->count * share;
    to->count += more.count;
}

static __global__ void __launch_bounds__(THREADS) join_records(const struct sl_norm s, const struct sl_norm_join t)
{
    struct moment *room = sl_shared<struct moment>(), sum = {};
    const int32_t c = (int32_t)(blockIdx.x * CHANNELS + threadIdx.x % CHANNELS);
    const struct share share = share_of(t.parts);
    for (int64_t part = share.begin; part < share.end && c < s.xs; part++) {
        const float *record = t.moments + (size_t)part * sl_moments_size(s.xs);
        join_moment(&sum, {record[c], record[s.xs + c], record[2 * s.xs]});
    }
    room[threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.x >= CHANNELS || c >= s.xs)
        return;
    for (int row = 1; row < ROWS; row++)
        join_moment(&sum, room[row * CHANNELS + threadIdx.x]);
    t.mean[c] = (float)sum.mean;
    t.var[c] = sum.count > 0.0 ? (float)(sum.squares / sum.count) : 0.0f;
}

static void join(const void *shape, const void *args, const struct sl_work *work)
{
    const auto *s = static_cast<const struct sl_norm *>(shape);
    const auto *t = static_cast<const struct sl_norm_join *>(args);
    sl_cuda_launch(join_records, blocks_of(s), dim3(THREADS), THREADS * sizeof(struct moment), work, *s, *t);
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
    sl_cuda_launch(find_scale, blocks_of(s), dim3(CHANNELS), 0, work, *s,
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
    sl_cuda_launch(take_over, blocks_of(s), dim3(CHANNELS), 0, work, *s,
                   *static_cast<const struct sl_norm_commit *>(args));
}

/* ---- join of the backward pass ---- */

struct gradient {
    double beta, gamma;
};

static __global__ void __launch_bounds__(THREADS) join_sums(const struct sl_norm s, const struct sl_norm_bwd_join t)
{
    struct gradient *room = sl_shared<struct gradient>(), sum = {};
    const int32_t c = (int32_t)(blockIdx.x * CHANNELS + threadIdx.x % CHANNELS);
    const struct share share = share_of(t.parts);
    for (int64_t part = share.begin; part < share.end && c < s.xs; part++) {
        sum.beta += t.sums[2 * part * s.xs + c];
        sum.gamma += t.sums[(2 * part + 1) * s.xs + c];
    }
    room[threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.x >= CHANNELS || c >= s.xs)
        return;
    for (int row = 1; row < ROWS; row++) {
        sum.beta += room[row * CHANNELS + threadIdx.x].beta;
        sum.gamma += room[row * CHANNELS + threadIdx.x].gamma;
    }
    const double m = (double)s.n * s.h * s.w;
    const float dbeta = (float)sum.beta, dgamma = (float)sum.gamma;
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
    sl_cuda_launch(join_sums, blocks_of(s), dim3(THREADS), THREADS * sizeof(struct gradient), work, *s, *t);
}

const struct sl_kernel sl_norm_join_cuda = {.need = whole, .run = join};
const struct sl_kernel sl_norm_scale_cuda = {.need = whole, .run = scale};
const struct sl_kernel sl_norm_bwd_join_cuda = {.need = whole, .run = bwd_join};
const struct sl_kernel sl_norm_commit_cuda = {.need = whole, .run = commit};
