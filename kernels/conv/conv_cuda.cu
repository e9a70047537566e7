/* The convolution and its gradient by the data on a GPU, as one implicit product of matrices: rows are output pixels,
 * columns output channels, and the sum runs over taps and channels of the source. No matrix is unfolded: a block
 * gathers the chunks of its pixels from where they lie, a few steps ahead of the products.
 *
 *   block: 128 pixels x 64 channels, 8 warps of 32 x 32; a step adds 64 bytes of each pixel: 32 bf16 or 16 floats
 *   shared memory: 3 steps of 12 KiB; afterwards the sums, from which y and the moments are made */
#include "kernels/conv/conv_cuda.cuh"
#include "kernels/kernels.h"
#include "kernels/norm/norm.h"

constexpr int THREADS = 256, PIXELS = 128, CHANNELS = 64;
constexpr int CHUNKS = 4;                       /* of a pixel or a channel in one step */
constexpr int STEPS = 3;                        /* that are on their way or in use */
constexpr int ROWS = PIXELS * CHUNKS / THREADS; /* pixels whose chunks a thread copies */
constexpr int APART = THREADS / CHUNKS;         /* between them */

struct step {
    unsigned char pixels[PIXELS * CHUNKS * CONV_CHUNK], weights[CHANNELS * CHUNKS * CONV_CHUNK];
};

struct shared {
    union {
        struct step steps[STEPS];
        float sums[PIXELS * CHANNELS];
    };
    double room[THREADS];
};

/* What a block does with its sums. */
struct output {
    const float *bias; /* NULL: none */
    float slope;
    void *y;
    float *moments; /* NULL: none */
    int32_t channels, stride;
};

/* Where chunk q of row `row` lies: rows are paired to lines of 128 bytes and chunks exchanged, so that the same chunk
 * of eight rows, which tensor cores read at once, is in different banks. */
__device__ __forceinline__ int chunk_at(int row, int q)
{
    return (row / 2 * 8 + ((row % 2 * CHUNKS + q) ^ (row / 2 % 8))) * CONV_CHUNK;
}

/* ---- gathering ---- */

/* The pixels whose chunks a thread copies, and where it stands in their sum. */
struct gatherer {
    int64_t image[ROWS];             /* where the source's image begins */
    int32_t row[ROWS], column[ROWS]; /* source position of tap (0, 0), times the spacing */
    int32_t at;                      /* in the sum */
    int32_t c, r, s;                 /* channel and tap there */
};

__device__ __forceinline__ void stand_at(struct gatherer *g, const struct conv_pass &p, int32_t at)
{
    const int32_t tap = at / p.stride_in;
    g->at = at;
    g->c = at % p.stride_in;
    g->r = tap / p.columns.taps;
    g->s = tap % p.columns.taps;
}

template <class T> __device__ __forceinline__ struct gatherer gatherer_of(const struct conv_pass &p, int64_t first)
{
    struct gatherer g;
    for (int i = 0; i < ROWS; i++) {
        const int64_t pixel = first + threadIdx.x / CHUNKS + i * APART;
        const bool there = pixel < p.pixels;
        const struct conv_place at = conv_place_of(p, there ? pixel : 0);
        const int32_t beyond = -(1 << 30); /* no tap leads from there into the source */
        g.image[i] = at.image * p.rows.source * p.columns.source * p.stride_in;
        g.row[i] = there ? at.row * p.rows.stride - p.rows.pad : beyond;
        g.column[i] = at.column * p.columns.stride - p.columns.pad;
    }
    stand_at(&g, p, (int32_t)(threadIdx.x % CHUNKS) * conv_each<T>());
    return g;
}

/* Where the source has element c of tap (r, s) for pixel i of the thread; -1: it has none. */
__device__ __forceinline__ int64_t source_at(const struct gatherer &g, const struct conv_pass &p, int i, int32_t r,
                                             int32_t s, int32_t c)
{
    const int32_t row = conv_meet(p.rows, g.row[i], r), column = conv_meet(p.columns, g.column[i], s);
    return row < 0 || column < 0 ? -1 : g.image[i] + ((int64_t)row * p.columns.source + column) * p.stride_in + c;
}

/* A chunk element by element: where pixels are no whole chunks, as those of an image. */
template <class T>
__device__ __forceinline__ void gather_elements(const struct gatherer &g, const struct conv_pass &p, int i, const T *x,
                                                void *to)
{
    SL_ROLLED for (int e = 0; e < conv_each<T>(); e++)
    {
        struct gatherer one = g;
        stand_at(&one, p, g.at + e);
        const int64_t at = g.at + e < p.sum ? source_at(g, p, i, one.r, one.s, one.c) : -1;
        static_cast<T *>(to)[e] = at < 0 ? T(0) : x[at];
    }
}

/* The thread's chunks of one step, and on to the next. */
template <class T, bool WHOLE>
__device__ __forceinline__ void gather(struct gatherer *g, const struct conv_pass &p, const T *x, struct step *step)
{
    const int q = (int)(threadIdx.x % CHUNKS);
    SL_UNROLLED for (int i = 0; i < ROWS; i++)
    {
        void *to = step->pixels + chunk_at((int)threadIdx.x / CHUNKS + i * APART, q);
        if (!WHOLE) {
            gather_elements(*g, p, i, x, to);
            continue;
        }
        const int64_t at = g->at < p.sum ? source_at(*g, p, i, g->r, g->s, g->c) : -1;
        sl_copy_16(to, at < 0 ? x : x + at, at < 0 ? 0 : CONV_CHUNK);
    }
    stand_at(g, p, g->at + CHUNKS * conv_each<T>());
}

/* Packed weights are whole: channels and sums are rounded up. */
template <class T>
__device__ __forceinline__ void bring_weights(const T *weights, int64_t pitch, int number, struct step *step)
{
    const int row = (int)threadIdx.x / CHUNKS, q = (int)(threadIdx.x % CHUNKS);
    sl_copy_16(step->weights + chunk_at(row, q), weights + row * pitch + (number * CHUNKS + q) * conv_each<T>(),
               CONV_CHUNK);
}

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
    for (int half = 0; half < 2; half++) {
        uint32_t a[2][4], b[2][4];
        for (int i = 0; i < 2; i++) {
            sl_load_matrix_4(a[i], step->pixels + chunk_at(pixel + i * 16 + lane % 16, half * 2 + lane / 16));
            sl_load_matrix_4(b[i], step->weights +
                                       chunk_at(channel + i * 16 + lane / 16 * 8 + lane % 8, half * 2 + lane / 8 % 2));
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
    for (int k = 0; k < CHUNKS * 4; k++) {
        float b[4];
        for (int j = 0; j < 4; j++)
            b[j] = reinterpret_cast<const float *>(step->weights + chunk_at(channel + j, k / 4))[k % 4];
        for (int i = 0; i < 8; i++) {
            const float a = reinterpret_cast<const float *>(step->pixels + chunk_at(pixel + i, k / 4))[k % 4];
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
                to[pixel * CHANNELS + channel] = sums.at[i][j][k];
            }
}

/* ---- what is made of the sums ---- */

/* y; and the sums become what was stored, for the moments. */
template <class T>
__device__ __forceinline__ void store(const struct output &o, int64_t first, int64_t pixels, int32_t channel,
                                      float *sums)
{
    for (int i = (int)threadIdx.x; i < PIXELS * CHANNELS; i += THREADS) {
        const int64_t pixel = first + i / CHANNELS;
        const int32_t k = channel + i % CHANNELS;
        if (pixel >= pixels || k >= o.stride)
            continue;
        float v = k < o.channels ? sums[i] + (o.bias ? o.bias[k] : 0.0f) : 0.0f;
        v = v >= 0.0f ? v : o.slope * v;
        T *to = static_cast<T *>(o.y) + pixel * o.stride + k;
        sl_write(to, v);
        sums[i] = sizeof(T) == sizeof(float) ? v : sl_widen(sl_narrow(v));
    }
}

/* The largest of each window, whose four outputs follow each other. An activation's slope is not negative, so that it
 * may come afterwards. */
template <class T>
__device__ __forceinline__ void store_pooled(const struct output &o, int64_t first, int64_t pixels, int32_t channel,
                                             const float *sums)
{
    for (int i = (int)threadIdx.x; i < PIXELS / 4 * CHANNELS; i += THREADS) {
        const int64_t window = first / 4 + i / CHANNELS;
        const int32_t k = channel + i % CHANNELS;
        const float *four = sums + i / CHANNELS * 4 * CHANNELS + i % CHANNELS;
        if (window >= pixels / 4 || k >= o.stride)
            continue;
        float v = four[0];
        for (int part = 1; part < 4; part++)
            v = four[part * CHANNELS] > v ? four[part * CHANNELS] : v;
        v = k < o.channels ? v + (o.bias ? o.bias[k] : 0.0f) : 0.0f;
        sl_write(static_cast<T *>(o.y) + window * o.stride + k, v >= 0.0f ? v : o.slope * v);
    }
}

/* The sum of a column's f(value), in one order, for all its threads. */
template <class F> __device__ __forceinline__ double sum_column(const float *sums, int rows, double *room, F f)
{
    const int column = (int)threadIdx.x % CHANNELS, group = (int)threadIdx.x / CHANNELS;
    double sum = 0.0;
    for (int row = group; row < rows; row += THREADS / CHANNELS)
        sum += f((double)sums[row * CHANNELS + column]);
    __syncthreads();
    room[threadIdx.x] = sum;
    __syncthreads();
    sum = 0.0;
    for (int i = 0; i < THREADS / CHANNELS; i++)
        sum += room[i * CHANNELS + column];
    return sum;
}

/* One record for each block of pixels; a block of channels writes its part. */
__device__ __forceinline__ void store_moments(const struct output &o, int64_t first, int64_t pixels, int32_t channel,
                                              struct shared *s)
{
    const int rows = pixels - first < PIXELS ? (int)(pixels - first) : PIXELS;
    const int32_t k = channel + (int32_t)(threadIdx.x % CHANNELS);
    float *record = o.moments + (size_t)blockIdx.x * sl_moments_size(o.stride);
    __syncthreads();
    const double mean = sum_column(s->sums, rows, s->room, [](double v) { return v; }) / rows;
    const double squares = sum_column(s->sums, rows, s->room, [mean](double v) { return (v - mean) * (v - mean); });
    if (threadIdx.x < CHANNELS && k < o.stride) {
        record[k] = (float)mean;
        record[o.stride + k] = (float)squares;
    }
    if (blockIdx.y == 0 && threadIdx.x < SL_LANES)
        record[2 * o.stride + threadIdx.x] = threadIdx.x == 0 ? (float)rows : 0.0f;
}

/* ---- the kernel ---- */

template <int MATH, bool WHOLE>
static __global__ void __launch_bounds__(THREADS)
    convolve(const struct conv_pass p, int steps, const typename conv_element<MATH>::type *x,
             const typename conv_element<MATH>::type *weights, const struct output o)
{
    typedef typename conv_element<MATH>::type T;
    struct shared *s = sl_shared<struct shared>();
    const int64_t first = (int64_t)blockIdx.x * PIXELS, pitch = (int64_t)steps * CHUNKS * conv_each<T>();
    const int32_t channel = (int32_t)blockIdx.y * CHANNELS;
    struct gatherer g = gatherer_of<T>(p, first);
    struct sums sums = {};
    weights += channel * pitch;
    for (int ahead = 0; ahead < STEPS - 1; ahead++) {
        if (ahead < steps) {
            gather<T, WHOLE>(&g, p, x, &s->steps[ahead]);
            bring_weights(weights, pitch, ahead, &s->steps[ahead]);
        }
        sl_copy_commit();
    }
    for (int now = 0; now < steps; now++) {
        const int ahead = now + STEPS - 1;
        sl_copy_wait<STEPS - 2>();
        __syncthreads(); /* all have this step, and nobody needs the one before */
        if (ahead < steps) {
            gather<T, WHOLE>(&g, p, x, &s->steps[ahead % STEPS]);
            bring_weights(weights, pitch, ahead, &s->steps[ahead % STEPS]);
        }
        sl_copy_commit();
        if (MATH == CONV_PLAIN)
            multiply_plain(&s->steps[now % STEPS], &sums);
        else
            multiply_tensor<MATH>(&s->steps[now % STEPS], &sums);
    }
    sl_copy_wait<0>();
    __syncthreads();
    lay_out<MATH>(sums, s->sums);
    __syncthreads();
    if (p.pool == 2)
        store_pooled<T>(o, first, p.pixels, channel, s->sums);
    else
        store<T>(o, first, p.pixels, channel, s->sums);
    if (o.moments)
        store_moments(o, first, p.pixels, channel, s);
}

/* ---- packing: [channels, rounded up][steps][a step's elements], of which those past the sum are zero ---- */

template <class T> static int steps_of(const struct conv_pass *p)
{
    const int each = CHUNKS * conv_each<T>();
    return (p->sum + each - 1) / each;
}

static int64_t rounded_channels(int32_t channels)
{
    return (channels + CHANNELS - 1) / CHANNELS * CHANNELS;
}

/* Weights of tap (r, s) from channel c of the source to channel k of the output. */
template <bool FORWARD>
__device__ __forceinline__ float weight_at(const struct sl_conv2d &s, const float *w, int64_t k, int32_t r, int32_t t,
                                           int32_t c)
{
    const int64_t from = FORWARD ? c : k, to = FORWARD ? k : c;
    if (to >= s.k || from >= s.c)
        return 0.0f;
    const int32_t row = FORWARD ? r : s.kh - 1 - r, column = FORWARD ? t : s.kw - 1 - t;
    return w[((to * s.kh + row) * s.kw + column) * s.c + from];
}

__device__ __forceinline__ void put_weight(uint16_t *at, float w, bool)
{
    *at = sl_narrow(w);
}
__device__ __forceinline__ void put_weight(float *at, float w, bool round)
{
    *at = round ? __uint_as_float(sl_to_tf32(w)) : w;
}

template <int MATH, bool FORWARD>
static __global__ void __launch_bounds__(THREADS)
    pack_weights(const struct sl_conv2d s, const struct conv_pass p, int64_t channels, int64_t pitch, const float *w,
                 typename conv_element<MATH>::type *to)
{
    const int64_t all = channels * pitch;
    for (int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x; i < all; i += (int64_t)gridDim.x * THREADS) {
        const int32_t at = (int32_t)(i % pitch), tap = at / p.stride_in;
        const float weight =
            at < p.sum ? weight_at<FORWARD>(s, w, i / pitch, tap / s.kw, tap % s.kw, at % p.stride_in) : 0.0f;
        put_weight(to + i, weight, MATH == CONV_TF32);
    }
}

/* ---- rows ---- */

template <bool FORWARD> static struct conv_pass pass_of(const struct sl_conv2d *s)
{
    return FORWARD ? conv_forward_pass(s) : conv_backward_pass(s);
}

/* Lanes of the output's pixels. */
template <bool FORWARD> static int32_t stride_out(const struct sl_conv2d *s)
{
    return FORWARD ? s->ys : s->xs;
}

template <int MATH, bool FORWARD> static bool takes(const void *shape, struct sl_need *need)
{
    typedef typename conv_element<MATH>::type T;
    const auto *s = static_cast<const struct sl_conv2d *>(shape);
    const struct conv_pass p = pass_of<FORWARD>(s);
    need->units = (p.pixels + PIXELS - 1) / PIXELS;
    need->pack_units = 1;
    need->packed = (size_t)rounded_channels(stride_out<FORWARD>(s)) * (size_t)steps_of<T>(&p) * CHUNKS * CONV_CHUNK;
    return true;
}

template <int MATH, bool FORWARD>
static void pack(const void *shape, const float *weights, void *packed, const struct sl_work *work)
{
    typedef typename conv_element<MATH>::type T;
    const auto *s = static_cast<const struct sl_conv2d *>(shape);
    const struct conv_pass p = pass_of<FORWARD>(s);
    const int64_t channels = rounded_channels(stride_out<FORWARD>(s)),
                  pitch = (int64_t)steps_of<T>(&p) * CHUNKS * conv_each<T>();
    sl_cuda_launch(pack_weights<MATH, FORWARD>, dim3(sl_cuda_blocks(channels * pitch, 4 * THREADS)), dim3(THREADS), 0,
                   work, *s, p, channels, pitch, weights, static_cast<T *>(packed));
}

template <int MATH>
static void run(const struct conv_pass *p, const void *x, const void *weights, const struct output *o,
                const struct sl_work *work)
{
    typedef typename conv_element<MATH>::type T;
    const dim3 grid((unsigned)((p->pixels + PIXELS - 1) / PIXELS), (unsigned)(rounded_channels(o->stride) / CHANNELS));
    const bool whole = p->stride_in % conv_each<T>() == 0;
    sl_cuda_launch(whole ? convolve<MATH, true> : convolve<MATH, false>, grid, dim3(THREADS), sizeof(struct shared),
                   work, *p, steps_of<T>(p), static_cast<const T *>(x), static_cast<const T *>(weights), *o);
}

template <int MATH> static bool takes_pooled(const void *shape, struct sl_need *need)
{
    return sl_conv2d_is_poolable(static_cast<const struct sl_conv2d *>(shape)) && takes<MATH, true>(shape, need);
}

template <int MATH> static void forward_pooled(const void *shape, const void *args, const struct sl_work *work)
{
    const auto *s = static_cast<const struct sl_conv2d *>(shape);
    const auto *a = static_cast<const struct sl_conv2d_fwd *>(args);
    struct conv_pass p = conv_forward_pass(s);
    const struct output o = {a->bias, a->slope, a->y, nullptr, s->k, s->ys};
    p.pool = 2;
    run<MATH>(&p, a->x, a->weights, &o, work);
}

template <int MATH> static void forward(const void *shape, const void *args, const struct sl_work *work)
{
    const auto *s = static_cast<const struct sl_conv2d *>(shape);
    const auto *a = static_cast<const struct sl_conv2d_fwd *>(args);
    const struct conv_pass p = conv_forward_pass(s);
    const struct output o = {a->bias, a->slope, a->y, a->moments, s->k, s->ys};
    run<MATH>(&p, a->x, a->weights, &o, work);
}

template <int MATH> static void backward(const void *shape, const void *args, const struct sl_work *work)
{
    const auto *s = static_cast<const struct sl_conv2d *>(shape);
    const auto *a = static_cast<const struct sl_conv2d_bwd_data *>(args);
    const struct conv_pass p = conv_backward_pass(s);
    const struct output o = {nullptr, 1.0f, a->dx, nullptr, s->c, s->xs};
    run<MATH>(&p, a->dy, a->weights, &o, work);
}

const struct sl_kernel sl_conv2d_fwd_plain_cuda = {
    .need = takes<CONV_PLAIN, true>, .pack = pack<CONV_PLAIN, true>, .run = forward<CONV_PLAIN>};
const struct sl_kernel sl_conv2d_fwd_tf32_cuda = {
    .need = takes<CONV_TF32, true>, .pack = pack<CONV_TF32, true>, .run = forward<CONV_TF32>};
const struct sl_kernel sl_conv2d_fwd_bf16_cuda = {.element = SL_ELEMENT_BF16,
                                                  .need = takes<CONV_BF16, true>,
                                                  .pack = pack<CONV_BF16, true>,
                                                  .run = forward<CONV_BF16>};
const struct sl_kernel sl_conv2d_bwd_data_plain_cuda = {
    .need = takes<CONV_PLAIN, false>, .pack = pack<CONV_PLAIN, false>, .run = backward<CONV_PLAIN>};
const struct sl_kernel sl_conv2d_bwd_data_tf32_cuda = {
    .need = takes<CONV_TF32, false>, .pack = pack<CONV_TF32, false>, .run = backward<CONV_TF32>};
const struct sl_kernel sl_conv2d_bwd_data_bf16_cuda = {.element = SL_ELEMENT_BF16,
                                                       .need = takes<CONV_BF16, false>,
                                                       .pack = pack<CONV_BF16, false>,
                                                       .run = backward<CONV_BF16>};

const struct sl_kernel sl_conv2d_pool_fwd_plain_cuda = {
    .need = takes_pooled<CONV_PLAIN>, .pack = pack<CONV_PLAIN, true>, .run = forward_pooled<CONV_PLAIN>};
const struct sl_kernel sl_conv2d_pool_fwd_tf32_cuda = {
    .need = takes_pooled<CONV_TF32>, .pack = pack<CONV_TF32, true>, .run = forward_pooled<CONV_TF32>};
