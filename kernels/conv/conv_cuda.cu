/* The convolution and its gradient by the data on a GPU, as one implicit product of matrices: rows are output pixels,
 * columns output channels, and the sum runs over taps and channels of the source. No matrix is unfolded: a block
 * gathers the lines of its pixels from where they lie, a few steps ahead of the products.
 *
 *   block: 128 pixels x 64 channels, 8 warps of 32 x 32; a step adds 128 bytes of each pixel: 64 bf16 or 32 floats
 *   shared memory: 3 steps of 24 KiB; afterwards the sums, from which y and the moments are made */
#include "kernels/conv/conv_packed_cuda.cuh"

constexpr int PIXELS = 128, CHANNELS = 64;
constexpr int STEPS = 3; /* that are on their way or in use */

struct step {
    unsigned char pixels[PIXELS * CONV_LINE], weights[CHANNELS * CONV_LINE];
};

typedef struct conv_sums<PIXELS, CHANNELS> block_sums;

union shared {
    struct step steps[STEPS];
    block_sums sums;
};

/* ---- products ---- */

/* The sums of a thread. Tensor cores: of its warp's 32 x 32, 2 x 4 products of 16 x 8. Ordinary ones: of 8 pixels x 4
 * channels. */
struct sums {
    float at[2][4][4];
};

template <int MATH> __device__ __forceinline__ void multiply_tensor(const struct step *step, struct sums *sums)
{
    const int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32;
    const int pixel = warp % 4 * 32, channel = warp / 4 * 32;
    for (int pair = 0; pair < CONV_CHUNKS / 2; pair++) {
        uint32_t a[2][4], b[2][4];
        for (int i = 0; i < 2; i++) {
            sl_load_matrix_4(a[i], step->pixels + conv_chunk_at(pixel + i * 16 + lane % 16, pair * 2 + lane / 16));
            sl_load_matrix_4(b[i], step->weights + conv_chunk_at(channel + i * 16 + lane / 16 * 8 + lane % 8,
                                                                 pair * 2 + lane / 8 % 2));
            for (int k = 0; k < 4 && MATH == CONV_TF32; k++)
                a[i][k] = sl_to_tf32(__uint_as_float(a[i][k])); /* weights were rounded when they were packed */
        }
        for (int i = 0; i < 2; i++)
            for (int j = 0; j < 4; j++)
                conv_mma<MATH>(sums->at[i][j], a[i], b[j / 2] + j % 2 * 2);
    }
}

__device__ __forceinline__ void multiply_plain(const struct step *step, struct sums *sums)
{
    const int pixel = (int)threadIdx.x / 16 * 8, channel = (int)threadIdx.x % 16 * 4;
    for (int k = 0; k < conv_step<float>(); k++) {
        float b[4];
        for (int j = 0; j < 4; j++)
            b[j] = reinterpret_cast<const float *>(step->weights + conv_chunk_at(channel + j, k / 4))[k % 4];
        for (int i = 0; i < 8; i++) {
            const float a = reinterpret_cast<const float *>(step->pixels + conv_chunk_at(pixel + i, k / 4))[k % 4];
            for (int j = 0; j < 4; j++)
                sums->at[i / 4][i % 4][j] = fmaf(a, b[j], sums->at[i / 4][i % 4][j]);
        }
    }
}

/* To shared memory, pixel by pixel. */
template <int MATH> __device__ __forceinline__ void lay_out(const struct sums &sums, float *to)
{
    const int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32;
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 4; j++)
            for (int k = 0; k < 4; k++) {
                const int pixel = MATH == CONV_PLAIN ? (int)threadIdx.x / 16 * 8 + i * 4 + j
                                                     : warp % 4 * 32 + i * 16 + lane / 4 + k / 2 * 8;
                const int channel =
                    MATH == CONV_PLAIN ? (int)threadIdx.x % 16 * 4 + k : warp / 4 * 32 + j * 8 + lane % 4 * 2 + k % 2;
                to[pixel * block_sums::PITCH + channel] = sums.at[i][j][k];
            }
}

/* ---- the kernel ---- */

template <int MATH, bool WHOLE>
static __global__ void __launch_bounds__(CONV_THREADS)
    convolve(const struct conv_pass p, int steps, const typename conv_element<MATH>::type *x,
             const typename conv_element<MATH>::type *weights, const struct conv_output o)
{
    typedef typename conv_element<MATH>::type T;
    union shared *s = sl_shared<union shared>();
    const int64_t first = (int64_t)blockIdx.x * PIXELS, pitch = (int64_t)steps * conv_step<T>();
    const int32_t channel = (int32_t)blockIdx.y * CHANNELS;
    const auto g = conv_gatherer_of<PIXELS / CONV_LINES>(p, first);
    struct sums sums = {};
    weights += channel * pitch;
    for (int at = 1 - STEPS; at < steps; at++) {
        const int ahead = at + STEPS - 1;
        if (at >= 0) {
            sl_copy_wait<STEPS - 2>();
            __syncthreads(); /* all have this step, and nobody needs the one before */
        }
        if (ahead < steps) {
            struct step *next = &s->steps[ahead % STEPS];
            conv_gather<T, WHOLE>(g, p, ahead, x, next->pixels);
            conv_bring_weights<T, CHANNELS / CONV_LINES>(weights, CHANNELS, pitch, ahead, next->weights);
        }
        sl_copy_commit();
        if (at < 0)
            continue;
        if (MATH == CONV_PLAIN)
            multiply_plain(&s->steps[at % STEPS], &sums);
        else
            multiply_tensor<MATH>(&s->steps[at % STEPS], &sums);
    }
    sl_copy_wait<0>();
    __syncthreads();
    lay_out<MATH>(sums, s->sums.at);
    conv_finish<T>(o, p, first, channel, &s->sums);
}

/* ---- rows ---- */

template <int MATH, bool FORWARD> static bool takes(const void *shape, struct sl_need *need)
{
    return conv_needs<MATH, FORWARD>(static_cast<const struct sl_conv2d *>(shape), PIXELS, need);
}

template <int MATH> static bool takes_pooled(const void *shape, struct sl_need *need)
{
    return sl_conv2d_is_poolable(static_cast<const struct sl_conv2d *>(shape)) && takes<MATH, true>(shape, need);
}

template <int MATH> static void run(const struct conv_job &job, const struct sl_work *work)
{
    typedef typename conv_element<MATH>::type T;
    const dim3 grid((unsigned)((job.p.pixels + PIXELS - 1) / PIXELS),
                    (unsigned)(conv_packed_channels(job.o.stride) / CHANNELS));
    const bool whole = job.p.stride_in % conv_each<T>() == 0;
    sl_cuda_launch(whole ? convolve<MATH, true> : convolve<MATH, false>, grid, dim3(CONV_THREADS), sizeof(union shared),
                   work, job.p, conv_steps_of<T>(&job.p), static_cast<const T *>(job.x),
                   static_cast<const T *>(job.weights), job.o);
}

template <int MATH> static void forward(const void *shape, const void *args, const struct sl_work *work)
{
    run<MATH>(conv_forward_job(shape, args), work);
}

template <int MATH> static void forward_pooled(const void *shape, const void *args, const struct sl_work *work)
{
    run<MATH>(conv_pooled_job(shape, args), work);
}

template <int MATH> static void backward(const void *shape, const void *args, const struct sl_work *work)
{
    run<MATH>(conv_backward_job(shape, args), work);
}

const struct sl_kernel sl_conv2d_fwd_plain_cuda = {
    .need = takes<CONV_PLAIN, true>, .pack = conv_pack<CONV_PLAIN, true>, .run = forward<CONV_PLAIN>};
const struct sl_kernel sl_conv2d_fwd_tf32_cuda = {
    .need = takes<CONV_TF32, true>, .pack = conv_pack<CONV_TF32, true>, .run = forward<CONV_TF32>};
const struct sl_kernel sl_conv2d_fwd_bf16_cuda = {.element = SL_ELEMENT_BF16,
                                                  .need = takes<CONV_BF16, true>,
                                                  .pack = conv_pack<CONV_BF16, true>,
                                                  .run = forward<CONV_BF16>};
const struct sl_kernel sl_conv2d_bwd_data_plain_cuda = {
    .need = takes<CONV_PLAIN, false>, .pack = conv_pack<CONV_PLAIN, false>, .run = backward<CONV_PLAIN>};
const struct sl_kernel sl_conv2d_bwd_data_tf32_cuda = {
    .need = takes<CONV_TF32, false>, .pack = conv_pack<CONV_TF32, false>, .run = backward<CONV_TF32>};
const struct sl_kernel sl_conv2d_bwd_data_bf16_cuda = {.element = SL_ELEMENT_BF16,
                                                       .need = takes<CONV_BF16, false>,
                                                       .pack = conv_pack<CONV_BF16, false>,
                                                       .run = backward<CONV_BF16>};

const struct sl_kernel sl_conv2d_pool_fwd_plain_cuda = {
    .need = takes_pooled<CONV_PLAIN>, .pack = conv_pack<CONV_PLAIN, true>, .run = forward_pooled<CONV_PLAIN>};
const struct sl_kernel sl_conv2d_pool_fwd_tf32_cuda = {
    .need = takes_pooled<CONV_TF32>, .pack = conv_pack<CONV_TF32, true>, .run = forward_pooled<CONV_TF32>};
const struct sl_kernel sl_conv2d_pool_fwd_bf16_cuda = {.element = SL_ELEMENT_BF16,
                                                       .need = takes_pooled<CONV_BF16>,
                                                       .pack = conv_pack<CONV_BF16, true>,
                                                       .run = forward_pooled<CONV_BF16>};
