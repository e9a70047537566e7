/* The convolution and its gradient by the data where a GPU multiplies tiles of shared memory by warpgroups (sm_90a):
 * the product of conv_cuda.cu in larger blocks. It takes straight passes (conv_gather_cuda.cuh).
 *
 *   block: two warpgroups, each for half of the pixels and all channels; a step adds 128 bytes of each pixel
 *   shared memory: STEPS steps, of which all but two are on their way: one is multiplied, and one awaits its last
 *   products; afterwards the sums */
#include "kernels/conv/conv_packed_cuda.cuh"

template <int PIXELS, int CHANNELS, int STEPS> struct tile {
    static constexpr int ROWS = 64, TILES = PIXELS / 2 / ROWS; /* of a product; of a warpgroup */
    static constexpr int BLOCKS = 256 * 128 / (PIXELS * CHANNELS) > 3
                                      ? 3
                                      : 256 * 128 / (PIXELS * CHANNELS); /* that a processor runs at once */
    struct step {
        unsigned char pixels[PIXELS * CONV_LINE], weights[CHANNELS * CONV_LINE];
    };
    typedef struct conv_sums<PIXELS, CHANNELS> block_sums;
    struct shared {
        union {
            struct step steps[STEPS];
            block_sums sums;
        };
        struct conv_line lines[PIXELS];
    };
    struct sums {
        float at[TILES][CHANNELS / 2];
    };

    /* One step's products are started. */
    template <int MATH>
    static __device__ __forceinline__ void multiply(const struct step &step, bool add, struct sums *sums)
    {
        constexpr auto KIND = MATH == CONV_BF16 ? SL_WGMMA_BF16_ROWS : SL_WGMMA_TF32_ROWS;
        constexpr int TERMS = 32; /* bytes */
        const int first = (int)threadIdx.x / 128 * TILES * ROWS;
        sl_wgmma_begin();
        SL_UNROLLED for (int at = 0; at < CONV_LINE; at += TERMS) SL_UNROLLED for (int i = 0; i < TILES; i++)
            sl_wgmma<KIND, CHANNELS>(sums->at[i], step.pixels + (first + i * ROWS) * CONV_LINE + at, step.weights + at,
                                     0, add || at > 0);
        sl_wgmma_commit();
    }

    /* To shared memory, pixel by pixel. */
    static __device__ __forceinline__ void lay_out(const struct sums &sums, float *to)
    {
        const int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32;
        SL_UNROLLED for (int i = 0; i < TILES; i++) SL_UNROLLED for (int j = 0; j < CHANNELS / 2; j++)
        {
            const int pixel = warp / 4 * TILES * ROWS + i * ROWS + warp % 4 * 16 + lane / 4 + j / 2 % 2 * 8;
            to[pixel * block_sums::PITCH + j / 4 * 8 + lane % 4 * 2 + j % 2] = sums.at[i][j];
        }
    }
};

template <int MATH, class TILE, int PIXELS, int CHANNELS, int STEPS>
static __global__ void __launch_bounds__(CONV_THREADS, TILE::BLOCKS)
    convolve(const struct conv_pass p, int steps, int32_t across, const typename conv_element<MATH>::type *x,
             const typename conv_element<MATH>::type *weights, const struct conv_output o)
{
    typedef typename conv_element<MATH>::type T;
    constexpr int AHEAD = STEPS - 2;
    auto *s = sl_shared<typename TILE::shared>();
    const int64_t first = (int64_t)(blockIdx.x / across) * PIXELS, pitch = (int64_t)steps * conv_step<T>();
    const int32_t channel = (int32_t)(blockIdx.x % across) * CHANNELS;
    const int32_t channels = conv_packed_channels(o.stride) - channel;
    auto g = conv_straight_of<T, PIXELS / CONV_LINES>(p, first, x, s->lines);
    const auto bring = [&](int number) {
        auto *step = &s->steps[number % STEPS];
        if (number < steps) {
            conv_gather(&g, p, step->pixels);
            conv_bring_weights<T, CHANNELS / CONV_LINES>(weights, channels, pitch, number, step->weights);
        }
        sl_copy_commit();
    };
    weights += channel * pitch;
    for (int number = 0; number < AHEAD; number++)
        bring(number);
    typename TILE::sums sums;
    for (int number = 0; number < steps; number++) {
        sl_copy_wait<AHEAD - 1>();
        sl_shared_fence();
        __syncthreads(); /* all have this step, and the products before the last are made */
        TILE::template multiply<MATH>(s->steps[number % STEPS], number > 0, &sums);
        bring(number + AHEAD);
        sl_wgmma_wait<1>();
    }
    sl_copy_wait<0>();
    sl_wgmma_wait<0>();
    __syncthreads();
    TILE::lay_out(sums, s->sums.at);
    conv_finish<T>(o, p, first, channel, &s->sums);
}

/* ---- rows ---- */

/* Of a block. Large ones read less; they pay where a GPU has enough of them, and where a sum is so long that it does
 * not matter that a processor's only block begins and ends alone. */
struct size {
    int pixels, channels;
};
#ifdef __CUDACC__
constexpr int64_t MANY = 256; /* blocks */
#else
constexpr int64_t MANY = 1; /* so that every tile is checked where a block takes its time */
#endif
constexpr int LONG = 12; /* steps */

template <class T> static struct size size_of(const struct conv_pass &p, int32_t channels)
{
    const int64_t large = (p.pixels + 255) / 256 * ((channels + 127) / 128);
    if (channels <= 64)
        return {128, 64};
    return large >= MANY && conv_steps_of<T>(&p) >= LONG ? size{256, 128} : size{128, 128};
}

template <int MATH, bool FORWARD> static bool takes(const void *shape, struct sl_need *need)
{
    typedef typename conv_element<MATH>::type T;
    const auto *s = static_cast<const struct sl_conv2d *>(shape);
    const struct conv_pass p = conv_pass_of<FORWARD>(s);
    const int64_t pixels = size_of<T>(p, conv_stride_out<FORWARD>(s)).pixels;
    return conv_is_straight<T>(p) && conv_needs<MATH, FORWARD>(s, pixels, need);
}

template <int MATH> static bool takes_pooled(const void *shape, struct sl_need *need)
{
    return sl_conv2d_is_poolable(static_cast<const struct sl_conv2d *>(shape)) && takes<MATH, true>(shape, need);
}

template <int MATH, int PIXELS, int CHANNELS, int STEPS>
static void start(const struct conv_job &job, const struct sl_work *work)
{
    typedef typename conv_element<MATH>::type T;
    typedef struct tile<PIXELS, CHANNELS, STEPS> TILE;
    const int32_t across = (job.o.stride + CHANNELS - 1) / CHANNELS;
    const int64_t blocks = (job.p.pixels + PIXELS - 1) / PIXELS * across;
    sl_cuda_launch(convolve<MATH, TILE, PIXELS, CHANNELS, STEPS>, dim3((unsigned)blocks), dim3(CONV_THREADS),
                   sizeof(typename TILE::shared), work, job.p, conv_steps_of<T>(&job.p), across,
                   static_cast<const T *>(job.x), static_cast<const T *>(job.weights), job.o);
}

template <int MATH> static void run(const struct conv_job &job, const struct sl_work *work)
{
    const struct size size = size_of<typename conv_element<MATH>::type>(job.p, job.o.stride);
    if (size.pixels == 256)
        start<MATH, 256, 128, 4>(job, work);
    else if (size.channels == 128)
        start<MATH, 128, 128, 3>(job, work);
    else
        start<MATH, 128, 64, 3>(job, work);
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

const struct sl_kernel sl_conv2d_fwd_tf32_wgmma = {
    .need = takes<CONV_TF32, true>, .pack = conv_pack<CONV_TF32, true>, .run = forward<CONV_TF32>};
const struct sl_kernel sl_conv2d_fwd_bf16_wgmma = {.element = SL_ELEMENT_BF16,
                                                   .need = takes<CONV_BF16, true>,
                                                   .pack = conv_pack<CONV_BF16, true>,
                                                   .run = forward<CONV_BF16>};
const struct sl_kernel sl_conv2d_pool_fwd_tf32_wgmma = {
    .need = takes_pooled<CONV_TF32>, .pack = conv_pack<CONV_TF32, true>, .run = forward_pooled<CONV_TF32>};
const struct sl_kernel sl_conv2d_pool_fwd_bf16_wgmma = {.element = SL_ELEMENT_BF16,
                                                        .need = takes_pooled<CONV_BF16>,
                                                        .pack = conv_pack<CONV_BF16, true>,
                                                        .run = forward_pooled<CONV_BF16>};
const struct sl_kernel sl_conv2d_bwd_data_tf32_wgmma = {
    .need = takes<CONV_TF32, false>, .pack = conv_pack<CONV_TF32, false>, .run = backward<CONV_TF32>};
const struct sl_kernel sl_conv2d_bwd_data_bf16_wgmma = {.element = SL_ELEMENT_BF16,
                                                        .need = takes<CONV_BF16, false>,
                                                        .pack = conv_pack<CONV_BF16, false>,
                                                        .run = backward<CONV_BF16>};
