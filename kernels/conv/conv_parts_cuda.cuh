/* The convolution's gradient by the weights on a GPU, as one implicit product of matrices: rows are output channels,
 * columns terms (taps x input channels), and the sum runs over pixels. Matrices that are small but for the sum leave a
 * GPU idle: so the pixels are cut into parts, as many as the shape alone says, whose sums are added in order
 * afterwards. Here is what its rows share. */
#ifndef SL_KERNELS_CONV_CONV_PARTS_CUDA_CUH
#define SL_KERNELS_CONV_CONV_PARTS_CUDA_CUH

#include "kernels/conv/conv_gather_cuda.cuh"
#include "kernels/kernels.h"

constexpr int64_t CONV_LEAST = 512;            /* pixels of a part */
constexpr size_t CONV_MOST = (size_t)64 << 20; /* bytes of all parts */

/* What a block computes. */
struct conv_part {
    int64_t pixels; /* of one part, a multiple of a step's */
    int32_t k, columns, stride_out;
    int32_t across; /* tiles of the product in a line of them */
    int32_t tiles;
};

/* How a row cuts the product: tiles, pixels of a step, and how many blocks it wants. */
struct conv_cut {
    int32_t rows, columns, pixels;
    int64_t blocks;
};

static inline int64_t conv_tiles(int64_t n, int64_t side)
{
    return (n + side - 1) / side;
}

static inline struct conv_part conv_part_of(const struct sl_conv2d *s, const struct conv_pass &p,
                                            const struct conv_cut &cut)
{
    const int64_t across = conv_tiles(p.sum, cut.columns), tiles = conv_tiles(s->k, cut.rows) * across;
    const int64_t wanted = conv_tiles(cut.blocks, tiles), work = p.pixels / CONV_LEAST,
                  room = (int64_t)(CONV_MOST / ((size_t)s->k * (size_t)p.sum * sizeof(float)));
    int64_t parts = wanted < work ? wanted : work;
    parts = parts < room ? parts : room;
    const int64_t pixels = conv_tiles(p.pixels, parts < 1 ? 1 : parts);
    return {conv_tiles(pixels, cut.pixels) * cut.pixels, s->k, p.sum, s->ys, (int32_t)across, (int32_t)tiles};
}

static inline int64_t conv_parts(const struct conv_pass &p, const struct conv_part &part)
{
    return conv_tiles(p.pixels, part.pixels);
}

static inline void conv_parts_need(const struct conv_pass &p, const struct conv_part &part, struct sl_need *need)
{
    need->units = 1;
    need->scratch = (size_t)conv_parts(p, part) * (size_t)part.k * (size_t)part.columns * sizeof(float);
}

/* Where a block works. */
struct conv_tile {
    int32_t k, column;  /* the first */
    int64_t begin, end; /* pixels */
    float *to;          /* the part's sums: [k][columns] */
};

__device__ __forceinline__ struct conv_tile conv_tile_of(const struct conv_pass &p, const struct conv_part &part,
                                                         int32_t rows, int32_t columns, float *sums)
{
    const int64_t z = blockIdx.x / part.tiles, begin = z * part.pixels;
    const int32_t at = (int32_t)(blockIdx.x % part.tiles);
    const int64_t end = begin + part.pixels < p.pixels ? begin + part.pixels : p.pixels;
    return {at / part.across * rows, at % part.across * columns, begin, end, sums + z * part.k * part.columns};
}

/* dw from the parts' sums, in order; columns that are padding lanes of x are left out. SHARES groups of a block's
 * threads share the parts, where there are many. */
template <class T, int SHARES>
static __global__ void __launch_bounds__(CONV_THREADS)
    conv_add_parts(const struct conv_pass p, const struct conv_part part, int parts, int32_t c, int64_t n,
                   const float *sums, float *dw)
{
    constexpr int WEIGHTS = CONV_THREADS / SHARES;
    float *room = sl_shared<float>();
    const int share = (int)threadIdx.x / WEIGHTS, begin = parts * share / SHARES, end = parts * (share + 1) / SHARES;
    const int64_t i = (int64_t)blockIdx.x * WEIGHTS + threadIdx.x % WEIGHTS, all = (int64_t)part.k * part.columns;
    const int64_t taps = (int64_t)p.rows.taps * p.columns.taps, line = i / c, k = line / taps; /* [k][tap][c] */
    const int64_t at = k * part.columns + conv_term_number<T>(p, (int32_t)(line - k * taps), (int32_t)(i - line * c));
    float sum = 0.0f;
    for (int z = begin; z < end && i < n; z++)
        sum += sums[z * all + at];
    room[threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.x >= WEIGHTS || i >= n)
        return;
    for (int z = 1; z < SHARES; z++)
        sum += room[z * WEIGHTS + threadIdx.x];
    dw[i] = sum;
}

/* Starts a row's kernel, and what adds its parts. */
template <class T, class K>
static void conv_start_parts(K *kernel, const struct sl_conv2d *s, const struct sl_conv2d_bwd_weights *a,
                             const struct conv_part &part, size_t shared, const struct sl_work *work)
{
    const struct conv_pass p = conv_forward_pass(s);
    const int64_t parts = conv_parts(p, part), n = (int64_t)sl_conv2d_weights(s);
    float *sums = static_cast<float *>(work->scratch);
    sl_cuda_launch(kernel, dim3((unsigned)(part.tiles * parts)), dim3(CONV_THREADS), shared, work, p, part,
                   static_cast<const T *>(a->x), static_cast<const T *>(a->dy), sums);
    const bool many = parts > 48;
    sl_cuda_launch(many ? conv_add_parts<T, 8> : conv_add_parts<T, 1>,
                   dim3(sl_cuda_blocks(n, many ? CONV_THREADS / 8 : CONV_THREADS)), dim3(CONV_THREADS),
                   CONV_THREADS * sizeof(float), work, p, part, (int)parts, s->c, n, (const float *)sums, a->dw);
}

/* ---- straight passes (conv_gather_cuda.cuh) ---- */

/* A column: what leads from a pixel's line to it. */
struct conv_column {
    int32_t offset;
    uint32_t bit; /* of its tap; 0: there is no such column */
};

template <class T> __device__ __forceinline__ struct conv_column conv_column_of(const struct conv_pass &p, int32_t at)
{
    const struct conv_term t = conv_term_of<T>(p, at);
    return {(t.r * p.columns.source + t.s) * p.stride_in + t.c, at < p.sum ? 1u << (t.r * p.columns.taps + t.s) : 0};
}

/* The lines of a step's pixels, for all threads of the block after the next barrier. */
template <int PIXELS>
__device__ __forceinline__ void conv_lines_of(const struct conv_pass &p, int64_t first, int64_t end,
                                              struct conv_line *lines)
{
    const int i = (int)threadIdx.x;
    if (i < PIXELS)
        lines[i] = conv_line_of(p, first + i < end ? first + i : p.pixels);
}
#endif
