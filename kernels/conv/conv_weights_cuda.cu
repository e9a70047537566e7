/* The convolution's gradient by the weights on a GPU, as one implicit product of matrices: rows are output channels,
 * columns taps x input channels, and the sum runs over pixels. Matrices that are small but for the sum leave a GPU
 * idle: so the pixels are cut into parts, as many as the shape alone says, whose sums are added in order afterwards.
 *
 *   block: 64 output channels x 64 columns of one part, 8 warps of 32 x 16; a step adds 32 pixels
 *   shared memory: 3 steps; dy and x lie there as they do in memory, pixel by pixel, and are transposed on the way into
 *   registers */
#include "kernels/conv/conv_cuda.cuh"
#include "kernels/kernels.h"

constexpr int THREADS = 256, SIDE = 64;
constexpr int STEPS = 3, PIXELS = 32;     /* of a step */
constexpr int64_t LEAST = 512;            /* pixels of a part */
constexpr int64_t BLOCKS = 528;           /* wanted: four for each processor of a large GPU */
constexpr size_t MOST = (size_t)64 << 20; /* bytes of all parts */

/* Chunks of 64 channels. */
template <class T> SL_ANYWHERE constexpr int chunks_of()
{
    return SIDE / conv_each<T>();
}

template <class T> struct step {
    T dy[PIXELS * SIDE], x[PIXELS * SIDE];
};

/* What a block computes. */
struct part {
    int64_t pixels; /* of one part, a multiple of PIXELS */
    int32_t k, columns, stride_out;
};

/* The element of a chunk of a pixel: chunks are exchanged so that the same one of eight pixels, which tensor cores read
 * at once, is in different banks. */
template <class T> __device__ __forceinline__ int chunk_at(int pixel, int q)
{
    return (pixel * chunks_of<T>() + (q ^ pixel % 8)) * conv_each<T>();
}

template <class T> __device__ __forceinline__ int element_at(int pixel, int channel)
{
    return chunk_at<T>(pixel, channel / conv_each<T>()) + channel % conv_each<T>();
}

/* ---- gathering ---- */

/* The tap and channel of a column. */
struct column {
    int32_t r, s, c;
};

__device__ __forceinline__ struct column column_of(const struct conv_pass &p, int32_t at)
{
    const int32_t tap = at / p.stride_in;
    return {tap / p.columns.taps, tap % p.columns.taps, at % p.stride_in};
}

/* Where the source has that column for a pixel; -1: it has none. */
__device__ __forceinline__ int64_t source_at(const struct conv_pass &p, const struct column &column, int64_t pixel)
{
    const int64_t line = pixel / p.columns.output;
    const int32_t i = (int32_t)(line % p.rows.output) * p.rows.stride - p.rows.pad;
    const int32_t j = (int32_t)(pixel % p.columns.output) * p.columns.stride - p.columns.pad;
    const int32_t row = conv_meet(p.rows, i, column.r), at = conv_meet(p.columns, j, column.s);
    if (row < 0 || at < 0)
        return -1;
    return ((line / p.rows.output * p.rows.source + row) * p.columns.source + at) * p.stride_in + column.c;
}

/* A chunk of x: whole, or element by element where pixels are no whole chunks. */
template <class T, bool WHOLE>
__device__ __forceinline__ void gather_x(const struct conv_pass &p, int32_t columns, int32_t first, int64_t pixel,
                                         int64_t end, const T *x, T *to)
{
    for (int e = 0; !WHOLE && e < conv_each<T>(); e++) {
        const int64_t at = pixel < end && first + e < columns ? source_at(p, column_of(p, first + e), pixel) : -1;
        to[e] = at < 0 ? T(0) : x[at];
    }
    if (WHOLE) {
        const int64_t at = pixel < end && first < columns ? source_at(p, column_of(p, first), pixel) : -1;
        sl_copy_16(to, at < 0 ? x : x + at, at < 0 ? 0 : CONV_CHUNK);
    }
}

template <class T, bool WHOLE>
__device__ __forceinline__ void gather_dy(const struct part &part, int32_t first, int64_t pixel, int64_t end,
                                          const T *dy, T *to)
{
    const T *from = dy + pixel * part.stride_out + first;
    for (int e = 0; !WHOLE && e < conv_each<T>(); e++)
        to[e] = pixel < end && first + e < part.stride_out ? from[e] : T(0);
    if (WHOLE) {
        const bool there = pixel < end && first < part.stride_out;
        sl_copy_16(to, there ? from : dy, there ? CONV_CHUNK : 0);
    }
}

/* The pixels [at, at + PIXELS) of both, as far as the part goes. */
template <class T, bool WHOLE>
__device__ __forceinline__ void gather(const struct conv_pass &p, const struct part &part, int64_t at, int64_t end,
                                       const T *x, const T *dy, struct step<T> *step)
{
    for (int i = (int)threadIdx.x; i < PIXELS * chunks_of<T>(); i += THREADS) {
        const int pixel = i / chunks_of<T>(), q = i % chunks_of<T>(), place = chunk_at<T>(pixel, q);
        const int32_t within = q * conv_each<T>();
        gather_dy<T, WHOLE>(part, (int32_t)blockIdx.y * SIDE + within, at + pixel, end, dy, step->dy + place);
        gather_x<T, WHOLE>(p, part.columns, (int32_t)blockIdx.x * SIDE + within, at + pixel, end, x, step->x + place);
    }
}

/* ---- products ---- */

/* Of a warp's 32 channels x 16 columns, 2 x 2 products of 16 x 8; or of a thread's 4 x 4. */
struct sums {
    float at[2][2][4];
};

__device__ __forceinline__ void multiply(const struct step<uint16_t> *step, struct sums *sums)
{
    const int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32;
    const int channel = warp % 2 * 32, column = warp / 2 * 16;
    for (int first = 0; first < PIXELS; first += 16) {
        uint32_t a[2][4], b[4];
        const int of_a = first + lane / 16 * 8 + lane % 8, of_b = first + lane % 16;
        for (int i = 0; i < 2; i++)
            sl_load_matrix_4_transposed(a[i], step->dy + chunk_at<uint16_t>(of_a, channel / 8 + i * 2 + lane / 8 % 2));
        sl_load_matrix_4_transposed(b, step->x + chunk_at<uint16_t>(of_b, column / 8 + lane / 16));
        for (int i = 0; i < 2; i++)
            for (int j = 0; j < 2; j++)
                sl_mma_bf16(sums->at[i][j], a[i], b + j * 2);
    }
}

__device__ __forceinline__ uint32_t rounded(const float *of, int pixel, int channel)
{
    return sl_to_tf32(of[element_at<float>(pixel, channel)]);
}

__device__ __forceinline__ void multiply(const struct step<float> *step, struct sums *sums)
{
    const int warp = (int)threadIdx.x / 32, g = (int)threadIdx.x % 32 / 4, t = (int)threadIdx.x % 4;
    const int channel = warp % 2 * 32, column = warp / 2 * 16;
    for (int first = 0; first < PIXELS; first += 8) {
        uint32_t a[2][4], b[2][2];
        for (int i = 0; i < 2; i++)
            for (int k = 0; k < 4; k++)
                a[i][k] = rounded(step->dy, first + t + k / 2 * 4, channel + i * 16 + g + k % 2 * 8);
        for (int j = 0; j < 2; j++)
            for (int k = 0; k < 2; k++)
                b[j][k] = rounded(step->x, first + t + k * 4, column + j * 8 + g);
        for (int i = 0; i < 2; i++)
            for (int j = 0; j < 2; j++)
                sl_mma_tf32(sums->at[i][j], a[i], b[j]);
    }
}

__device__ __forceinline__ void multiply_plain(const struct step<float> *step, struct sums *sums)
{
    const int channel = (int)threadIdx.x / 16 * 4, column = (int)threadIdx.x % 16 * 4;
    for (int pixel = 0; pixel < PIXELS; pixel++)
        for (int i = 0; i < 4; i++) {
            const float a = step->dy[element_at<float>(pixel, channel + i)];
            for (int j = 0; j < 4; j++)
                sums->at[i / 2][i % 2][j] =
                    fmaf(a, step->x[element_at<float>(pixel, column + j)], sums->at[i / 2][i % 2][j]);
        }
}

__device__ __forceinline__ void multiply_plain(const struct step<uint16_t> *, struct sums *)
{
}

/* To the part's own sums: [k][columns]. */
template <bool PLAIN> __device__ __forceinline__ void store(const struct part &part, const struct sums &sums, float *to)
{
    const int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32;
    to += (int64_t)blockIdx.z * part.k * part.columns;
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 2; j++)
            for (int e = 0; e < 4; e++) {
                const int within_k =
                    PLAIN ? (int)threadIdx.x / 16 * 4 + i * 2 + j : warp % 2 * 32 + i * 16 + lane / 4 + e / 2 * 8;
                const int within = PLAIN ? (int)threadIdx.x % 16 * 4 + e : warp / 2 * 16 + j * 8 + lane % 4 * 2 + e % 2;
                const int32_t k = (int32_t)blockIdx.y * SIDE + within_k, column = (int32_t)blockIdx.x * SIDE + within;
                if (k < part.k && column < part.columns)
                    to[(int64_t)k * part.columns + column] = sums.at[i][j][e];
            }
}

template <int MATH, bool WHOLE>
static __global__ void __launch_bounds__(THREADS)
    add_part(const struct conv_pass p, const struct part part, const typename conv_element<MATH>::type *x,
             const typename conv_element<MATH>::type *dy, float *to)
{
    typedef typename conv_element<MATH>::type T;
    struct step<T> *steps = sl_shared<struct step<T>>();
    const int64_t begin = blockIdx.z * part.pixels;
    const int64_t end = begin + part.pixels < p.pixels ? begin + part.pixels : p.pixels;
    const int count = (int)((end - begin + PIXELS - 1) / PIXELS);
    struct sums sums = {};
    for (int ahead = 0; ahead < STEPS - 1; ahead++) {
        if (ahead < count)
            gather<T, WHOLE>(p, part, begin + ahead * PIXELS, end, x, dy, &steps[ahead]);
        sl_copy_commit();
    }
    for (int now = 0; now < count; now++) {
        const int ahead = now + STEPS - 1;
        sl_copy_wait<STEPS - 2>();
        __syncthreads(); /* all have this step, and nobody needs the one before */
        if (ahead < count)
            gather<T, WHOLE>(p, part, begin + (int64_t)ahead * PIXELS, end, x, dy, &steps[ahead % STEPS]);
        sl_copy_commit();
        if (MATH == CONV_PLAIN)
            multiply_plain(&steps[now % STEPS], &sums);
        else
            multiply(&steps[now % STEPS], &sums);
    }
    sl_copy_wait<0>();
    store<MATH == CONV_PLAIN>(part, sums, to);
}

/* dw from the parts' sums, in order; columns that are padding lanes of x are left out. */
static __global__ void __launch_bounds__(THREADS)
    add_parts(const struct part part, int parts, int32_t stride_in, int32_t c, int64_t n, const float *sums, float *dw)
{
    for (int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x; i < n; i += (int64_t)gridDim.x * THREADS) {
        const int64_t at = i / c * stride_in + i % c; /* [k][tap][c] */
        float sum = 0.0f;
        for (int z = 0; z < parts; z++)
            sum += sums[(int64_t)z * part.k * part.columns + at];
        dw[i] = sum;
    }
}

/* ---- rows ---- */

static int64_t tiles_of(int64_t n)
{
    return (n + SIDE - 1) / SIDE;
}

static int64_t parts_of(const struct sl_conv2d *s, const struct conv_pass *p)
{
    const int64_t tiles = tiles_of(s->k) * tiles_of(p->sum), wanted = (BLOCKS + tiles - 1) / tiles;
    const int64_t work = p->pixels / LEAST, room = (int64_t)(MOST / ((size_t)s->k * (size_t)p->sum * sizeof(float)));
    int64_t parts = wanted < work ? wanted : work;
    parts = parts < room ? parts : room;
    return parts < 1 ? 1 : parts;
}

static struct part part_of(const struct sl_conv2d *s, const struct conv_pass *p)
{
    const int64_t parts = parts_of(s, p), pixels = (p->pixels + parts - 1) / parts;
    return {.pixels = (pixels + PIXELS - 1) / PIXELS * PIXELS, .k = s->k, .columns = p->sum, .stride_out = s->ys};
}

static bool takes(const void *shape, struct sl_need *need)
{
    const auto *s = static_cast<const struct sl_conv2d *>(shape);
    const struct conv_pass p = conv_forward_pass(s);
    need->units = 1;
    need->scratch = (size_t)parts_of(s, &p) * (size_t)s->k * (size_t)p.sum * sizeof(float);
    return true;
}

template <int MATH> static void run(const void *shape, const void *args, const struct sl_work *work)
{
    typedef typename conv_element<MATH>::type T;
    const auto *s = static_cast<const struct sl_conv2d *>(shape);
    const auto *a = static_cast<const struct sl_conv2d_bwd_weights *>(args);
    const struct conv_pass p = conv_forward_pass(s);
    const struct part part = part_of(s, &p);
    const int parts = (int)((p.pixels + part.pixels - 1) / part.pixels);
    const dim3 grid((unsigned)tiles_of(p.sum), (unsigned)tiles_of(s->k), (unsigned)parts); /* y and z: at most 65535 */
    const bool whole = s->xs % conv_each<T>() == 0 && s->ys % conv_each<T>() == 0;
    const int64_t n = (int64_t)sl_conv2d_weights(s);
    float *sums = static_cast<float *>(work->scratch);
    sl_cuda_launch(whole ? add_part<MATH, true> : add_part<MATH, false>, grid, dim3(THREADS),
                   STEPS * sizeof(struct step<T>), work, p, part, static_cast<const T *>(a->x),
                   static_cast<const T *>(a->dy), sums);
    sl_cuda_launch(add_parts, dim3(sl_cuda_blocks(n, THREADS)), dim3(THREADS), 0, work, part, parts, s->xs, s->c, n,
                   (const float *)sums, a->dw);
}

const struct sl_kernel sl_conv2d_bwd_weights_plain_cuda = {.need = takes, .run = run<CONV_PLAIN>};
const struct sl_kernel sl_conv2d_bwd_weights_tf32_cuda = {.need = takes, .run = run<CONV_TF32>};
const struct sl_kernel sl_conv2d_bwd_weights_bf16_cuda = {
    .element = SL_ELEMENT_BF16, .need = takes, .run = run<CONV_BF16>};
