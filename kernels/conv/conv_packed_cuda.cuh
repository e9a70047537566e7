/* What the rows of a GPU for the convolution and its gradient by the data share: what a launch is given, and the
 * weights as its blocks read them. Rows of one element share that layout, so that one can take over from another. */
#ifndef SL_KERNELS_CONV_CONV_PACKED_CUDA_CUH
#define SL_KERNELS_CONV_CONV_PACKED_CUDA_CUH

#include "kernels/conv/conv_output_cuda.cuh"
#include "kernels/kernels.h"

/* ---- a launch ---- */

struct conv_job {
    struct conv_pass p;
    const void *x, *weights;
    struct conv_output o;
};

static inline struct conv_job conv_forward_job(const void *shape, const void *args)
{
    const auto *s = static_cast<const struct sl_conv2d *>(shape);
    const auto *a = static_cast<const struct sl_conv2d_fwd *>(args);
    return {conv_forward_pass(s), a->x, a->weights, {a->bias, a->slope, a->y, a->moments, s->k, s->ys}};
}

static inline struct conv_job conv_pooled_job(const void *shape, const void *args)
{
    struct conv_job job = conv_forward_job(shape, args);
    conv_pass_order(&job.p, 2);
    job.o.moments = nullptr;
    return job;
}

static inline struct conv_job conv_backward_job(const void *shape, const void *args)
{
    const auto *s = static_cast<const struct sl_conv2d *>(shape);
    const auto *a = static_cast<const struct sl_conv2d_bwd_data *>(args);
    return {conv_backward_pass(s), a->dy, a->weights, {nullptr, 1.0f, a->dx, nullptr, s->c, s->xs}};
}

/* ---- packed weights: [channels, rounded up][steps][a line], of which those past the sum are zero ---- */

constexpr int CONV_PACKED = 64; /* channels are rounded up to it */

template <class T> static int conv_steps_of(const struct conv_pass *p)
{
    return (p->sum + conv_step<T>() - 1) / conv_step<T>();
}

SL_ANYWHERE static inline int32_t conv_packed_channels(int32_t channels)
{
    return (channels + CONV_PACKED - 1) / CONV_PACKED * CONV_PACKED;
}

template <bool FORWARD> static struct conv_pass conv_pass_of(const struct sl_conv2d *s)
{
    return FORWARD ? conv_forward_pass(s) : conv_backward_pass(s);
}

/* Lanes of the output's pixels. */
template <bool FORWARD> static int32_t conv_stride_out(const struct sl_conv2d *s)
{
    return FORWARD ? s->ys : s->xs;
}

/* The weight of a term for output channel k. */
template <bool FORWARD>
__device__ __forceinline__ float conv_weight_at(const struct sl_conv2d &s, const float *w, int64_t k,
                                                const struct conv_term &t)
{
    const int64_t from = FORWARD ? t.c : k, to = FORWARD ? k : t.c;
    if (to >= s.k || from >= s.c)
        return 0.0f;
    const int32_t row = FORWARD ? t.r : s.kh - 1 - t.r, column = FORWARD ? t.s : s.kw - 1 - t.s;
    return w[((to * s.kh + row) * s.kw + column) * s.c + from];
}

__device__ __forceinline__ void conv_put_weight(uint16_t *at, float w, bool)
{
    *at = sl_narrow(w);
}
__device__ __forceinline__ void conv_put_weight(float *at, float w, bool round)
{
    *at = round ? __uint_as_float(sl_to_tf32(w)) : w;
}

template <int MATH, bool FORWARD>
static __global__ void __launch_bounds__(CONV_THREADS)
    conv_pack_weights(const struct sl_conv2d s, const struct conv_pass p, int64_t channels, int64_t pitch,
                      const float *w, typename conv_element<MATH>::type *to)
{
    typedef typename conv_element<MATH>::type T;
    const int64_t all = channels * pitch;
    for (int64_t i = (int64_t)blockIdx.x * CONV_THREADS + threadIdx.x; i < all;
         i += (int64_t)gridDim.x * CONV_THREADS) {
        const int32_t at = (int32_t)(i % pitch);
        const float weight = at < p.sum ? conv_weight_at<FORWARD>(s, w, i / pitch, conv_term_of<T>(p, at)) : 0.0f;
        conv_put_weight(to + i, weight, MATH == CONV_TF32);
    }
}

template <int MATH, bool FORWARD>
static void conv_pack(const void *shape, const float *weights, void *packed, const struct sl_work *work)
{
    typedef typename conv_element<MATH>::type T;
    const auto *s = static_cast<const struct sl_conv2d *>(shape);
    const struct conv_pass p = conv_pass_of<FORWARD>(s);
    const int64_t channels = conv_packed_channels(conv_stride_out<FORWARD>(s)),
                  pitch = (int64_t)conv_steps_of<T>(&p) * conv_step<T>();
    sl_cuda_launch(conv_pack_weights<MATH, FORWARD>, dim3(sl_cuda_blocks(channels * pitch, 4 * CONV_THREADS)),
                   dim3(CONV_THREADS), 0, work, *s, p, channels, pitch, weights, static_cast<T *>(packed));
}

/* What a row needs whose blocks have so many pixels. */
template <int MATH, bool FORWARD>
static bool conv_needs(const struct sl_conv2d *s, int64_t pixels, struct sl_need *need)
{
    const struct conv_pass p = conv_pass_of<FORWARD>(s);
    need->units = (p.pixels + pixels - 1) / pixels;
    need->pack_units = 1;
    need->packed = (size_t)conv_packed_channels(conv_stride_out<FORWARD>(s)) *
                   (size_t)conv_steps_of<typename conv_element<MATH>::type>(&p) * CONV_LINE;
    return true;
}
#endif
