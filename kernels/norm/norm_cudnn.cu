/* Statistics of batch norm, and their gradients, by cuDNN, as rows beside our own. cuDNN has them together with the
 * normalised output (and with dx), which is written to scratch and forgotten: its rows move more memory than ours.
 *
 * What else batch norm does, cuDNN has no part in: norm_fwd and norm_bwd_apply have to agree on each z to the last bit,
 * with each other and with norm_bwd_reduce (norm.h), which a graph of its pointwise operations does not promise. */
#include "kernels/cuda/plan_cudnn.h"
#include "kernels/kernels.h"
#include "kernels/norm/norm_cuda.cuh"

#define FOR_EACH(i, n) \
    for (int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x; i < (int64_t)(n); i += (int64_t)gridDim.x * THREADS)


static const float EPSILON = 1e-5f; /* of cuDNN's variance: taken out again */

/* ---- the parts of scratch, each from a multiple of 256 bytes on ---- */

static size_t rounded(size_t bytes)
{
    return (bytes + 255) / 256 * 256;
}

/* An array of activations, and one of channels. */
static size_t pixels_bytes(const struct sl_norm *s)
{
    return rounded(sl_norm_inputs(s) * sl_element_bytes(s->element));
}

static size_t channels_bytes(const struct sl_norm *s)
{
    return rounded((size_t)s->xs * sizeof(float));
}

static char *scratch_of(const struct sl_work *work)
{
    return static_cast<char *>(work->scratch);
}

static const struct sl_cudnn_plan *plan_of(const void *state)
{
    return static_cast<const struct sl_cudnn_plan *>(state);
}

static void close(void *state)
{
    sl_cudnn_plan_close(static_cast<struct sl_cudnn_plan *>(state));
}

static bool takes(const void *shape, struct sl_need *need)
{
    (void)shape;
    need->units = 1;
    need->state = sizeof(struct sl_cudnn_plan);
    return true;
}

/* ---- what cuDNN is asked for ---- */

/* The attributes that name an operation's tensors, in the order of their data: p(ixels), c(hannels) or a n(umber). */
struct operand {
    int attribute;
    char kind;
};

template <int COUNT>
static int make_operands(struct sl_cudnn_plan *plan, const struct sl_norm *s, const struct operand (&operands)[COUNT],
                         void *(&tensors)[COUNT])
{
    const struct sl_cudnn_tensor pixels = {sl_cudnn_type(s->element), s->n, s->h, s->w, s->xs},
                                 channels = {SL_CUDNN_DATA_FLOAT, 1, 1, 1, s->xs},
                                 number = {SL_CUDNN_DATA_FLOAT, 1, 1, 1, 1, 0, true};
    int rc = SL_OK;
    for (int i = 0; i < COUNT && rc == SL_OK; i++) {
        const char kind = operands[i].kind;
        rc = sl_cudnn_plan_tensor(plan, kind == 'p' ? &pixels : kind == 'c' ? &channels : &number, &tensors[i]);
    }
    return rc;
}

static int make_forward(struct sl_cudnn_plan *plan, const void *self, void **operation)
{
    static const struct operand operands[] = {{SL_CUDNN_NORM_FWD_XDESC, 'p'},
                                              {SL_CUDNN_NORM_FWD_MEAN_DESC, 'c'},
                                              {SL_CUDNN_NORM_FWD_INV_VARIANCE_DESC, 'c'},
                                              {SL_CUDNN_NORM_FWD_SCALE_DESC, 'c'},
                                              {SL_CUDNN_NORM_FWD_BIAS_DESC, 'c'},
                                              {SL_CUDNN_NORM_FWD_EPSILON_DESC, 'n'},
                                              {SL_CUDNN_NORM_FWD_YDESC, 'p'}};
    constexpr int COUNT = sizeof operands / sizeof *operands;
    const int32_t mode = SL_CUDNN_BATCH_NORM, phase = SL_CUDNN_NORM_FWD_TRAINING;
    void *tensors[COUNT];
    struct sl_cudnn_attribute attributes[COUNT + 2] = {
        {SL_CUDNN_NORM_FWD_MODE, SL_CUDNN_TYPE_NORM_MODE, 1, &mode},
        {SL_CUDNN_NORM_FWD_PHASE, SL_CUDNN_TYPE_NORM_FWD_PHASE, 1, &phase}};
    const int rc = make_operands(plan, static_cast<const struct sl_norm *>(self), operands, tensors);
    for (int i = 0; i < COUNT; i++)
        attributes[2 + i] = {operands[i].attribute, SL_CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &tensors[i]};
    return rc != SL_OK ? rc
                       : sl_cudnn_plan_make(plan, SL_CUDNN_OPERATION_NORM_FORWARD, attributes, COUNT + 2,
                                            "make an operation of batch norm", operation);
}

static int make_backward(struct sl_cudnn_plan *plan, const void *self, void **operation)
{
    static const struct operand operands[] = {{SL_CUDNN_NORM_BWD_XDESC, 'p'},
                                              {SL_CUDNN_NORM_BWD_MEAN_DESC, 'c'},
                                              {SL_CUDNN_NORM_BWD_INV_VARIANCE_DESC, 'c'},
                                              {SL_CUDNN_NORM_BWD_DYDESC, 'p'},
                                              {SL_CUDNN_NORM_BWD_SCALE_DESC, 'c'},
                                              {SL_CUDNN_NORM_BWD_DSCALE_DESC, 'c'},
                                              {SL_CUDNN_NORM_BWD_DBIAS_DESC, 'c'},
                                              {SL_CUDNN_NORM_BWD_DXDESC, 'p'}};
    constexpr int COUNT = sizeof operands / sizeof *operands;
    const int32_t mode = SL_CUDNN_BATCH_NORM;
    void *tensors[COUNT];
    struct sl_cudnn_attribute attributes[COUNT + 1] = {{SL_CUDNN_NORM_BWD_MODE, SL_CUDNN_TYPE_NORM_MODE, 1, &mode}};
    const int rc = make_operands(plan, static_cast<const struct sl_norm *>(self), operands, tensors);
    for (int i = 0; i < COUNT; i++)
        attributes[1 + i] = {operands[i].attribute, SL_CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &tensors[i]};
    return rc != SL_OK ? rc
                       : sl_cudnn_plan_make(plan, SL_CUDNN_OPERATION_NORM_BACKWARD, attributes, COUNT + 1,
                                            "make an operation of batch norm's gradient", operation);
}

template <sl_cudnn_operation_fn *MAKE> static int open(const void *shape, const struct sl_device *device, void *state)
{
    const struct sl_cudnn_terms terms = {.tensor_cores = true, .most = sl_cudnn_most_workspace(device)};
    return sl_cudnn_plan_open(device, &terms, "batch norm", MAKE, shape, static_cast<struct sl_cudnn_plan *>(state));
}

/* ---- moments: y; mean, rstd, scale and bias; workspace ---- */

static size_t moments_workspace(const struct sl_norm *s)
{
    return pixels_bytes(s) + 4 * channels_bytes(s);
}

static size_t moments_scratch(const void *shape, const void *state)
{
    return moments_workspace(static_cast<const struct sl_norm *>(shape)) + (size_t)plan_of(state)->workspace;
}

static __global__ void __launch_bounds__(THREADS) fill_scale(int32_t n, float *scale, float *bias)
{
    FOR_EACH(i, n)
    {
        scale[i] = 1.0f;
        bias[i] = 0.0f;
    }
}

/* The record of all pixels: what became zero by rounding is zero, and NaN stays. */
static __global__ void __launch_bounds__(THREADS)
    write_record(const struct sl_norm s, float epsilon, const float *mean, const float *rstd, float *record)
{
    const double pixels = (double)s.n * s.h * s.w;
    FOR_EACH(i, s.xs + SL_LANES)
    {
        if (i >= s.xs) {
            record[s.xs + i] = i == s.xs ? (float)pixels : 0.0f;
            continue;
        }
        const double r = rstd[i], variance = 1.0 / (r * r) - epsilon;
        record[i] = i < s.c ? mean[i] : 0.0f;
        record[s.xs + i] = i < s.c ? (float)(variance < 0.0 ? 0.0 : variance * pixels) : 0.0f;
    }
}

static void moments(const void *shape, const void *args, const struct sl_work *work)
{
    const auto *s = static_cast<const struct sl_norm *>(shape);
    const auto *t = static_cast<const struct sl_norm_moments *>(args);
    char *y = scratch_of(work), *channels = y + pixels_bytes(s);
    float *at[4]; /* mean, rstd, scale, bias */
    for (int i = 0; i < 4; i++)
        at[i] = reinterpret_cast<float *>(channels + i * channels_bytes(s));
    const void *const pointers[] = {t->x, at[0], at[1], at[2], at[3], &EPSILON, y};
    const dim3 blocks(sl_cuda_blocks(s->xs + SL_LANES, THREADS));
    sl_cuda_launch(fill_scale, blocks, dim3(THREADS), 0, work, s->xs, at[2], at[3]);
    sl_cudnn_plan_run(plan_of(work->state), pointers, y + moments_workspace(s), work);
    sl_cuda_launch(write_record, blocks, dim3(THREADS), 0, work, *s, EPSILON, (const float *)at[0],
                   (const float *)at[1], t->moments);
}

/* ---- sums of the backward pass: dz; dx; workspace ---- */

static size_t sums_workspace(const struct sl_norm *s)
{
    return 2 * pixels_bytes(s);
}

static size_t sums_scratch(const void *shape, const void *state)
{
    return sums_workspace(static_cast<const struct sl_norm *>(shape)) + (size_t)plan_of(state)->workspace;
}

/* dy back through pool and activation: to the window's first largest z alone. In bf16 it is rounded here. */
template <class T, int EACH, int POOL>
static __global__ void __launch_bounds__(THREADS)
    lead_back(const struct sl_norm s, const struct layout l, const struct sl_norm_bwd_reduce t, const T *x, const T *dy,
              T *dz)
{
    const struct place at = place_of<EACH>(s, l);
    if (at.at >= at.end)
        return;
    const struct numbers<EACH> scale = read<float, EACH>(t.scale + at.c), shift = read<float, EACH>(t.shift + at.c);
    for (int64_t i = at.at; i < at.end; i += l.rows) {
        const int64_t first = window_at(s, l, i) + at.c;
        const struct numbers<EACH> d = read<T, EACH>(dy + i * s.xs + at.c);
        const struct window<EACH> w = read_window<T, EACH, POOL>(s, x + first, scale, shift);
        SL_UNROLLED for (int k = 0; k < POOL * POOL; k++)
        {
            struct numbers<EACH> v;
            SL_UNROLLED for (int e = 0; e < EACH; e++) v.at[e] = k != w.best[e]      ? 0.0f
                                                                 : w.z.at[e] >= 0.0f ? d.at[e]
                                                                                     : s.slope * d.at[e];
            write<T, EACH>(dz + first + step_of(s, k), v);
        }
    }
}

template <class T, int EACH>
static void start_lead_back(const struct sl_norm *s, const struct sl_norm_bwd_reduce *t, T *dz,
                            const struct sl_work *work)
{
    const struct layout l = layout_of_writes<EACH>(s);
    sl_cuda_launch(s->pool == 1 ? lead_back<T, EACH, 1> : lead_back<T, EACH, 2>, grid_of<EACH>(s, l), dim3(THREADS), 0,
                   work, *s, l, *t, static_cast<const T *>(t->x), static_cast<const T *>(t->dy), dz);
}

template <class T> static void sums(const void *shape, const void *args, const struct sl_work *work)
{
    const auto *s = static_cast<const struct sl_norm *>(shape);
    const auto *t = static_cast<const struct sl_norm_bwd_reduce *>(args);
    char *dz = scratch_of(work), *dx = dz + pixels_bytes(s);
    const void *const pointers[] = {t->x, t->mean, t->rstd, dz, t->scale, t->sums + s->xs, t->sums, dx};
    (s->xs % each_of<T>() ? start_lead_back<T, 1> : start_lead_back<T, each_of<T>()>)(s, t, reinterpret_cast<T *>(dz),
                                                                                      work);
    sl_cudnn_plan_run(plan_of(work->state), pointers, dz + sums_workspace(s), work);
}

#define ROWS_OF(ELEMENT, T, NAME)                                                    \
    const struct sl_kernel sl_norm_moments_##NAME = {.element = ELEMENT,             \
                                                     .refuses = true,                \
                                                     .need = takes,                  \
                                                     .open = open<make_forward>,     \
                                                     .scratch = moments_scratch,     \
                                                     .close = close,                 \
                                                     .run = moments};                \
    const struct sl_kernel sl_norm_bwd_reduce_##NAME = {.element = ELEMENT,          \
                                                        .refuses = true,             \
                                                        .need = takes,               \
                                                        .open = open<make_backward>, \
                                                        .scratch = sums_scratch,     \
                                                        .close = close,              \
                                                        .run = sums<T>};

ROWS_OF(SL_ELEMENT_F32, float, cudnn)
ROWS_OF(SL_ELEMENT_BF16, uint16_t, bf16_cudnn)
