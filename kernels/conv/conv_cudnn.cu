/* The convolution and its gradients by cuDNN, as rows beside our own. A shape's plan is made when the row is opened,
 * and lies in its state.
 *
 * cuDNN sees tensors without gaps: padding lanes are channels to it, whose weights are zero in the packed weights, so
 * that it writes zeros there. Of dw it makes those lanes too; they are left out afterwards. In bf16, dw is of bf16 to
 * cuDNN as well, which has fast engines for that alone: its sums are of floats, but rounded once before they are
 * stored.
 *
 * Bias, activation and moments come in a second pass over y, where any is asked for. In bf16, cuDNN's sum is then
 * rounded before the bias is added, and once more behind it. */
#include "kernels/conv/conv_cuda.cuh"
#include "kernels/conv/conv_plan_cudnn.h"
#include "kernels/kernels.h"
#include "kernels/norm/norm.h"

constexpr int THREADS = 256;
constexpr int CHANNELS = 32, ROWS = THREADS / CHANNELS;
constexpr int PIXELS = 256; /* of one record of moments */

/* ---- what cuDNN is asked for ---- */

template <int PASS, int MATH> static bool describe(const struct sl_conv2d *s, struct sl_cudnn_convolution *c)
{
    const int32_t type = MATH == CONV_BF16 ? SL_CUDNN_DATA_BFLOAT16 : SL_CUDNN_DATA_FLOAT;
    *c = {.pass = (enum sl_cudnn_pass)PASS,
          .tensor_cores = MATH != CONV_PLAIN,
          .x = {type, s->n, s->h, s->w, s->xs},
          .w = {type, s->ys, s->kh, s->kw, s->xs},
          .y = {type, s->n, s->oh, s->ow, s->ys},
          .before = {s->pad_top, s->pad_left},
          .after = {sl_cudnn_padding_after(s->h, s->kh, s->stride_h, s->pad_top, s->oh),
                    sl_cudnn_padding_after(s->w, s->kw, s->stride_w, s->pad_left, s->ow)},
          .strides = {s->stride_h, s->stride_w}};
    return c->after[0] >= 0 && c->after[1] >= 0;
}

/* Weights with all lanes: [ys][kh][kw][xs]. */
static size_t whole_weights(const struct sl_conv2d *s)
{
    return (size_t)s->ys * (size_t)s->kh * (size_t)s->kw * (size_t)s->xs;
}

template <int PASS, int MATH> static int open(const void *shape, const struct sl_device *device, void *state)
{
    const auto *s = static_cast<const struct sl_conv2d *>(shape);
    struct sl_cudnn_convolution c;
    describe<PASS, MATH>(s, &c);
    return sl_cudnn_convolution_open(device, &c, static_cast<struct sl_cudnn_plan *>(state));
}

static void close(void *state)
{
    sl_cudnn_plan_close(static_cast<struct sl_cudnn_plan *>(state));
}

static const struct sl_cudnn_plan *plan_of(const struct sl_work *work)
{
    return static_cast<const struct sl_cudnn_plan *>(work->state);
}

static size_t workspace_of(const void *shape, const void *state)
{
    (void)shape;
    return (size_t) static_cast<const struct sl_cudnn_plan *>(state)->workspace;
}

/* ---- packing ---- */

template <class T>
static __global__ void __launch_bounds__(THREADS) pack_weights(const struct sl_conv2d s, const float *w, T *to)
{
    const int64_t taps = (int64_t)s.kh * s.kw, all = s.ys * taps * s.xs;
    for (int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x; i < all; i += (int64_t)gridDim.x * THREADS) {
        const int64_t c = i % s.xs, row = i / s.xs;
        sl_write(to + i, c < s.c && row < s.k * taps ? w[row * s.c + c] : 0.0f);
    }
}

template <int MATH> static void pack(const void *shape, const float *weights, void *packed, const struct sl_work *work)
{
    typedef typename conv_element<MATH>::type T;
    const auto *s = static_cast<const struct sl_conv2d *>(shape);
    sl_cuda_launch(pack_weights<T>, dim3(sl_cuda_blocks((int64_t)whole_weights(s), 4 * THREADS)), dim3(THREADS), 0,
                   work, *s, weights, static_cast<T *>(packed));
}

/* ---- bias, activation and moments ---- */

struct finish {
    const float *bias; /* NULL: none */
    float slope;
    float *moments; /* NULL: none */
    int64_t pixels;
    int32_t channels, stride;
};

/* The sum of what the threads of a column have, in one order, for all of them. */
__device__ __forceinline__ double sum_column(double x, double *room)
{
    double sum = 0.0;
    __syncthreads();
    room[threadIdx.x] = x;
    __syncthreads();
    for (int row = 0; row < ROWS; row++)
        sum += room[row * CHANNELS + threadIdx.x % CHANNELS];
    return sum;
}

/* A block finishes 32 channels of the pixels of one record; y is read again for the deviations. */
template <class T> static __global__ void __launch_bounds__(THREADS) finish_y(const struct finish f, T *y)
{
    double *room = sl_shared<double>(), sum = 0.0, squares = 0.0;
    const int64_t first = (int64_t)blockIdx.x * PIXELS;
    const int64_t end = first + PIXELS < f.pixels ? first + PIXELS : f.pixels;
    const int32_t k = (int32_t)(blockIdx.y * CHANNELS + threadIdx.x % CHANNELS);
    const bool there = k < f.stride;
    const float bias = f.bias && k < f.channels ? f.bias[k] : 0.0f;
    for (int64_t i = first + threadIdx.x / CHANNELS; there && i < end; i += ROWS) {
        const float v = sl_read(y + i * f.stride + k) + bias;
        sl_write(y + i * f.stride + k, v >= 0.0f ? v : f.slope * v);
        sum += sl_read(y + i * f.stride + k);
    }
    if (!f.moments)
        return;
    const double mean = sum_column(sum, room) / (double)(end - first);
    for (int64_t i = first + threadIdx.x / CHANNELS; there && i < end; i += ROWS) {
        const double deviation = sl_read(y + i * f.stride + k) - mean;
        squares += deviation * deviation;
    }
    squares = sum_column(squares, room);
    float *record = f.moments + (size_t)blockIdx.x * sl_moments_size(f.stride);
    if (threadIdx.x < CHANNELS && there) {
        record[k] = (float)mean;
        record[f.stride + k] = (float)squares;
    }
    if (blockIdx.y == 0 && threadIdx.x < SL_LANES)
        record[2 * f.stride + threadIdx.x] = threadIdx.x == 0 ? (float)(end - first) : 0.0f;
}

static int64_t records_of(const struct sl_conv2d *s)
{
    return ((int64_t)s->n * s->oh * s->ow + PIXELS - 1) / PIXELS;
}

/* ---- rows: forward and backward-data ---- */

template <int PASS, int MATH> static bool takes(const void *shape, struct sl_need *need)
{
    typedef typename conv_element<MATH>::type T;
    const auto *s = static_cast<const struct sl_conv2d *>(shape);
    struct sl_cudnn_convolution c;
    need->units = 1;
    need->pack_units = 1;
    need->packed = (whole_weights(s) * sizeof(T) + 15) / 16 * 16;
    need->state = sizeof(struct sl_cudnn_plan);
    need->records = PASS == SL_CUDNN_FORWARD ? records_of(s) : 0;
    return describe<PASS, MATH>(s, &c);
}

template <int MATH> static void forward(const void *shape, const void *args, const struct sl_work *work)
{
    typedef typename conv_element<MATH>::type T;
    const auto *s = static_cast<const struct sl_conv2d *>(shape);
    const auto *a = static_cast<const struct sl_conv2d_fwd *>(args);
    const struct finish f = {a->bias, a->slope, a->moments, (int64_t)s->n * s->oh * s->ow, s->k, s->ys};
    const dim3 grid((unsigned)records_of(s), (unsigned)((s->ys + CHANNELS - 1) / CHANNELS));
    const void *const pointers[] = {a->x, a->weights, a->y};
    sl_cudnn_plan_run(plan_of(work), pointers, work->scratch, work);
    if (f.bias || f.slope != 1.0f || f.moments)
        sl_cuda_launch(finish_y<T>, grid, dim3(THREADS), THREADS * sizeof(double), work, f, static_cast<T *>(a->y));
}

static void backward_data(const void *shape, const void *args, const struct sl_work *work)
{
    const auto *a = static_cast<const struct sl_conv2d_bwd_data *>(args);
    const void *const pointers[] = {a->dx, a->weights, a->dy};
    (void)shape;
    sl_cudnn_plan_run(plan_of(work), pointers, work->scratch, work);
}

/* ---- rows: backward-weights ---- */

template <class T>
static __global__ void __launch_bounds__(THREADS)
    leave_lanes_out(int64_t n, int32_t c, int32_t xs, const T *whole, float *dw)
{
    for (int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x; i < n; i += (int64_t)gridDim.x * THREADS)
        dw[i] = sl_read(whole + i / c * xs + i % c);
}

template <int MATH> static bool takes_weights(const void *shape, struct sl_need *need)
{
    struct sl_cudnn_convolution c;
    need->units = 1;
    need->state = sizeof(struct sl_cudnn_plan);
    return describe<SL_CUDNN_BACKWARD_WEIGHTS, MATH>(static_cast<const struct sl_conv2d *>(shape), &c);
}

/* Of the gradient with all lanes, which lies before the workspace. */
template <int MATH> static size_t whole_bytes(const struct sl_conv2d *s)
{
    return (whole_weights(s) * sizeof(typename conv_element<MATH>::type) + 255) / 256 * 256;
}

template <int MATH> static size_t weights_scratch(const void *shape, const void *state)
{
    return whole_bytes<MATH>(static_cast<const struct sl_conv2d *>(shape)) + workspace_of(shape, state);
}

template <int MATH> static void backward_weights(const void *shape, const void *args, const struct sl_work *work)
{
    typedef typename conv_element<MATH>::type T;
    const auto *s = static_cast<const struct sl_conv2d *>(shape);
    const auto *a = static_cast<const struct sl_conv2d_bwd_weights *>(args);
    const bool is_whole = MATH != CONV_BF16 && s->c == s->xs && s->k == s->ys && (uintptr_t)a->dw % 16 == 0;
    const int64_t n = (int64_t)sl_conv2d_weights(s);
    void *whole = is_whole ? a->dw : work->scratch;
    const void *const pointers[] = {a->x, whole, a->dy};
    sl_cudnn_plan_run(plan_of(work), pointers, static_cast<char *>(work->scratch) + whole_bytes<MATH>(s), work);
    if (!is_whole)
        sl_cuda_launch(leave_lanes_out<T>, dim3(sl_cuda_blocks(n, THREADS)), dim3(THREADS), 0, work, n, s->c, s->xs,
                       static_cast<const T *>(whole), a->dw);
}

#define ELEMENT(MATH) ((MATH) == CONV_BF16 ? SL_ELEMENT_BF16 : SL_ELEMENT_F32)
#define ROWS_OF(MATH, NAME)                                                                               \
    const struct sl_kernel sl_conv2d_fwd_##NAME = {.element = ELEMENT(MATH),                              \
                                                   .refuses = true,                                       \
                                                   .need = takes<SL_CUDNN_FORWARD, MATH>,                 \
                                                   .open = open<SL_CUDNN_FORWARD, MATH>,                  \
                                                   .scratch = workspace_of,                               \
                                                   .close = close,                                        \
                                                   .pack = pack<MATH>,                                    \
                                                   .run = forward<MATH>};                                 \
    const struct sl_kernel sl_conv2d_bwd_data_##NAME = {.element = ELEMENT(MATH),                         \
                                                        .refuses = true,                                  \
                                                        .need = takes<SL_CUDNN_BACKWARD_DATA, MATH>,      \
                                                        .open = open<SL_CUDNN_BACKWARD_DATA, MATH>,       \
                                                        .scratch = workspace_of,                          \
                                                        .close = close,                                   \
                                                        .pack = pack<MATH>,                               \
                                                        .run = backward_data};                            \
    const struct sl_kernel sl_conv2d_bwd_weights_##NAME = {.element = ELEMENT(MATH),                      \
                                                           .refuses = true,                               \
                                                           .need = takes_weights<MATH>,                   \
                                                           .open = open<SL_CUDNN_BACKWARD_WEIGHTS, MATH>, \
                                                           .scratch = weights_scratch<MATH>,              \
                                                           .close = close,                                \
                                                           .run = backward_weights<MATH>};

ROWS_OF(CONV_PLAIN, plain_cudnn)
ROWS_OF(CONV_TF32, tf32_cudnn)
ROWS_OF(CONV_BF16, bf16_cudnn)
