/* What a block of the convolution on a GPU makes of its sums, which lie in shared memory pixel by pixel: y, as it is or
 * pooled, and the moments of what was stored. */
#ifndef SL_KERNELS_CONV_CONV_OUTPUT_CUDA_CUH
#define SL_KERNELS_CONV_CONV_OUTPUT_CUDA_CUH

#include "kernels/conv/conv_gather_cuda.cuh"
#include "kernels/norm/norm.h"

/* Where it goes. */
struct conv_output {
    const float *bias; /* NULL: none */
    float slope;
    void *y;
    float *moments; /* NULL: none */
    int32_t channels, stride;
};

/* The sums of a block, and room for those of its moments. Lines are apart so that the rows of a product, which its
 * threads store at once, lie in different banks. */
template <int PIXELS, int CHANNELS> struct conv_sums {
    static constexpr int PITCH = CHANNELS + 8;
    float at[PIXELS * PITCH];
    double room[CONV_THREADS];
};

/* What is added to the sums of a thread's channels, which stay the same. */
template <class T> struct conv_addend {
    float bias[CONV_CHUNK / sizeof(T)];
    int32_t channels; /* of the chunk; the others are padding */
};

template <class T>
__device__ __forceinline__ struct conv_addend<T> conv_addend_of(const struct conv_output &o, int32_t k) {
    struct conv_addend<T> a;
    a.channels = o.channels - k;
    SL_UNROLLED for (int e = 0; e < conv_each<T>(); e++) a.bias[e] = o.bias && e < a.channels ? o.bias[k + e] : 0.0f;
    return a;
}

/* y of a chunk of sums. */
template <class T>
__device__ __forceinline__ void conv_activate(const struct conv_output &o, const struct conv_addend<T> &a, float *v)
{
    SL_UNROLLED for (int e = 0; e < conv_each<T>(); e++)
    {
        v[e] += a.bias[e];
        v[e] = v[e] >= 0.0f ? v[e] : o.slope * v[e];
    }
    if (a.channels < conv_each<T>())
        SL_UNROLLED for (int e = 0; e < conv_each<T>(); e++) v[e] = e < a.channels ? v[e] : 0.0f;
}

/* A chunk of y: at once, or one by one where pixels are no whole chunks. What was stored. */
template <class T>
__device__ __forceinline__ struct sl_chunk<T, conv_each<T>()> conv_put(const struct conv_output &o, int64_t pixel,
                                                                       int32_t k, const float *v) {
    struct sl_chunk<T, conv_each<T>()> chunk;
    T *to = static_cast<T *>(o.y) + pixel * o.stride + k;
    SL_UNROLLED for (int e = 0; e < conv_each<T>(); e += 2) sl_write_2(&chunk.at[e], v[e], v[e + 1]);
    if (o.stride % conv_each<T>() == 0)
        *reinterpret_cast<struct sl_chunk<T, conv_each<T>()> *>(to) = chunk;
    else
        SL_UNROLLED for (int e = 0; e < conv_each<T>(); e++) if (k + e < o.stride) to[e] = chunk.at[e];
    return chunk;
}

/* y; and the sums become what was stored, for the moments. */
template <class T, int PIXELS, int CHANNELS>
__device__ __forceinline__ void conv_store(const struct conv_output &o, int64_t first, int64_t pixels, int32_t channel,
                                           struct conv_sums<PIXELS, CHANNELS> *s)
{
    constexpr int EACH = conv_each<T>(), ACROSS = CHANNELS / EACH, APART = CONV_THREADS / ACROSS;
    const int within = (int)threadIdx.x % ACROSS * EACH;
    const int32_t k = channel + within;
    if (k >= o.stride)
        return;
    const struct conv_addend<T> addend = conv_addend_of<T>(o, k);
    for (int i = (int)threadIdx.x / ACROSS; i < PIXELS && first + i < pixels; i += APART) {
        float *sums = s->at + i * s->PITCH + within, v[EACH];
        SL_UNROLLED for (int e = 0; e < EACH; e++) v[e] = sums[e];
        conv_activate<T>(o, addend, v);
        const struct sl_chunk<T, conv_each<T>()> stored = conv_put<T>(o, first + i, k, v);
        SL_UNROLLED for (int e = 0; o.moments && e < EACH; e++) sums[e] = sl_read(&stored.at[e]);
    }
}

/* The largest of each window, whose four outputs follow each other. An activation's slope is not negative, so that it
 * may come afterwards. */
template <class T, int PIXELS, int CHANNELS>
__device__ __forceinline__ void conv_store_pooled(const struct conv_output &o, int64_t first, int64_t pixels,
                                                  int32_t channel, const struct conv_sums<PIXELS, CHANNELS> *s)
{
    constexpr int EACH = conv_each<T>(), ACROSS = CHANNELS / EACH, APART = CONV_THREADS / ACROSS;
    const int within = (int)threadIdx.x % ACROSS * EACH;
    const int32_t k = channel + within;
    if (k >= o.stride)
        return;
    const struct conv_addend<T> addend = conv_addend_of<T>(o, k);
    for (int i = (int)threadIdx.x / ACROSS; i < PIXELS / 4 && first / 4 + i < pixels / 4; i += APART) {
        const float *four = s->at + i * 4 * s->PITCH + within;
        float v[EACH];
        SL_UNROLLED for (int e = 0; e < EACH; e++)
        {
            v[e] = four[e];
            for (int part = 1; part < 4; part++)
                v[e] = four[part * s->PITCH + e] > v[e] ? four[part * s->PITCH + e] : v[e];
        }
        conv_activate<T>(o, addend, v);
        conv_put<T>(o, first / 4 + i, k, v);
    }
}

/* The sum of a column's threads, in order, for all of them. */
template <int PIXELS, int CHANNELS>
__device__ __forceinline__ double conv_sum_column(struct conv_sums<PIXELS, CHANNELS> *s, double x)
{
    double sum = 0.0;
    __syncthreads(); /* the room is free */
    s->room[threadIdx.x] = x;
    __syncthreads();
    for (int i = 0; i < CONV_THREADS / CHANNELS; i++)
        sum += s->room[i * CHANNELS + threadIdx.x % CHANNELS];
    return sum;
}

/* One record for each block of pixels; a block of channels writes its part. Sums are of the distance from the first
 * pixel's value and of its square: eight in float, those sums in double. */
template <int PIXELS, int CHANNELS>
__device__ __forceinline__ void conv_store_moments(const struct conv_output &o, int64_t first, int64_t pixels,
                                                   int32_t channel, struct conv_sums<PIXELS, CHANNELS> *s)
{
    constexpr int GROUPS = CONV_THREADS / CHANNELS, FEW = 8;
    const int rows = pixels - first < PIXELS ? (int)(pixels - first) : PIXELS;
    const int column = (int)threadIdx.x % CHANNELS;
    double sum = 0.0, squares = 0.0;
    __syncthreads();
    const float origin = s->at[column];
    for (int begin = (int)threadIdx.x / CHANNELS * FEW; begin < rows; begin += GROUPS * FEW) {
        float few = 0.0f, few_squares = 0.0f;
        SL_UNROLLED for (int i = 0; i < FEW; i++)
        {
            const float d = begin + i < rows ? s->at[(begin + i) * s->PITCH + column] - origin : 0.0f;
            few += d;
            few_squares = fmaf(d, d, few_squares);
        }
        sum += few;
        squares += few_squares;
    }
    sum = conv_sum_column(s, sum);
    squares = conv_sum_column(s, squares) - sum * sum / rows;
    float *record = o.moments + (size_t)(first / PIXELS) * sl_moments_size(o.stride);
    const int32_t k = channel + column;
    if (threadIdx.x < CHANNELS && k < o.stride) {
        record[k] = (float)(origin + sum / rows);
        record[o.stride + k] = squares < 0.0 ? 0.0f : (float)squares; /* NaN stays */
    }
    if (channel == 0 && threadIdx.x < SL_LANES)
        record[2 * o.stride + threadIdx.x] = threadIdx.x == 0 ? (float)rows : 0.0f;
}

/* All of it, once every thread has laid out its sums. */
template <class T, int PIXELS, int CHANNELS>
__device__ __forceinline__ void conv_finish(const struct conv_output &o, const struct conv_pass &p, int64_t first,
                                            int32_t channel, struct conv_sums<PIXELS, CHANNELS> *s)
{
    __syncthreads();
    if (p.pool == 2)
        conv_store_pooled<T>(o, first, p.pixels, channel, s);
    else
        conv_store<T>(o, first, p.pixels, channel, s);
    if (o.moments)
        conv_store_moments(o, first, p.pixels, channel, s);
}
#endif
