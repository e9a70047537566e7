/* Pooling by cuDNN, as rows beside our own. Padding lanes are channels to it: what is made of zeros is zero.
 *
 * The gradient of a maximum wants to know where it was: the forward pass is run again for that, and for nothing else.
 * In bf16 there is no forward pass: cuDNN 9.14 was seen to write floats where bf16 were asked for (an H200).
 *
 * Gradients are for windows that tile the image, as those of a network do, so that each pixel is written once. */
#include "kernels/cuda/cuda.cuh"
#include "kernels/cuda/plan_cudnn.h"
#include "kernels/kernels.h"
#include "kernels/pool/pool.h"

/* ---- what cuDNN is asked for ---- */

/* Padding behind each axis; false: cuDNN has no such windows. */
static bool find_padding(const struct sl_pool *s, int64_t after[2])
{
    after[0] = sl_cudnn_padding_after(s->h, s->kh, s->stride_h, s->pad_top, s->oh);
    after[1] = sl_cudnn_padding_after(s->w, s->kw, s->stride_w, s->pad_left, s->ow);
    return after[0] >= 0 && after[1] >= 0;
}

static int make_windows(struct sl_cudnn_plan *plan, const struct sl_pool *s, bool maximum, void **windows)
{
    int64_t after[2];
    find_padding(s, after);
    const int32_t type = SL_CUDNN_DATA_FLOAT;
    const int32_t mode = maximum ? SL_CUDNN_RESAMPLE_MAXPOOL : SL_CUDNN_RESAMPLE_AVGPOOL_EXCLUDE_PADDING;
    const int32_t padding = maximum ? SL_CUDNN_NEG_INF_PAD : SL_CUDNN_ZERO_PAD;
    /* Of two axes each, as fractions. */
    const int64_t axes = 2, sizes[] = {s->kh, 1, s->kw, 1}, strides[] = {s->stride_h, 1, s->stride_w, 1};
    const int64_t befores[] = {s->pad_top, 1, s->pad_left, 1}, afters[] = {after[0], 1, after[1], 1};
    const struct sl_cudnn_attribute attributes[] = {
        {SL_CUDNN_RESAMPLE_MODE, SL_CUDNN_TYPE_RESAMPLE_MODE, 1, &mode},
        {SL_CUDNN_RESAMPLE_COMP_TYPE, SL_CUDNN_TYPE_DATA_TYPE, 1, &type},
        {SL_CUDNN_RESAMPLE_SPATIAL_DIMS, SL_CUDNN_TYPE_INT64, 1, &axes},
        {SL_CUDNN_RESAMPLE_PADDING_MODE, SL_CUDNN_TYPE_PADDING_MODE, 1, &padding},
        {SL_CUDNN_RESAMPLE_WINDOW_DIMS, SL_CUDNN_TYPE_FRACTION, axes, sizes},
        {SL_CUDNN_RESAMPLE_PRE_PADDINGS, SL_CUDNN_TYPE_FRACTION, axes, befores},
        {SL_CUDNN_RESAMPLE_POST_PADDINGS, SL_CUDNN_TYPE_FRACTION, axes, afters},
        {SL_CUDNN_RESAMPLE_STRIDES, SL_CUDNN_TYPE_FRACTION, axes, strides},
    };
    return sl_cudnn_plan_make(plan, SL_CUDNN_RESAMPLE, attributes, 8, "describe the windows of a pool", windows);
}

/* A pass over x, y (or their gradients) and, with `places`, which pixel of each window was the largest. */
struct pass {
    const struct sl_pool *shape;
    bool maximum, places;
    int type, x, y, windows, index; /* the operation and its attributes */
};

static struct pass forward_pass(const struct sl_pool *s, bool maximum, bool places)
{
    return {s,
            maximum,
            places,
            SL_CUDNN_OPERATION_RESAMPLE_FWD,
            SL_CUDNN_RESAMPLE_FWD_XDESC,
            SL_CUDNN_RESAMPLE_FWD_YDESC,
            SL_CUDNN_RESAMPLE_FWD_DESC,
            SL_CUDNN_RESAMPLE_FWD_IDXDESC};
}

static struct pass backward_pass(const struct sl_pool *s, bool maximum)
{
    return {s,
            maximum,
            maximum,
            SL_CUDNN_OPERATION_RESAMPLE_BWD,
            SL_CUDNN_RESAMPLE_BWD_DXDESC,
            SL_CUDNN_RESAMPLE_BWD_DYDESC,
            SL_CUDNN_RESAMPLE_BWD_DESC,
            SL_CUDNN_RESAMPLE_BWD_IDXDESC};
}

static int make_pass(struct sl_cudnn_plan *plan, const void *self, void **operation)
{
    int rc;
    void *x, *y, *windows, *index;
    const auto *pass = static_cast<const struct pass *>(self);
    const struct sl_pool *s = pass->shape;
    const int32_t type = sl_cudnn_type(s->element);
    const struct sl_cudnn_tensor inside = {type, s->n, s->h, s->w, s->xs}, outside = {type, s->n, s->oh, s->ow, s->xs};
    const struct sl_cudnn_tensor places = {SL_CUDNN_DATA_INT8, s->n, s->oh, s->ow, s->xs};
    const struct sl_cudnn_attribute attributes[] = {
        {pass->x, SL_CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &x},
        {pass->y, SL_CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &y},
        {pass->windows, SL_CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &windows},
        {pass->index, SL_CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &index},
    };
    SL_TRY(sl_cudnn_plan_tensor(plan, &inside, &x));
    SL_TRY(sl_cudnn_plan_tensor(plan, &outside, &y));
    if (pass->places)
        SL_TRY(sl_cudnn_plan_tensor(plan, &places, &index));
    SL_TRY(make_windows(plan, s, pass->maximum, &windows));
    SL_TRY(sl_cudnn_plan_make(plan, pass->type, attributes, pass->places ? 4 : 3, "make an operation of the pool",
                              operation));
out:
    return rc;
}

static int open_pass(const struct sl_device *device, const struct pass *pass, struct sl_cudnn_plan *plan)
{
    /* There are no products; but engines say of themselves that they can use tensor cores. */
    const struct sl_cudnn_terms terms = {.tensor_cores = true, .most = sl_cudnn_most_workspace(device)};
    return sl_cudnn_plan_open(device, &terms, "the pool", make_pass, pass, plan);
}

/* ---- one plan: forward, and the gradient of an average ---- */

static size_t workspace_of(const void *shape, const void *state)
{
    (void)shape;
    return (size_t) static_cast<const struct sl_cudnn_plan *>(state)->workspace;
}

static void close(void *state)
{
    sl_cudnn_plan_close(static_cast<struct sl_cudnn_plan *>(state));
}

static bool takes(const void *shape, struct sl_need *need)
{
    int64_t after[2];
    need->units = 1;
    need->state = sizeof(struct sl_cudnn_plan);
    return find_padding(static_cast<const struct sl_pool *>(shape), after);
}

template <bool MAXIMUM> static int open(const void *shape, const struct sl_device *device, void *state)
{
    const struct pass pass = forward_pass(static_cast<const struct sl_pool *>(shape), MAXIMUM, false);
    return open_pass(device, &pass, static_cast<struct sl_cudnn_plan *>(state));
}

static void forward(const void *shape, const void *args, const struct sl_work *work)
{
    const auto *t = static_cast<const struct sl_pool_fwd *>(args);
    const void *const pointers[] = {t->x, t->y};
    (void)shape;
    sl_cudnn_plan_run(static_cast<const struct sl_cudnn_plan *>(work->state), pointers, work->scratch, work);
}

/* Do the windows of one axis lie side by side, from end to end? */
static bool tiles(int32_t length, int32_t taps, int32_t stride, int32_t before, int32_t outputs)
{
    return before == 0 && (stride == taps || outputs == 1) && (int64_t)outputs * taps == length;
}

static bool takes_gradient(const void *shape, struct sl_need *need)
{
    const auto *s = static_cast<const struct sl_pool *>(shape);
    return takes(shape, need) && tiles(s->h, s->kh, s->stride_h, s->pad_top, s->oh) &&
           tiles(s->w, s->kw, s->stride_w, s->pad_left, s->ow);
}

static int open_gradient(const void *shape, const struct sl_device *device, void *state)
{
    const struct pass pass = backward_pass(static_cast<const struct sl_pool *>(shape), false);
    return open_pass(device, &pass, static_cast<struct sl_cudnn_plan *>(state));
}

static void gradient(const void *shape, const void *args, const struct sl_work *work)
{
    const auto *t = static_cast<const struct sl_pool_bwd *>(args);
    const void *const pointers[] = {t->dx, t->dy};
    (void)shape;
    sl_cudnn_plan_run(static_cast<const struct sl_cudnn_plan *>(work->state), pointers, work->scratch, work);
}

/* ---- two plans: the gradient of a maximum ---- */

struct plans {
    struct sl_cudnn_plan forward, backward;
};

/* y and the places lie before the workspace, which both plans use in turn. */
struct parts {
    size_t places, workspace, bytes;
};

static struct parts parts_of(const struct sl_pool *s, const struct plans *plans)
{
    const size_t outputs = sl_pool_outputs(s), y = (outputs * sizeof(float) + 255) / 256 * 256; /* of bf16 too: above */
    const int64_t one = plans->forward.workspace, other = plans->backward.workspace;
    const size_t workspace = y + (outputs + 255) / 256 * 256;
    return {y, workspace, workspace + (size_t)(one > other ? one : other)};
}

static bool takes_maximum(const void *shape, struct sl_need *need)
{
    constexpr int MOST = 127; /* pixels of a window, which 8 bits number */
    const auto *s = static_cast<const struct sl_pool *>(shape);
    const bool takes_it = takes_gradient(shape, need);
    need->state = sizeof(struct plans);
    return takes_it && (int64_t)s->kh * s->kw <= MOST;
}

static void close_maximum(void *state)
{
    auto *plans = static_cast<struct plans *>(state);
    sl_cudnn_plan_close(&plans->backward);
    sl_cudnn_plan_close(&plans->forward);
}

static int open_maximum(const void *shape, const struct sl_device *device, void *state)
{
    const auto *s = static_cast<const struct sl_pool *>(shape);
    auto *plans = static_cast<struct plans *>(state);
    const struct pass find = forward_pass(s, true, true), lead_back = backward_pass(s, true);
    int rc;
    *plans = {};
    SL_TRY(open_pass(device, &find, &plans->forward));
    SL_TRY(open_pass(device, &lead_back, &plans->backward));
out:
    if (rc != SL_OK)
        close_maximum(plans);
    return rc;
}

static size_t scratch_of_maximum(const void *shape, const void *state)
{
    return parts_of(static_cast<const struct sl_pool *>(shape), static_cast<const struct plans *>(state)).bytes;
}

static void gradient_of_maximum(const void *shape, const void *args, const struct sl_work *work)
{
    const auto *t = static_cast<const struct sl_pool_bwd *>(args);
    const auto *plans = static_cast<const struct plans *>(work->state);
    const struct parts parts = parts_of(static_cast<const struct sl_pool *>(shape), plans);
    char *scratch = static_cast<char *>(work->scratch);
    const void *const found[] = {t->x, scratch, scratch + parts.places};
    const void *const led[] = {t->dx, t->dy, scratch + parts.places};
    sl_cudnn_plan_run(&plans->forward, found, scratch + parts.workspace, work);
    sl_cudnn_plan_run(&plans->backward, led, scratch + parts.workspace, work);
}

const struct sl_kernel sl_pool_max_fwd_cudnn = {
    .refuses = true, .need = takes, .open = open<true>, .scratch = workspace_of, .close = close, .run = forward};
const struct sl_kernel sl_pool_avg_fwd_cudnn = {
    .refuses = true, .need = takes, .open = open<false>, .scratch = workspace_of, .close = close, .run = forward};

#define GRADIENTS_OF(ELEMENT, NAME)                                                 \
    const struct sl_kernel sl_pool_max_bwd_##NAME = {.element = ELEMENT,            \
                                                     .refuses = true,               \
                                                     .need = takes_maximum,         \
                                                     .open = open_maximum,          \
                                                     .scratch = scratch_of_maximum, \
                                                     .close = close_maximum,        \
                                                     .run = gradient_of_maximum};   \
    const struct sl_kernel sl_pool_avg_bwd_##NAME = {.element = ELEMENT,            \
                                                     .refuses = true,               \
                                                     .need = takes_gradient,        \
                                                     .open = open_gradient,         \
                                                     .scratch = workspace_of,       \
                                                     .close = close,                \
                                                     .run = gradient};

GRADIENTS_OF(SL_ELEMENT_F32, cudnn)
GRADIENTS_OF(SL_ELEMENT_BF16, bf16_cudnn)
