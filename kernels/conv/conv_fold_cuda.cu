/* Batch norm folded into a convolution, and the gradient of a bias, on a GPU. */
#include "kernels/conv/conv.h"
#include "kernels/cuda/cuda.cuh"
#include "kernels/kernels.h"

constexpr int THREADS = 256;
constexpr int CHANNELS = 32, ROWS = THREADS / CHANNELS;

static bool whole(const void *shape, struct sl_need *need)
{
    (void)shape;
    need->units = 1;
    return true;
}

/* ---- conv2d_fold: a block for each filter ---- */

static __global__ void __launch_bounds__(THREADS) fold_filter(int64_t row, const struct sl_conv2d_fold t)
{
    const int64_t k = blockIdx.x;
    const double scale = t.gamma[k] / sqrt((double)t.var[k] + t.epsilon);
    if (threadIdx.x == 0)
        t.folded_bias[k] = (float)(t.beta[k] + ((t.bias ? t.bias[k] : 0.0) - t.mean[k]) * scale);
    for (int64_t i = threadIdx.x; i < row; i += THREADS)
        t.folded[k * row + i] = (float)(t.weights[k * row + i] * scale);
}

static void fold(const void *shape, const void *args, const struct sl_work *work)
{
    const auto *s = static_cast<const struct sl_conv2d *>(shape);
    const auto *t = static_cast<const struct sl_conv2d_fold *>(args);
    sl_cuda_launch(fold_filter, dim3((unsigned)s->k), dim3(THREADS), 0, work, (int64_t)s->kh * s->kw * s->c, *t);
}

/* ---- bias_bwd: 32 channels a block, whose 8 rows of threads share a part's pixels; then the parts' sums are added
 * ---- */

constexpr int64_t PARTS = 64, LEAST = 64; /* at most; pixels of one */

static int64_t pixels_of(const struct sl_conv2d *s)
{
    return (int64_t)s->n * s->oh * s->ow;
}

static int64_t part_of(const struct sl_conv2d *s)
{
    const int64_t part = (pixels_of(s) + PARTS - 1) / PARTS;
    return part < LEAST ? LEAST : part;
}

static int64_t parts_of(const struct sl_conv2d *s)
{
    return (pixels_of(s) + part_of(s) - 1) / part_of(s);
}

static bool bias_need(const void *shape, struct sl_need *need)
{
    const auto *s = static_cast<const struct sl_conv2d *>(shape);
    need->units = 1;
    need->scratch = (size_t)parts_of(s) * (size_t)s->k * sizeof(double);
    return true;
}

template <class T>
static __global__ void __launch_bounds__(THREADS)
    sum_part(int64_t pixels, int64_t part, int32_t ys, int32_t k, const T *dy, double *to)
{
    double *room = sl_shared<double>(), sum = 0.0;
    const int32_t c = (int32_t)(blockIdx.x * CHANNELS + threadIdx.x % CHANNELS);
    const int64_t begin = blockIdx.y * part, end = begin + part < pixels ? begin + part : pixels;
    for (int64_t i = begin + threadIdx.x / CHANNELS; i < end && c < k; i += ROWS)
        sum += sl_read(dy + i * ys + c);
    room[threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.x >= CHANNELS || c >= k)
        return;
    for (int row = 1; row < ROWS; row++)
        sum += room[row * CHANNELS + threadIdx.x];
    to[(int64_t)blockIdx.y * k + c] = sum;
}

static __global__ void __launch_bounds__(THREADS) add_parts(int64_t parts, int32_t k, const double *sums, float *db)
{
    const int32_t c = (int32_t)(blockIdx.x * THREADS + threadIdx.x);
    double sum = 0.0;
    for (int64_t i = 0; i < parts && c < k; i++)
        sum += sums[i * k + c];
    if (c < k)
        db[c] = (float)sum;
}

template <class T> static void bias(const void *shape, const void *args, const struct sl_work *work)
{
    const auto *s = static_cast<const struct sl_conv2d *>(shape);
    const auto *t = static_cast<const struct sl_bias_bwd *>(args);
    const int64_t parts = parts_of(s);
    double *sums = static_cast<double *>(work->scratch);
    sl_cuda_launch(sum_part<T>, dim3((unsigned)((s->k + CHANNELS - 1) / CHANNELS), (unsigned)parts), dim3(THREADS),
                   THREADS * sizeof(double), work, pixels_of(s), part_of(s), s->ys, s->k, (const T *)t->dy, sums);
    sl_cuda_launch(add_parts, dim3(sl_cuda_blocks(s->k, THREADS)), dim3(THREADS), 0, work, parts, s->k,
                   (const double *)sums, t->db);
}

const struct sl_kernel sl_conv2d_fold_cuda = {.need = whole, .run = fold};
const struct sl_kernel sl_bias_bwd_cuda = {.need = bias_need, .run = bias<float>};
const struct sl_kernel sl_bias_bwd_bf16_cuda = {.element = SL_ELEMENT_BF16, .need = bias_need, .run = bias<uint16_t>};
