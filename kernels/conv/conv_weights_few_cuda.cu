/* The convolution's gradient by few weights of a channel, as those of an image's three channels, on a GPU
 * (conv_parts_cuda.cuh): by the ordinary cores, as in conv_few_cuda.cu.
 *
 *   block: 32 output channels x 32 columns of one part; 64 threads have 4 x 4 of them each, for every fourth pixel of a
 *   step of 64
 *   shared memory: a step's pixels; afterwards the sums of the four */
#include "kernels/conv/conv_parts_cuda.cuh"

constexpr int SIDE = 32, PIXELS = 64, GROUPS = 4;
constexpr int PITCH = SIDE + 4; /* floats from pixel to pixel */
constexpr int MOST_IN = 4, TERMS = 64;
constexpr struct conv_cut CUT = {SIDE, SIDE, PIXELS, 528}; /* four blocks for each processor of a large GPU */

struct alignas(16) four {
    float at[4];
};

struct shared {
    union {
        struct {
            float dy[PIXELS * PITCH], x[PIXELS * PITCH];
        };
        float sums[GROUPS][SIDE * SIDE];
    };
    struct conv_line lines[PIXELS];
};

/* Element by element: a warp brings a pixel's 32 channels and columns. */
template <class T>
__device__ __forceinline__ void gather(const struct conv_part &part, const struct conv_tile &tile, int64_t first,
                                       const struct conv_column &column, const T *x, const T *dy, struct shared *s)
{
    const int lane = (int)threadIdx.x % SIDE;
    const int32_t k = tile.k + lane;
    SL_UNROLLED for (int i = 0; i < PIXELS * SIDE / CONV_THREADS; i++)
    {
        const int within = (int)threadIdx.x / SIDE + i * (CONV_THREADS / SIDE);
        const struct conv_line line = s->lines[within];
        const bool there = first + within < tile.end && k < part.k;
        s->dy[within * PITCH + lane] = there ? sl_read(dy + (first + within) * part.stride_out + k) : 0.0f;
        s->x[within * PITCH + lane] = line.there & column.bit ? sl_read(x + line.at + column.offset) : 0.0f;
    }
}

__device__ __forceinline__ void multiply(const struct shared *s, float sums[4][4])
{
    const int thread = (int)threadIdx.x % 64, group = (int)threadIdx.x / 64;
    const float *dy = s->dy + thread / 8 * 4, *x = s->x + thread % 8 * 4;
    for (int pixel = group; pixel < PIXELS; pixel += GROUPS) {
        const struct four a = *reinterpret_cast<const struct four *>(dy + pixel * PITCH);
        const struct four b = *reinterpret_cast<const struct four *>(x + pixel * PITCH);
        SL_UNROLLED for (int i = 0; i < 4; i++) SL_UNROLLED for (int j = 0; j < 4; j++) sums[i][j] =
            fmaf(a.at[i], b.at[j], sums[i][j]);
    }
}

/* The four groups' sums, in order. */
__device__ __forceinline__ void store(const struct conv_part &part, const struct conv_tile &tile,
                                      const float sums[4][4], struct shared *s)
{
    const int thread = (int)threadIdx.x % 64, group = (int)threadIdx.x / 64;
    __syncthreads();
    SL_UNROLLED for (int i = 0; i < 4; i++) SL_UNROLLED for (int j = 0; j < 4; j++)
        s->sums[group][(thread / 8 * 4 + i) * SIDE + thread % 8 * 4 + j] = sums[i][j];
    __syncthreads();
    for (int i = (int)threadIdx.x; i < SIDE * SIDE; i += CONV_THREADS) {
        const int32_t k = tile.k + i / SIDE, column = tile.column + i % SIDE;
        if (k < part.k && column < part.columns)
            tile.to[(int64_t)k * part.columns + column] = s->sums[0][i] + s->sums[1][i] + s->sums[2][i] + s->sums[3][i];
    }
}

template <class T>
static __global__ void __launch_bounds__(CONV_THREADS)
    add_part(const struct conv_pass p, const struct conv_part part, const T *x, const T *dy, float *to)
{
    struct shared *s = sl_shared<struct shared>();
    const struct conv_tile tile = conv_tile_of(p, part, SIDE, SIDE, to);
    const struct conv_column column = conv_column_of<T>(p, tile.column + (int32_t)threadIdx.x % SIDE);
    float sums[4][4] = {};
    for (int64_t first = tile.begin; first < tile.end; first += PIXELS) {
        conv_lines_of<PIXELS>(p, first, tile.end, s->lines);
        __syncthreads();
        gather(part, tile, first, column, x, dy, s);
        __syncthreads();
        multiply(s, sums);
        __syncthreads();
    }
    store(part, tile, sums, s);
}

/* ---- rows ---- */

static bool takes(const void *shape, struct sl_need *need)
{
    const auto *s = static_cast<const struct sl_conv2d *>(shape);
    const struct conv_pass p = conv_forward_pass(s);
    conv_parts_need(p, conv_part_of(s, p, CUT), need);
    return p.stride_in <= MOST_IN && p.sum <= TERMS && s->kh * s->kw <= CONV_STRAIGHT_TAPS && p.pixels <= INT32_MAX;
}

template <class T> static void run(const void *shape, const void *args, const struct sl_work *work)
{
    const auto *s = static_cast<const struct sl_conv2d *>(shape);
    const struct conv_part part = conv_part_of(s, conv_forward_pass(s), CUT);
    conv_start_parts<T>(add_part<T>, s, static_cast<const struct sl_conv2d_bwd_weights *>(args), part,
                        sizeof(struct shared), work);
}

const struct sl_kernel sl_conv2d_bwd_weights_few_cuda = {.need = takes, .run = run<float>};
const struct sl_kernel sl_conv2d_bwd_weights_few_bf16_cuda = {
    .element = SL_ELEMENT_BF16, .need = takes, .run = run<uint16_t>};
