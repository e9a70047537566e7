/* The convolution of few terms, as those of an image's three channels, on a GPU. Tensor cores would wait for single
 * elements to be gathered; ordinary ones multiply them as they come.
 *
 *   block: 256 pixels x 32 channels, a pixel for each thread, which adds up all channels
 *   shared memory: the weights, term by term; afterwards the sums */
#include "kernels/conv/conv_packed_cuda.cuh"

constexpr int PIXELS = CONV_THREADS, CHANNELS = 32, TERMS = 64, MOST_IN = 4;

typedef struct conv_sums<PIXELS, CHANNELS> block_sums;

struct alignas(16) four {
    float at[4];
};

union shared {
    struct four weights[TERMS][CHANNELS / 4];
    block_sums sums;
};

template <class T>
__device__ __forceinline__ void bring(const T *weights, int32_t channel, int32_t channels, int64_t pitch, int32_t terms,
                                      union shared *s)
{
    for (int i = (int)threadIdx.x; i < terms * CHANNELS; i += CONV_THREADS) {
        const int32_t term = i / CHANNELS, k = i % CHANNELS;
        s->weights[term][k / 4].at[k % 4] =
            channel + k < channels ? sl_read(weights + (channel + k) * pitch + term) : 0.0f;
    }
}

__device__ __forceinline__ void add(const struct four *weights, float x, float *sums)
{
    SL_UNROLLED for (int j = 0; j < CHANNELS / 4; j++)
    {
        const struct four w = weights[j];
        SL_UNROLLED for (int e = 0; e < 4; e++) sums[j * 4 + e] = fmaf(x, w.at[e], sums[j * 4 + e]);
    }
}

template <class T>
static __global__ void __launch_bounds__(CONV_THREADS)
    convolve(const struct conv_pass p, int64_t pitch, int32_t across, const T *x, const T *weights,
             const struct conv_output o)
{
    union shared *s = sl_shared<union shared>();
    const int64_t first = (int64_t)(blockIdx.x / across) * PIXELS, pixel = first + threadIdx.x;
    const int32_t channel = (int32_t)(blockIdx.x % across) * CHANNELS, taps = p.rows.taps * p.columns.taps;
    const struct conv_line line = conv_line_of(p, pixel);
    float sums[CHANNELS] = {};
    bring(weights, channel, conv_packed_channels(o.stride), pitch, p.sum, s);
    __syncthreads();
    for (int32_t tap = 0; tap < taps; tap++) {
        const T *from =
            x + line.at + ((int64_t)(tap / p.columns.taps) * p.columns.source + tap % p.columns.taps) * p.stride_in;
        float in[MOST_IN];
        SL_UNROLLED for (int c = 0; c < MOST_IN; c++) in[c] =
            c < p.stride_in && line.there >> tap & 1 ? sl_read(from + c) : 0.0f;
        SL_UNROLLED for (int c = 0; c < MOST_IN; c++) if (c < p.stride_in)
            add(s->weights[tap * p.stride_in + c], in[c], sums);
    }
    __syncthreads();
    SL_UNROLLED for (int k = 0; k < CHANNELS; k++) s->sums.at[threadIdx.x * block_sums::PITCH + k] = sums[k];
    conv_finish<T>(o, p, first, channel, &s->sums);
}

/* ---- rows ---- */

template <int MATH> static bool takes(const void *shape, struct sl_need *need)
{
    const auto *s = static_cast<const struct sl_conv2d *>(shape);
    const struct conv_pass p = conv_forward_pass(s);
    return p.stride_in <= MOST_IN && p.sum <= TERMS && s->kh * s->kw <= CONV_STRAIGHT_TAPS && p.pixels <= INT32_MAX &&
           conv_needs<MATH, true>(s, PIXELS, need);
}

template <int MATH> static void run(const void *shape, const void *args, const struct sl_work *work)
{
    typedef typename conv_element<MATH>::type T;
    const struct conv_job job = conv_forward_job(shape, args);
    const int32_t across = (job.o.stride + CHANNELS - 1) / CHANNELS;
    const int64_t blocks = (job.p.pixels + PIXELS - 1) / PIXELS * across;
    sl_cuda_launch(convolve<T>, dim3((unsigned)blocks), dim3(CONV_THREADS), sizeof(union shared), work, job.p,
                   (int64_t)conv_steps_of<T>(&job.p) * conv_step<T>(), across, static_cast<const T *>(job.x),
                   static_cast<const T *>(job.weights), job.o);
}

const struct sl_kernel sl_conv2d_fwd_few_cuda = {
    .need = takes<CONV_PLAIN>, .pack = conv_pack<CONV_PLAIN, true>, .run = run<CONV_PLAIN>};
const struct sl_kernel sl_conv2d_fwd_few_bf16_cuda = {
    .element = SL_ELEMENT_BF16, .need = takes<CONV_BF16>, .pack = conv_pack<CONV_BF16, true>, .run = run<CONV_BF16>};
