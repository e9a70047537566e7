/* The convolution's gradient by the weights on a GPU (conv_parts_cuda.cuh), for every shape.
 *
 *   block: 64 output channels x 64 columns of one part, 8 warps of 32 x 16; a step adds 32 pixels
 *   shared memory: 3 steps; dy and x lie there as they do in memory, pixel by pixel, and are transposed on the way into
 *   registers */
#include "kernels/conv/conv_parts_cuda.cuh"

constexpr int THREADS = CONV_THREADS, SIDE = 64;
constexpr int STEPS = 3, PIXELS = 32;                      /* of a step */
constexpr struct conv_cut CUT = {SIDE, SIDE, PIXELS, 528}; /* four blocks for each processor of a large GPU */

/* Chunks of 64 channels. */
template <class T> SL_ANYWHERE constexpr int chunks_of()
{
    return SIDE / conv_each<T>();
}

template <class T> struct step {
    T dy[PIXELS * SIDE], x[PIXELS * SIDE];
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

/* Where the source has that column for a pixel; -1: it has none. */
__device__ __forceinline__ int64_t source_at(const struct conv_pass &p, const struct conv_term &column, int64_t pixel)
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
        const int64_t at = pixel < end && first + e < columns ? source_at(p, conv_term_of<T>(p, first + e), pixel) : -1;
        to[e] = at < 0 ? T(0) : x[at];
    }
    if (WHOLE) {
        const int64_t at = pixel < end && first < columns ? source_at(p, conv_term_of<T>(p, first), pixel) : -1;
        sl_copy_16(to, at < 0 ? x : x + at, at < 0 ? 0 : CONV_CHUNK);
    }
}

template <class T, bool WHOLE>
__device__ __forceinline__ void gather_dy(const struct conv_part &part, int32_t first, int64_t pixel, int64_t end,
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
__device__ __forceinline__ void gather(const struct conv_pass &p, const struct conv_part &part,
                                       const struct conv_tile &tile, int64_t at, const T *x, const T *dy,
                                       struct step<T> *step)
{
    for (int i = (int)threadIdx.x; i < PIXELS * chunks_of<T>(); i += THREADS) {
        const int pixel = i / chunks_of<T>(), q = i % chunks_of<T>(), place = chunk_at<T>(pixel, q);
        const int32_t within = q * conv_each<T>();
        gather_dy<T, WHOLE>(part, tile.k + within, at + pixel, tile.end, dy, step->dy + place);
        gather_x<T, WHOLE>(p, part.columns, tile.column + within, at + pixel, tile.end, x, step->x + place);
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
template <bool PLAIN>
__device__ __forceinline__ void store(const struct conv_part &part, const struct conv_tile &tile,
                                      const struct sums &sums)
{
    const int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32;
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 2; j++)
            for (int e = 0; e < 4; e++) {
                const int within_k =
                    PLAIN ? (int)threadIdx.x / 16 * 4 + i * 2 + j : warp % 2 * 32 + i * 16 + lane / 4 + e / 2 * 8;
                const int within = PLAIN ? (int)threadIdx.x % 16 * 4 + e : warp / 2 * 16 + j * 8 + lane % 4 * 2 + e % 2;
                const int32_t k = tile.k + within_k, column = tile.column + within;
                if (k < part.k && column < part.columns)
                    tile.to[(int64_t)k * part.columns + column] = sums.at[i][j][e];
            }
}

template <int MATH, bool WHOLE>
static __global__ void __launch_bounds__(THREADS)
    add_part(const struct conv_pass p, const struct conv_part part, const typename conv_element<MATH>::type *x,
             const typename conv_element<MATH>::type *dy, float *to)
{
    typedef typename conv_element<MATH>::type T;
    struct step<T> *steps = sl_shared<struct step<T>>();
    const struct conv_tile tile = conv_tile_of(p, part, SIDE, SIDE, to);
    const int count = (int)((tile.end - tile.begin + PIXELS - 1) / PIXELS);
    struct sums sums = {};
    for (int ahead = 0; ahead < STEPS - 1; ahead++) {
        if (ahead < count)
            gather<T, WHOLE>(p, part, tile, tile.begin + ahead * PIXELS, x, dy, &steps[ahead]);
        sl_copy_commit();
    }
    for (int now = 0; now < count; now++) {
        const int ahead = now + STEPS - 1;
        sl_copy_wait<STEPS - 2>();
        __syncthreads(); /* all have this step, and nobody needs the one before */
        if (ahead < count)
            gather<T, WHOLE>(p, part, tile, tile.begin + (int64_t)ahead * PIXELS, x, dy, &steps[ahead % STEPS]);
        sl_copy_commit();
        if (MATH == CONV_PLAIN)
            multiply_plain(&steps[now % STEPS], &sums);
        else
            multiply(&steps[now % STEPS], &sums);
    }
    sl_copy_wait<0>();
    store<MATH == CONV_PLAIN>(part, tile, sums);
}

/* ---- rows ---- */

static bool takes(const void *shape, struct sl_need *need)
{
    const auto *s = static_cast<const struct sl_conv2d *>(shape);
    const struct conv_pass p = conv_forward_pass(s);
    conv_parts_need(p, conv_part_of(s, p, CUT), need);
    return true;
}

template <int MATH> static void run(const void *shape, const void *args, const struct sl_work *work)
{
    typedef typename conv_element<MATH>::type T;
    const auto *s = static_cast<const struct sl_conv2d *>(shape);
    const struct conv_part part = conv_part_of(s, conv_forward_pass(s), CUT);
    const bool whole = s->xs % conv_each<T>() == 0 && s->ys % conv_each<T>() == 0;
    conv_start_parts<T>(whole ? add_part<MATH, true> : add_part<MATH, false>, s,
                        static_cast<const struct sl_conv2d_bwd_weights *>(args), part, STEPS * sizeof(struct step<T>),
                        work);
}

const struct sl_kernel sl_conv2d_bwd_weights_plain_cuda = {.need = takes, .run = run<CONV_PLAIN>};
const struct sl_kernel sl_conv2d_bwd_weights_tf32_cuda = {.need = takes, .run = run<CONV_TF32>};
const struct sl_kernel sl_conv2d_bwd_weights_bf16_cuda = {
    .element = SL_ELEMENT_BF16, .need = takes, .run = run<CONV_BF16>};
