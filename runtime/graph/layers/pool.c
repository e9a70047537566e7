/* max_pool and average_pool: kernels/pool/pool.h. */
#include "kernels/pool/pool.h"

#include "runtime/graph/layer_type.h"

#define FIELD(member) offsetof(struct sl_pool_options, member)

/* A stride of zero means the kernel's size: window() fills it in. */
static const struct sl_option options[] = {
    {"kernel", SL_OPTION_PAIR, FIELD(kernel), 1, 1024, 2},
    {"stride", SL_OPTION_PAIR, FIELD(stride), 0, 1024, 0},
    {"padding", SL_OPTION_PADDING, FIELD(padding), 0, 64, 0},
    {"global", SL_OPTION_BOOL, FIELD(global), 0, 1, 0},
};

bool sl_pool_is_plain(const struct sl_layer *layer, const struct sl_tensor *in)
{
    const struct sl_pool_options *o = layer->options;
    if (layer->type != &sl_layer_max_pool || o->global || o->padding.mode == SL_PADDING_EXPLICIT)
        return false;
    for (int axis = 0; axis < 2; axis++)
        if (o->kernel[axis] != 2 || sl_or(o->stride[axis], o->kernel[axis]) != 2)
            return false;
    return in->h % 2 == 0 && in->w % 2 == 0;
}

struct pool {
    struct sl_pool shape;
    struct sl_choice fwd, bwd;
};

/* The window along both axes; no window may lie wholly in the padding. */
static int window(const struct sl_pool_options *o, const struct sl_tensor *in, struct sl_pool *p)
{
    int rc = SL_OK;
    p->kh = o->global ? in->h : o->kernel[0];
    p->kw = o->global ? in->w : o->kernel[1];
    p->stride_h = o->global || !o->stride[0] ? p->kh : o->stride[0];
    p->stride_w = o->global || !o->stride[1] ? p->kw : o->stride[1];
    SL_TRY(sl_window_axis(in->h, p->kh, p->stride_h, &o->padding, true, &p->oh, &p->pad_top));
    SL_TRY(sl_window_axis(in->w, p->kw, p->stride_w, &o->padding, false, &p->ow, &p->pad_left));
    const bool first_outside = p->pad_top >= p->kh || p->pad_left >= p->kw;
    const bool last_outside =
        (p->oh - 1) * p->stride_h - p->pad_top >= in->h || (p->ow - 1) * p->stride_w - p->pad_left >= in->w;
    if (first_outside || last_outside)
        SL_FAIL(SL_BAD_CONFIG, "with this padding a window lies wholly outside the %d x %d image", in->h, in->w);
out:
    return rc;
}

static int shape(const void *of, const struct sl_tensor *in, int32_t count, struct sl_tensor *out)
{
    (void)count;
    struct sl_pool p = {0};
    const int rc = window(of, in, &p);
    *out = sl_activation(1, p.oh, p.ow, in->c);
    if (rc == SL_OK && in->stride != out->stride)
        return sl_fail(SL_BAD_CONFIG, "pooling the image itself is not supported; put a convolution before it");
    return rc;
}

static int plan_with(struct sl_stage *stage, struct sl_planner *planner, enum sl_op fwd, enum sl_op bwd)
{
    struct pool *pool = stage->state;
    const struct sl_tensor *x = &stage->x[0]->shape;
    pool->shape = (struct sl_pool){.n = x->n, .h = x->h, .w = x->w, .c = x->c, .xs = x->stride, .element = x->element};
    int rc = SL_OK;
    SL_TRY(window(stage->layer->options, x, &pool->shape));
    SL_TRY(sl_planner_choose(planner, fwd, &pool->shape, &pool->fwd));
    if (planner->training)
        SL_TRY(sl_planner_choose(planner, bwd, &pool->shape, &pool->bwd));
out:
    return rc;
}

static int plan_max(struct sl_stage *stage, struct sl_planner *planner)
{
    return plan_with(stage, planner, SL_OP_pool_max_fwd, SL_OP_pool_max_bwd);
}

static int plan_average(struct sl_stage *stage, struct sl_planner *planner)
{
    return plan_with(stage, planner, SL_OP_pool_avg_fwd, SL_OP_pool_avg_bwd);
}

static int forward(struct sl_stage *stage, const struct sl_pass *pass)
{
    struct pool *pool = stage->state;
    pool->shape.n = pass->count;
    const struct sl_pool_fwd args = {stage->x[0]->data, stage->y->data};
    return sl_launch(&pool->fwd, pool->fwd.op, &pool->shape, &args);
}

static int backward(struct sl_stage *stage, const struct sl_pass *pass)
{
    struct pool *pool = stage->state;
    if (!stage->dx[0])
        return SL_OK;
    pool->shape.n = pass->count;
    const struct sl_pool_bwd args = {stage->x[0]->data, stage->y->grad, stage->dx[0]};
    return sl_launch(&pool->bwd, pool->bwd.op, &pool->shape, &args);
}

const struct sl_layer_type sl_layer_max_pool = {
    .name = "max_pool",
    .inputs_min = 1,
    .inputs_max = 1,
    .traits = SL_BACKWARD_READS_INPUT,
    .options_size = sizeof(struct sl_pool_options),
    .state_size = sizeof(struct pool),
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .shape = shape,
    .plan = plan_max,
    .forward = forward,
    .backward = backward,
};

const struct sl_layer_type sl_layer_average_pool = {
    .name = "average_pool",
    .inputs_min = 1,
    .inputs_max = 1,
    .options_size = sizeof(struct sl_pool_options),
    .state_size = sizeof(struct pool),
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .shape = shape,
    .plan = plan_average,
    .forward = forward,
    .backward = backward,
};
