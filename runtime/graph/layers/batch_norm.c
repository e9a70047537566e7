/* batch_norm: kernels/norm/norm.h, with a following activation and 2 x 2 maximum pool in the same pass. Running
 * statistics are plain mean and population variance, new = decay*old + (1 - decay)*batch, as DL4J's; they are exact and
 * never quantised. */
#include "kernels/norm/norm.h"
#include "runtime/graph/layer_type.h"

#define FIELD(member) offsetof(struct sl_batch_norm_options, member)

static const struct sl_option options[] = {
    {"decay", SL_OPTION_REAL, FIELD(decay), 0, 1, 0.9},
    {"epsilon", SL_OPTION_REAL, FIELD(epsilon), 1e-12, 1, 1e-5},
};

enum { GAMMA, BETA, RUNNING_MEAN, RUNNING_VAR };

struct batch_norm {
    struct sl_norm shape;
    struct sl_norm channels; /* the same for the operations on channels alone */
    bool activated;
    struct sl_choice moments, join, scaling, fwd, reduce, bwd_join, apply, commit;
    float *records, *sums;                    /* of the moments; of the gradient */
    float *mean, *var, *rstd, *scale, *shift; /* [stride] each; lanes past c are zero */
    float *a, *b;                             /* of the backward pass */
};

static int shape(const void *of, const struct sl_tensor *in, int32_t count, struct sl_tensor *out)
{
    (void)of, (void)count;
    *out = *in;
    return SL_OK;
}

static int32_t parameters(const void *of, const struct sl_tensor *in, struct sl_parameter *list)
{
    (void)of;
    list[GAMMA] = (struct sl_parameter){"gamma", SL_ROLE_VECTOR, 1, {in->c}, 0.0, 1.0};
    list[BETA] = (struct sl_parameter){"beta", SL_ROLE_VECTOR, 1, {in->c}, 0.0, 0.0};
    list[RUNNING_MEAN] = (struct sl_parameter){"running_mean", SL_ROLE_STATE, 1, {in->c}, 0.0, 0.0};
    list[RUNNING_VAR] = (struct sl_parameter){"running_var", SL_ROLE_STATE, 1, {in->c}, 0.0, 1.0};
    return 4;
}

static bool absorb(struct sl_stage *stage, const struct sl_layer *next, bool training)
{
    (void)training;
    struct batch_norm *norm = stage->state;
    const struct sl_tensor *x = &stage->layer->shape;
    if (norm->shape.pool == 2)
        return false;
    if (!norm->activated && sl_activation_slope(next, &norm->shape.slope)) {
        norm->activated = true;
        return true;
    }
    if (!sl_pool_is_plain(next, x))
        return false;
    norm->shape.pool = 2;
    return true;
}

static int plan_vectors(struct batch_norm *norm, struct sl_planner *planner)
{
    float **const vectors[] = {&norm->mean, &norm->var, &norm->rstd, &norm->scale, &norm->shift};
    int rc = SL_OK;
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
        SL_TRY(sl_planner_buffer(planner, vectors[i], (size_t)norm->shape.xs * sizeof(float), SL_LIFE_PLAN,
                                 "channel vectors"));
out:
    return rc;
}

/* Units of a kernel for the batch that has the most of them: a smaller batch may be cut finer than a full one. */
static int64_t most_units(const struct sl_choice *choice, const struct sl_norm *shape)
{
    int64_t most = 0;
    struct sl_norm p = *shape;
    for (p.n = 1; p.n <= shape->n; p.n++) {
        const int64_t units = sl_choice_most_records(choice, &p);
        most = units > most ? units : most;
    }
    return most;
}

static int choose_training(struct batch_norm *norm, struct sl_planner *planner)
{
    const struct {
        enum sl_op op;
        struct sl_choice *choice;
        const struct sl_norm *shape;
    } wanted[] = {
        {SL_OP_norm_moments, &norm->moments, &norm->shape},   {SL_OP_norm_join, &norm->join, &norm->channels},
        {SL_OP_norm_bwd_reduce, &norm->reduce, &norm->shape}, {SL_OP_norm_bwd_join, &norm->bwd_join, &norm->channels},
        {SL_OP_norm_bwd_apply, &norm->apply, &norm->shape},   {SL_OP_norm_commit, &norm->commit, &norm->channels},
    };
    int rc = SL_OK;
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        SL_TRY(sl_planner_choose(planner, wanted[i].op, wanted[i].shape, wanted[i].choice));
out:
    return rc;
}

static int plan_training(struct sl_stage *stage, struct sl_planner *planner)
{
    struct batch_norm *norm = stage->state;
    const struct sl_norm *p = &norm->shape;
    float **const vectors[] = {&norm->a, &norm->b};
    int rc = SL_OK;
    SL_TRY(choose_training(norm, planner));
    stage->reads_y = stage->y->kept && p->pool == 2; /* less than x, but not worth keeping for that alone */
    if (stage->x[0]->moment_parts == 0)
        SL_TRY(sl_planner_buffer(planner, &norm->records,
                                 (size_t)most_units(&norm->moments, p) * sl_moments_size(p->xs) * sizeof(float),
                                 SL_LIFE_FORWARD, "moments"));
    SL_TRY(sl_planner_buffer(planner, &norm->sums,
                             (size_t)most_units(&norm->reduce, p) * 2 * (size_t)p->xs * sizeof(float), SL_LIFE_BACKWARD,
                             "gradient sums"));
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
        SL_TRY(
            sl_planner_buffer(planner, vectors[i], (size_t)p->xs * sizeof(float), SL_LIFE_BACKWARD, "channel vectors"));
out:
    return rc;
}

static int plan(struct sl_stage *stage, struct sl_planner *planner)
{
    struct batch_norm *norm = stage->state;
    const struct sl_tensor *x = &stage->x[0]->shape;
    int rc = SL_OK;
    norm->shape.n = x->n;
    norm->shape.h = x->h;
    norm->shape.w = x->w;
    norm->shape.c = x->c;
    norm->shape.xs = x->stride;
    norm->shape.element = x->element;
    norm->shape.pool = norm->shape.pool ? norm->shape.pool : 1;
    norm->shape.slope = norm->activated ? norm->shape.slope : 1.0f;
    norm->channels = sl_norm_channels(&norm->shape);
    SL_TRY(sl_planner_choose(planner, SL_OP_norm_scale, &norm->channels, &norm->scaling));
    SL_TRY(sl_planner_choose(planner, SL_OP_norm_fwd, &norm->shape, &norm->fwd));
    SL_TRY(plan_vectors(norm, planner));
    if (planner->training)
        SL_TRY(plan_training(stage, planner));
out:
    return rc;
}

/* scale and shift from mean and variance. */
static int derive(const struct sl_stage *stage, const float *mean, const float *var)
{
    struct batch_norm *norm = stage->state;
    const struct sl_norm_scale args = {
        .mean = mean,
        .var = var,
        .gamma = stage->parameters[0][GAMMA],
        .beta = stage->parameters[0][BETA],
        .epsilon = ((const struct sl_batch_norm_options *)stage->layer->options)->epsilon,
        .rstd = norm->rstd,
        .scale = norm->scale,
        .shift = norm->shift,
    };
    return sl_launch_norm_scale(&norm->scaling, &norm->channels, &args);
}

static int commit(struct sl_stage *stage, const struct sl_pass *pass)
{
    struct batch_norm *norm = stage->state;
    const struct sl_norm_commit args = {
        .mean = norm->mean,
        .var = norm->var,
        .decay = ((const struct sl_batch_norm_options *)stage->layer->options)->decay,
        .now = pass->now,
        .running_mean = stage->parameters[0][RUNNING_MEAN],
        .running_var = stage->parameters[0][RUNNING_VAR],
    };
    return sl_launch_norm_commit(&norm->commit, &norm->channels, &args);
}

/* Of the records of the layer before, or of our own. */
static int batch_moments(struct sl_stage *stage)
{
    struct batch_norm *norm = stage->state;
    const struct sl_value *x = stage->x[0];
    struct sl_norm_join join = {x->moments, x->moment_parts, norm->mean, norm->var};
    int rc = SL_OK;
    if (x->moment_parts == 0) {
        const struct sl_norm_moments args = {x->data, norm->records};
        SL_TRY(sl_launch_norm_moments(&norm->moments, &norm->shape, &args));
        join.moments = norm->records;
        join.parts = sl_choice_records(&norm->moments, &norm->shape);
    }
    SL_TRY(sl_launch_norm_join(&norm->join, &norm->channels, &join));
out:
    return rc;
}

static int prepare(struct sl_stage *stage, const struct sl_pass *pass)
{
    (void)pass;
    return derive(stage, stage->parameters[0][RUNNING_MEAN], stage->parameters[0][RUNNING_VAR]);
}

static void set_batch(struct batch_norm *norm, int32_t count)
{
    norm->shape.n = norm->channels.n = count;
}

static int forward(struct sl_stage *stage, const struct sl_pass *pass)
{
    struct batch_norm *norm = stage->state;
    int rc = SL_OK;
    set_batch(norm, pass->count);
    if (pass->training) {
        SL_TRY(batch_moments(stage));
        SL_TRY(derive(stage, norm->mean, norm->var));
    }
    const struct sl_norm_fwd args = {stage->x[0]->data, norm->scale, norm->shift, stage->y->data};
    SL_TRY(sl_launch_norm_fwd(&norm->fwd, &norm->shape, &args));
out:
    return rc;
}

/* Gradients of gamma and beta, and the factors of dx. */
static int backward_sums(struct sl_stage *stage)
{
    struct batch_norm *norm = stage->state;
    const struct sl_norm_bwd_reduce reduce = {
        .x = stage->x[0]->data,
        .scale = norm->scale,
        .shift = norm->shift,
        .mean = norm->mean,
        .rstd = norm->rstd,
        .dy = stage->y->grad,
        .sums = norm->sums,
        .y = stage->reads_y ? stage->y->data : NULL,
        .gamma = stage->parameters[0][GAMMA],
        .beta = stage->parameters[0][BETA],
    };
    struct sl_norm_bwd_join join = {
        .sums = norm->sums,
        .scale = norm->scale,
        .mean = norm->mean,
        .rstd = norm->rstd,
        .dbeta = stage->gradients[0][BETA],
        .dgamma = stage->gradients[0][GAMMA],
        .a = norm->a,
        .b = norm->b,
    };
    int rc = SL_OK;
    SL_TRY(sl_launch_norm_bwd_reduce(&norm->reduce, &norm->shape, &reduce));
    join.parts = sl_choice_records(&norm->reduce, &norm->shape);
    SL_TRY(sl_launch_norm_bwd_join(&norm->bwd_join, &norm->channels, &join));
out:
    return rc;
}

static int backward(struct sl_stage *stage, const struct sl_pass *pass)
{
    struct batch_norm *norm = stage->state;
    int rc = SL_OK;
    set_batch(norm, pass->count);
    SL_TRY(backward_sums(stage));
    if (!stage->dx[0])
        goto out;
    const struct sl_norm_bwd_apply apply = {stage->x[0]->data, norm->scale, norm->shift, stage->y->grad,
                                            norm->a,           norm->b,     stage->dx[0]};
    SL_TRY(sl_launch_norm_bwd_apply(&norm->apply, &norm->shape, &apply));
out:
    return rc;
}

const struct sl_layer_type sl_layer_batch_norm = {
    .name = "batch_norm",
    .inputs_min = 1,
    .inputs_max = 1,
    .traits = SL_BACKWARD_READS_INPUT | SL_BACKWARD_IN_PLACE,
    .options_size = sizeof(struct sl_batch_norm_options),
    .state_size = sizeof(struct batch_norm),
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .shape = shape,
    .parameters = parameters,
    .absorb = absorb,
    .plan = plan,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .commit = commit,
};
