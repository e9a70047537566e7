/* Softmax by cuDNN, as a row beside our own; the loss is ours. No graph of cuDNN's has a softmax but that of attention,
 * so this is the function of its older interface. It works on floats: logits of bf16 are widened first. */
#include "kernels/cuda/cuda.cuh"
#include "kernels/cuda/cudnn.h"
#include "kernels/kernels.h"
#include "kernels/softmax/softmax.h"

constexpr int THREADS = 256;

/* The handle, and rows of `xs` numbers of which c are classes: in and out are the same. */
struct state {
    void *handle, *rows;
};

static bool takes(const void *shape, struct sl_need *need)
{
    const auto *s = static_cast<const struct sl_softmax *>(shape);
    need->units = 1;
    need->state = sizeof(struct state);
    need->scratch = s->element == SL_ELEMENT_BF16 ? (size_t)s->n * (size_t)s->xs * sizeof(float) : 0;
    return true;
}

static void close(void *self)
{
    auto *state = static_cast<struct state *>(self);
    if (state->rows)
        sl_cudnn.destroy_tensor(state->rows);
    sl_cudnn_release(state->handle);
    *state = {};
}

static int open(const void *shape, const struct sl_device *device, void *self)
{
    const auto *s = static_cast<const struct sl_softmax *>(shape);
    auto *state = static_cast<struct state *>(self);
    int rc;
    *state = {};
    SL_TRY(sl_cudnn_hold(device, &state->handle));
    SL_TRY(sl_cudnn_check(sl_cudnn.create_tensor(&state->rows), "make a tensor"));
    SL_TRY(
        sl_cudnn_check(sl_cudnn.set_tensor(state->rows, SL_CUDNN_DATA_FLOAT, s->n, s->c, 1, 1, s->xs, 1, s->xs, s->xs),
                       "describe the rows of a softmax"));
out:
    if (rc != SL_OK)
        close(state);
    return rc;
}

template <class T> static __global__ void __launch_bounds__(THREADS) widen(int64_t n, const T *from, float *to)
{
    for (int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x; i < n; i += (int64_t)gridDim.x * THREADS)
        to[i] = sl_read(from + i);
}

/* A row of threads: zeros past the classes, and the loss. */
static __global__ void __launch_bounds__(THREADS)
    finish_rows(const struct sl_softmax s, const struct sl_softmax_nll_fwd t)
{
    for (int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x; i < s.n; i += (int64_t)gridDim.x * THREADS) {
        float *p = t.p + i * s.xs;
        for (int32_t c = s.c; c < s.xs; c++)
            p[c] = 0.0f;
        if (t.labels && t.loss)
            t.loss[i] = sl_nll(p[t.labels[i]]);
    }
}

template <class T> static void forward(const void *shape, const void *args, const struct sl_work *work)
{
    const auto *s = static_cast<const struct sl_softmax *>(shape);
    const auto *t = static_cast<const struct sl_softmax_nll_fwd *>(args);
    const auto *state = static_cast<const struct state *>(work->state);
    const float one = 1.0f, zero = 0.0f;
    const int64_t n = (int64_t)s->n * s->xs;
    const void *x = t->x;
    if (s->element == SL_ELEMENT_BF16) {
        sl_cuda_launch(widen<T>, dim3(sl_cuda_blocks(n, THREADS)), dim3(THREADS), 0, work, n,
                       static_cast<const T *>(t->x), static_cast<float *>(work->scratch));
        x = work->scratch;
    }
    int status = sl_cudnn.set_stream(state->handle, work->stream);
    if (status == 0)
        status = sl_cudnn.softmax(state->handle, SL_CUDNN_SOFTMAX_ACCURATE, SL_CUDNN_SOFTMAX_MODE_CHANNEL, &one,
                                  state->rows, x, &zero, state->rows, t->p);
    sl_cudnn_note(status);
    sl_cuda_launch(finish_rows, dim3(sl_cuda_blocks(s->n, THREADS)), dim3(THREADS), 0, work, *s, *t);
}

const struct sl_kernel sl_softmax_nll_fwd_cudnn = {
    .refuses = true, .need = takes, .open = open, .close = close, .run = forward<float>};
const struct sl_kernel sl_softmax_nll_fwd_bf16_cudnn = {
    .element = SL_ELEMENT_BF16, .refuses = true, .need = takes, .open = open, .close = close, .run = forward<uint16_t>};
