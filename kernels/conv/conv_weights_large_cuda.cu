/* The convolution's gradient by the weights on a GPU (conv_parts_cuda.cuh) in tf32, in blocks large enough to keep
 * tensor cores busy. It takes straight passes (conv_gather_cuda.cuh).
 *
 *   block: 128 or 64 output channels x 128 columns, 8 warps of 64 (32) x 32; a step adds 32 pixels
 *   shared memory: 3 steps, pixel by pixel as in memory, and two steps' lines. A pixel is 8 floats longer than a
 *   multiple of all banks: the 8 x 4 elements that a product reads at once are in different ones */
#include "kernels/conv/conv_parts_cuda.cuh"

constexpr int PIXELS = 32, COLUMNS = 128, STEPS = 3, AHEAD = STEPS - 1;
constexpr int WARPS = CONV_THREADS / 32;
constexpr int64_t BLOCKS = 264; /* wanted: two for each processor of a large GPU */

template <int ROWS> struct step {
    static constexpr int DY = ROWS + 8, X = COLUMNS + 8; /* floats from pixel to pixel */
    float dy[PIXELS * DY], x[PIXELS * X];
};

template <int ROWS> struct shared {
    struct step<ROWS> steps[STEPS];
    struct conv_line lines[2][PIXELS];
};

/* Of a warp's ROWS/2 x 32, products of 16 x 8. */
template <int ROWS> struct sums {
    float at[ROWS / 32][COLUMNS / 32][4];
};

/* The thread's chunks of one step's pixels: a warp brings whole pixels. */
template <int ROWS>
__device__ __forceinline__ void gather(const struct conv_part &part, const struct conv_tile &tile, int64_t first,
                                       const struct conv_line *lines, const struct conv_column &column, const float *x,
                                       const float *dy, struct step<ROWS> *step)
{
    const int q = (int)threadIdx.x % 32 * conv_each<float>();
    SL_UNROLLED for (int i = 0; i < PIXELS / WARPS; i++)
    {
        const int within = (int)threadIdx.x / 32 + i * WARPS;
        const struct conv_line line = lines[within];
        const bool there = first + within < tile.end && tile.k + q < part.stride_out;
        if (q < ROWS)
            sl_copy_16(step->dy + within * step->DY + q, dy + (first + within) * part.stride_out + tile.k + q,
                       there ? CONV_CHUNK : 0);
        sl_copy_16(step->x + within * step->X + q, x + line.at + column.offset,
                   line.there & column.bit ? CONV_CHUNK : 0);
    }
}

template <int ROWS> __device__ __forceinline__ void multiply(const struct step<ROWS> *step, struct sums<ROWS> *sums)
{
    const int warp = (int)threadIdx.x / 32, g = (int)threadIdx.x % 32 / 4, t = (int)threadIdx.x % 4;
    const float *dy = step->dy + t * step->DY + warp % 2 * (ROWS / 2) + g,
                *x = step->x + t * step->X + warp / 2 * (COLUMNS / 4) + g;
    SL_UNROLLED for (int first = 0; first < PIXELS; first += 8)
    {
        uint32_t a[ROWS / 32][4], b[COLUMNS / 32][2];
        SL_UNROLLED for (int i = 0; i < ROWS / 32; i++) SL_UNROLLED for (int e = 0; e < 4; e++) a[i][e] =
            __float_as_uint(dy[(first + e / 2 * 4) * step->DY + i * 16 + e % 2 * 8]);
        SL_UNROLLED for (int j = 0; j < COLUMNS / 32; j++) SL_UNROLLED for (int e = 0; e < 2; e++) b[j][e] =
            __float_as_uint(x[(first + e * 4) * step->X + j * 8]);
        SL_UNROLLED for (int i = 0; i < ROWS / 32; i++) SL_UNROLLED for (int j = 0; j < COLUMNS / 32; j++)
            sl_mma_tf32(sums->at[i][j], a[i], b[j]);
    }
}

/* To the part's own sums. */
template <int ROWS>
__device__ __forceinline__ void store(const struct conv_part &part, const struct conv_tile &tile,
                                      const struct sums<ROWS> &sums)
{
    const int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32;
    SL_UNROLLED for (int i = 0; i < ROWS / 32; i++) SL_UNROLLED for (int j = 0; j < COLUMNS / 32; j++)
        SL_UNROLLED for (int e = 0; e < 4; e++)
    {
        const int32_t k = tile.k + warp % 2 * (ROWS / 2) + i * 16 + lane / 4 + e / 2 * 8;
        const int32_t column = tile.column + warp / 2 * (COLUMNS / 4) + j * 8 + lane % 4 * 2 + e % 2;
        if (k < part.k && column < part.columns)
            tile.to[(int64_t)k * part.columns + column] = sums.at[i][j][e];
    }
}

template <int ROWS>
static __global__ void __launch_bounds__(CONV_THREADS, 2)
    add_part(const struct conv_pass p, const struct conv_part part, const float *x, const float *dy, float *to)
{
    auto *s = sl_shared<struct shared<ROWS>>();
    const struct conv_tile tile = conv_tile_of(p, part, ROWS, COLUMNS, to);
    const int count = (int)((tile.end - tile.begin + PIXELS - 1) / PIXELS);
    const struct conv_column column =
        conv_column_of<float>(p, tile.column + (int32_t)(threadIdx.x % 32) * conv_each<float>());
    const auto look_up = [&](int number) {
        conv_lines_of<PIXELS>(p, tile.begin + (int64_t)number * PIXELS, tile.end, s->lines[number % 2]);
    };
    const auto bring = [&](int number) {
        if (number < count)
            gather<ROWS>(part, tile, tile.begin + (int64_t)number * PIXELS, s->lines[number % 2], column, x, dy,
                         &s->steps[number % STEPS]);
        sl_copy_commit();
    };
    look_up(0);
    for (int number = 0; number < AHEAD; number++) {
        __syncthreads();
        bring(number);
        look_up(number + 1);
    }
    struct sums<ROWS> sums = {};
    for (int number = 0; number < count; number++) {
        sl_copy_wait<AHEAD - 1>();
        __syncthreads(); /* all have this step, and nobody needs the one before */
        bring(number + AHEAD);
        look_up(number + AHEAD + 1);
        multiply(&s->steps[number % STEPS], &sums);
    }
    sl_copy_wait<0>();
    store(part, tile, sums);
}

/* ---- row ---- */

static struct conv_cut cut_of(const struct sl_conv2d *s)
{
    return {s->k <= 64 ? 64 : 128, COLUMNS, PIXELS, BLOCKS};
}

static bool takes(const void *shape, struct sl_need *need)
{
    const auto *s = static_cast<const struct sl_conv2d *>(shape);
    const struct conv_pass p = conv_forward_pass(s);
    conv_parts_need(p, conv_part_of(s, p, cut_of(s)), need);
    return conv_is_straight<float>(p) && s->ys % conv_each<float>() == 0;
}

static void run(const void *shape, const void *args, const struct sl_work *work)
{
    const auto *s = static_cast<const struct sl_conv2d *>(shape);
    const auto *a = static_cast<const struct sl_conv2d_bwd_weights *>(args);
    const struct conv_cut cut = cut_of(s);
    const struct conv_part part = conv_part_of(s, conv_forward_pass(s), cut);
    if (cut.rows == 64)
        conv_start_parts<float>(add_part<64>, s, a, part, sizeof(struct shared<64>), work);
    else
        conv_start_parts<float>(add_part<128>, s, a, part, sizeof(struct shared<128>), work);
}

const struct sl_kernel sl_conv2d_bwd_weights_large_tf32_cuda = {.need = takes, .run = run};
