/* How a block of a GPU brings a step of a convolution's operands into shared memory: a line of 128 bytes for each
 * pixel, gathered from where the terms of its sum lie, and one for each output channel, from packed weights. Eight
 * threads bring a line, and 256 of them 32 lines at once. */
#ifndef SL_KERNELS_CONV_CONV_GATHER_CUDA_CUH
#define SL_KERNELS_CONV_CONV_GATHER_CUDA_CUH

#include "kernels/conv/conv_cuda.cuh"

constexpr int CONV_THREADS = 256;                      /* of a block */
constexpr int CONV_LINES = CONV_THREADS / CONV_CHUNKS; /* that they bring at once */

/* The pixels whose chunks a thread copies: LINES of them. */
template <int LINES> struct conv_gatherer {
    int64_t image[LINES];              /* where the source's image begins */
    int32_t row[LINES], column[LINES]; /* source position of tap (0, 0), times the spacing */
};

template <int LINES>
__device__ __forceinline__ struct conv_gatherer<LINES> conv_gatherer_of(const struct conv_pass &p, int64_t first) {
    struct conv_gatherer<LINES> g;
    SL_UNROLLED for (int i = 0; i < LINES; i++)
    {
        const int64_t pixel = first + threadIdx.x / CONV_CHUNKS + i * CONV_LINES;
        const bool there = pixel < p.pixels;
        const struct conv_place at = conv_place_of<false>(p, there ? pixel : 0);
        const int32_t beyond = -(1 << 30); /* no tap leads from there into the source */
        g.image[i] = at.image * p.rows.source * p.columns.source * p.stride_in;
        g.row[i] = there ? at.row * p.rows.stride - p.rows.pad : beyond;
        g.column[i] = at.column * p.columns.stride - p.columns.pad;
    }
    return g;
}

/* Where the source has a term for pixel i of the thread; -1: it has none. */
template <int LINES>
__device__ __forceinline__ int64_t conv_source_at(const struct conv_gatherer<LINES> &g, const struct conv_pass &p,
                                                  int i, const struct conv_term &t)
{
    const int32_t row = conv_meet(p.rows, g.row[i], t.r), column = conv_meet(p.columns, g.column[i], t.s);
    return row < 0 || column < 0 ? -1 : g.image[i] + ((int64_t)row * p.columns.source + column) * p.stride_in + t.c;
}

/* A chunk element by element: where pixels are no whole chunks, as those of an image. */
template <class T, int LINES>
__device__ __forceinline__ void conv_gather_elements(const struct conv_gatherer<LINES> &g, const struct conv_pass &p,
                                                     int i, int32_t first, const T *x, void *to)
{
    SL_ROLLED for (int e = 0; e < conv_each<T>(); e++)
    {
        const int64_t at = first + e < p.sum ? conv_source_at(g, p, i, conv_term_of<T>(p, first + e)) : -1;
        static_cast<T *>(to)[e] = at < 0 ? T(0) : x[at];
    }
}

/* The thread's chunks of step `number`. */
template <class T, bool WHOLE, int LINES>
__device__ __forceinline__ void conv_gather(const struct conv_gatherer<LINES> &g, const struct conv_pass &p, int number,
                                            const T *x, unsigned char *tile)
{
    const int q = (int)threadIdx.x % CONV_CHUNKS;
    const int32_t first = number * conv_step<T>() + q * conv_each<T>();
    const struct conv_term term = conv_term_of<T>(p, first);
    SL_UNROLLED for (int i = 0; i < LINES; i++)
    {
        void *to = tile + conv_chunk_at((int)threadIdx.x / CONV_CHUNKS + i * CONV_LINES, q);
        if (!WHOLE) {
            conv_gather_elements(g, p, i, first, x, to);
            continue;
        }
        const int64_t at = first < p.sum ? conv_source_at(g, p, i, term) : -1;
        sl_copy_16(to, at < 0 ? x : x + at, at < 0 ? 0 : CONV_CHUNK);
    }
}

/* ---- straight: the same of a pass without spacing, whose pixels are whole chunks and whose taps have a bit each ----
 */

constexpr int32_t CONV_STRAIGHT_TAPS = 32;

template <class T> static bool conv_is_straight(const struct conv_pass &p)
{
    return p.rows.spacing == 1 && p.columns.spacing == 1 && p.stride_in % conv_each<T>() == 0 &&
           p.rows.taps * p.columns.taps <= CONV_STRAIGHT_TAPS && p.pixels <= INT32_MAX;
}

/* A pixel as its line is gathered: where tap (0, 0) of channel 0 would be, and a bit for each tap that the source has.
 */
struct conv_line {
    int64_t at;
    uint32_t there;
};

/* Bits of the taps that lie in the source, of a pixel whose first one is at `begin`. */
__device__ __forceinline__ uint32_t conv_taps_within(const struct conv_axis &a, int32_t begin)
{
    const int32_t low = begin < 0 ? -begin : 0, high = a.source - begin < a.taps ? a.source - begin : a.taps;
    return high <= low ? 0 : (uint32_t)((((uint64_t)1 << high) - 1) & ~(((uint64_t)1 << low) - 1));
}

__device__ __forceinline__ struct conv_line conv_line_of(const struct conv_pass &p, int64_t pixel)
{
    if (pixel >= p.pixels)
        return {0, 0};
    const struct conv_place at = conv_place_of<true>(p, pixel);
    const int32_t row = at.row * p.rows.stride - p.rows.pad, column = at.column * p.columns.stride - p.columns.pad;
    const uint32_t rows = conv_taps_within(p.rows, row), columns = conv_taps_within(p.columns, column);
    struct conv_line line = {((at.image * p.rows.source + row) * p.columns.source + column) * p.stride_in, 0};
    SL_ROLLED for (int32_t r = 0; r < p.rows.taps; r++) line.there |= rows >> r & 1 ? columns << r * p.columns.taps : 0;
    return line;
}

/* A thread's chunk in its lines of the next step: all that differs between lines stands ready. */
template <class T, int LINES> struct conv_straight {
    const T *from[LINES];
    uint32_t there[LINES];
    struct conv_term term;
};

/* All threads of the block come here; `lines` is shared memory for LINES * 32 of them. */
template <class T, int LINES>
__device__ __forceinline__ struct conv_straight<T, LINES> conv_straight_of(const struct conv_pass &p, int64_t first,
                                                                           const T *x, struct conv_line *lines) {
    struct conv_straight<T, LINES> g;
    for (int i = (int)threadIdx.x; i < LINES * CONV_LINES; i += CONV_THREADS)
        lines[i] = conv_line_of(p, first + i);
    __syncthreads();
    SL_UNROLLED for (int i = 0; i < LINES; i++)
    {
        const struct conv_line line = lines[(int)threadIdx.x / CONV_CHUNKS + i * CONV_LINES];
        g.from[i] = x + line.at;
        g.there[i] = line.there;
    }
    g.term = conv_term_of<T>(p, (int32_t)(threadIdx.x % CONV_CHUNKS) * conv_each<T>());
    return g;
}

/* The chunk's term of the next step. */
template <class T>
__device__ __forceinline__ void conv_next_term(const struct conv_pass &p, struct conv_term *t)
{
    if (p.stride_in % conv_step<T>() == 0) { /* all taps of a line come after each other */
        if (++t->s < p.columns.taps)
            return;
        t->s = 0;
        if (++t->r < p.rows.taps)
            return;
        t->r = 0;
        t->c += conv_step<T>();
        return;
    }
    for (t->c += conv_step<T>(); t->c >= p.stride_in; t->c -= p.stride_in)
        if (++t->s == p.columns.taps) {
            t->s = 0;
            t->r++;
        }
}

/* The thread's chunks, and on to the next step. */
template <class T, int LINES>
__device__ __forceinline__ void conv_gather(struct conv_straight<T, LINES> *g, const struct conv_pass &p,
                                            unsigned char *tile)
{
    const int32_t tap = g->term.r * p.columns.taps + g->term.s;
    const uint32_t bit = tap < p.rows.taps * p.columns.taps ? 1u << tap : 0;
    const int64_t offset = (int64_t)(g->term.r * p.columns.source + g->term.s) * p.stride_in + g->term.c;
    SL_UNROLLED for (int i = 0; i < LINES; i++) sl_copy_16(
        tile + conv_chunk_at((int)threadIdx.x / CONV_CHUNKS + i * CONV_LINES, (int)threadIdx.x % CONV_CHUNKS),
        g->from[i] + offset, g->there[i] & bit ? CONV_CHUNK : 0);
    conv_next_term<T>(p, &g->term);
}

/* ---- weights ---- */

/* The lines of LINES * 32 channels of the same step; there are `channels`, packed. Sums are rounded up to whole steps.
 */
template <class T, int LINES>
__device__ __forceinline__ void conv_bring_weights(const T *weights, int32_t channels, int64_t pitch, int number,
                                                   unsigned char *tile)
{
    const int q = (int)threadIdx.x % CONV_CHUNKS;
    const T *from = weights + number * conv_step<T>() + q * conv_each<T>();
    SL_UNROLLED for (int i = 0; i < LINES; i++)
    {
        const int line = (int)threadIdx.x / CONV_CHUNKS + i * CONV_LINES;
        const bool there = line < channels;
        sl_copy_16(tile + conv_chunk_at(line, q), there ? from + line * pitch : weights, there ? CONV_CHUNK : 0);
    }
}
#endif
