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

/* ---- bias_bwd: 32 channels a block, whose 8 rows of threads share the pixels ---- */

template <class T>
static __global__ void __launch_bounds__(THREADS)
    sum_bias(int64_t pixels, int32_t ys, int32_t k, const T *dy, float *db)
{
    double *room = sl_shared<double>(), sum = 0.0;
    const int32_t c = (int32_t)(blockIdx.x * CHANNELS + threadIdx.x % CHANNELS);
    for (int64_t i = threadIdx.x / CHANNELS; i < pixels && c < k; i += ROWS)
        sum += sl_read(dy + i * ys + c);
    room[threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.x >= CHANNELS || c >= k)
        return;
    for (int row = 1; row < ROWS; row++)
        sum += room[row * CHANNELS + threadIdx.x];
    db[c] = (float)sum;
}

template <class T> static void bias(const void *shape, const void *args, const struct sl_work *work)
{
    const auto *s = static_cast<const struct sl_conv2d *>(shape);
    const auto *t = static_cast<const struct sl_bias_bwd *>(args);
    sl_cuda_launch(sum_bias<T>, dim3((unsigned)((s->k + CHANNELS - 1) / CHANNELS)), dim3(THREADS),
                   THREADS * sizeof(double), work, (int64_t)s->n * s->oh * s->ow, s->ys, s->k, (const T *)t->dy, t->db);
}

const struct sl_kernel sl_conv2d_fold_cuda = {.need = whole, .run = fold};
const struct sl_kernel sl_bias_bwd_cuda = {.need = whole, .run = bias<float>};
const struct sl_kernel sl_bias_bwd_bf16_cuda = {.element = SL_ELEMENT_BF16, .need = whole, .run = bias<uint16_t>};
