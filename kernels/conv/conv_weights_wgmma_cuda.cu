/* The convolution's gradient by the weights on a GPU (conv_parts_cuda.cuh) whose warpgroups multiply tiles of shared
 * memory (sm_90a), in bf16: both operands lie there pixel by pixel, as in memory, and wgmma adds up the pixels. It
 * takes straight passes (conv_gather_cuda.cuh).
 *
 *   block: two warpgroups, one below the other (128 output channels x 256 columns), or side by side (64 x 384) where
 *   there are few channels; a step adds 64 pixels
 *   shared memory: 4 steps, each with a tile of 64 pixels for every 64 channels and columns; two steps' lines */
#include "kernels/conv/conv_parts_cuda.cuh"

constexpr int PIXELS = 64, SIDE = 64, STEPS = 4, AHEAD = STEPS - 2;
constexpr int TILE = PIXELS * CONV_LINE; /* bytes */
constexpr int LINES = PIXELS / CONV_LINES;
constexpr int64_t BLOCKS = 132; /* wanted: the processors of a large GPU */

template <int ROWS, int COLUMNS> struct tile {
    static constexpr bool BELOW = ROWS > SIDE;                   /* one warpgroup below the other */
    static constexpr int ACROSS = BELOW ? COLUMNS : COLUMNS / 2; /* columns of a warpgroup */
    struct step {
        unsigned char dy[ROWS / SIDE][TILE], x[COLUMNS / SIDE][TILE];
    };
    struct shared {
        struct step steps[STEPS];
        struct conv_line lines[2][PIXELS];
    };
    struct sums {
        float at[ACROSS / 2];
    };

    static __device__ __forceinline__ void multiply(const struct step &step, bool add, struct sums *sums)
    {
        constexpr int TERMS = 16 * CONV_LINE; /* bytes of 16 pixels */
        const int group = (int)threadIdx.x / 128;
        const unsigned char *a = step.dy[BELOW ? group : 0], *b = step.x[BELOW ? 0 : group * (ACROSS / SIDE)];
        sl_wgmma_begin();
        SL_UNROLLED for (int at = 0; at < TILE; at += TERMS)
        {
            SL_UNROLLED for (int n = 0; n + 128 <= ACROSS; n += 128) sl_wgmma<SL_WGMMA_BF16_COLUMNS, 128>(
                sums->at + n / 2, a + at, b + n / SIDE * TILE + at, TILE, add || at > 0);
            if (ACROSS % 128)
                sl_wgmma<SL_WGMMA_BF16_COLUMNS, 64>(sums->at + ACROSS / 128 * 64, a + at,
                                                    b + ACROSS / 128 * 2 * TILE + at, TILE, add || at > 0);
        }
        sl_wgmma_commit();
    }

    /* To the part's own sums. */
    static __device__ __forceinline__ void store(const struct conv_part &part, const struct conv_tile &tile,
                                                 const struct sums &sums)
    {
        const int group = (int)threadIdx.x / 128, warp = (int)threadIdx.x / 32 % 4, lane = (int)threadIdx.x % 32;
        const int32_t first = tile.column + (BELOW ? 0 : group * ACROSS) + lane % 4 * 2;
        SL_UNROLLED for (int j = 0; j < ACROSS / 2; j++)
        {
            const int32_t k = tile.k + (BELOW ? group * SIDE : 0) + warp * 16 + lane / 4 + j / 2 % 2 * 8;
            const int32_t column = first + j / 4 * 8 + j % 2;
            if (k < part.k && column < part.columns)
                tile.to[(int64_t)k * part.columns + column] = sums.at[j];
        }
    }
};

/* The thread's chunks of one step's pixels. */
template <class TILE_>
__device__ __forceinline__ void gather(const struct conv_part &part, const struct conv_tile &tile, int64_t first,
                                       const struct conv_line *lines, const struct conv_column *columns,
                                       const uint16_t *x, const uint16_t *dy, typename TILE_::step *step)
{
    const int q = (int)threadIdx.x % CONV_CHUNKS;
    SL_UNROLLED for (int i = 0; i < LINES; i++)
    {
        const int within = (int)threadIdx.x / CONV_CHUNKS + i * CONV_LINES, place = conv_chunk_at(within, q);
        const struct conv_line line = lines[within];
        const uint16_t *from = dy + (first + within) * part.stride_out;
        SL_UNROLLED for (int j = 0; j < (int)(sizeof step->dy / TILE); j++)
        {
            const int32_t k = tile.k + j * SIDE + q * conv_each<uint16_t>();
            const bool there = first + within < tile.end && k < part.stride_out;
            sl_copy_16(step->dy[j] + place, from + k, there ? CONV_CHUNK : 0);
        }
        SL_UNROLLED for (int j = 0; j < (int)(sizeof step->x / TILE); j++) sl_copy_16(
            step->x[j] + place, x + line.at + columns[j].offset, line.there & columns[j].bit ? CONV_CHUNK : 0);
    }
}

template <int ROWS, int COLUMNS>
static __global__ void __launch_bounds__(CONV_THREADS, 1)
    add_part(const struct conv_pass p, const struct conv_part part, const uint16_t *x, const uint16_t *dy, float *to)
{
    typedef struct tile<ROWS, COLUMNS> T;
    auto *s = sl_shared<typename T::shared>();
    const struct conv_tile tile = conv_tile_of(p, part, ROWS, COLUMNS, to);
    const int count = (int)((tile.end - tile.begin + PIXELS - 1) / PIXELS);
    struct conv_column columns[COLUMNS / SIDE];
    SL_UNROLLED for (int j = 0; j < COLUMNS / SIDE; j++) columns[j] = conv_column_of<uint16_t>(
        p, tile.column + j * SIDE + (int32_t)(threadIdx.x % CONV_CHUNKS) * conv_each<uint16_t>());
    const auto look_up = [&](int number) {
        conv_lines_of<PIXELS>(p, tile.begin + (int64_t)number * PIXELS, tile.end, s->lines[number % 2]);
    };
    const auto bring = [&](int number) {
        if (number < count)
            gather<T>(part, tile, tile.begin + (int64_t)number * PIXELS, s->lines[number % 2], columns, x, dy,
                      &s->steps[number % STEPS]);
        sl_copy_commit();
    };
    look_up(0);
    for (int number = 0; number < AHEAD; number++) {
        __syncthreads();
        bring(number);
        look_up(number + 1);
    }
    typename T::sums sums;
    for (int number = 0; number < count; number++) {
        sl_copy_wait<AHEAD - 1>();
        sl_shared_fence();
        __syncthreads(); /* all have this step, and the products before the last are made */
        T::multiply(s->steps[number % STEPS], number > 0, &sums);
        bring(number + AHEAD);
        look_up(number + AHEAD + 1);
        sl_wgmma_wait<1>();
    }
    sl_copy_wait<0>();
    sl_wgmma_wait<0>();
    T::store(part, tile, sums);
}

/* ---- row ---- */

static struct conv_cut cut_of(const struct sl_conv2d *s)
{
    return s->k <= SIDE ? conv_cut{SIDE, 6 * SIDE, PIXELS, BLOCKS} : conv_cut{2 * SIDE, 4 * SIDE, PIXELS, BLOCKS};
}

static bool takes(const void *shape, struct sl_need *need)
{
    const auto *s = static_cast<const struct sl_conv2d *>(shape);
    const struct conv_pass p = conv_forward_pass(s);
    conv_parts_need(p, conv_part_of(s, p, cut_of(s)), need);
    return conv_is_straight<uint16_t>(p) && s->ys % conv_each<uint16_t>() == 0;
}

static void run(const void *shape, const void *args, const struct sl_work *work)
{
    const auto *s = static_cast<const struct sl_conv2d *>(shape);
    const auto *a = static_cast<const struct sl_conv2d_bwd_weights *>(args);
    const struct conv_cut cut = cut_of(s);
    const struct conv_part part = conv_part_of(s, conv_forward_pass(s), cut);
    if (cut.rows == SIDE)
        conv_start_parts<uint16_t>(add_part<SIDE, 6 * SIDE>, s, a, part, sizeof(tile<SIDE, 6 * SIDE>::shared), work);
    else
        conv_start_parts<uint16_t>(add_part<2 * SIDE, 4 * SIDE>, s, a, part, sizeof(tile<2 * SIDE, 4 * SIDE>::shared),
                                   work);
}

const struct sl_kernel sl_conv2d_bwd_weights_bf16_wgmma = {.element = SL_ELEMENT_BF16, .need = takes, .run = run};
