/* dropout (Srivastava et al. 2014), inverted: kept values are scaled up in training, inference does nothing. The mask
 * is a draw of (seed, iteration, layer), made again on the way back. */
#include "kernels/elementwise/elementwise.h"

#include "runtime/graph/layer_type.h"
#include "runtime/base/random.h"

_Static_assert((int)SL_DROPOUT_STREAMS >= (int)SL_MAX_LAYERS, "every layer has a stream of its own");

static const struct sl_option options[] = {
    {"rate", SL_OPTION_REAL, offsetof(struct sl_dropout_options, rate), 0, 0.99, 0.5},
};

struct dropout {
    struct sl_choice choice;
};

static int shape(const void *of, const struct sl_tensor *in, int32_t count, struct sl_tensor *out)
{
    (void)of, (void)count;
    *out = *in;
    return SL_OK;
}

static struct sl_dropout_shape flat(const struct sl_stage *stage, int32_t count, bool training)
{
    const struct sl_dropout_options *o = stage->layer->options;
    struct sl_tensor t = stage->y->shape;
    t.n = count;
    return (struct sl_dropout_shape){(int64_t)sl_tensor_elements(&t), training ? (float)o->rate : 0.0f, t.element};
}

static int plan(struct sl_stage *stage, struct sl_planner *planner)
{
    struct dropout *dropout = stage->state;
    const struct sl_dropout_shape p = flat(stage, stage->y->shape.n, planner->training);
    return sl_planner_choose(planner, SL_OP_dropout, &p, &dropout->choice);
}

static int run(struct sl_stage *stage, const struct sl_pass *pass, const void *x, void *y)
{
    struct dropout *dropout = stage->state;
    const struct sl_dropout_shape p = flat(stage, pass->count, pass->training);
    const struct sl_dropout args = {x, y, pass->now, sl_stream(SL_RANDOM_DROPOUT, (uint64_t)stage->number)};
    return sl_launch_dropout(&dropout->choice, &p, &args);
}

static int forward(struct sl_stage *stage, const struct sl_pass *pass)
{
    return run(stage, pass, stage->x[0]->data, stage->y->data);
}

static int backward(struct sl_stage *stage, const struct sl_pass *pass)
{
    return stage->dx[0] ? run(stage, pass, stage->y->grad, stage->dx[0]) : SL_OK;
}

const struct sl_layer_type sl_layer_dropout = {
    .name = "dropout",
    .inputs_min = 1,
    .inputs_max = 1,
    .options_size = sizeof(struct sl_dropout_options),
    .state_size = sizeof(struct dropout),
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .shape = shape,
    .plan = plan,
    .forward = forward,
    .backward = backward,
};
