/* The updaters against their formulas in double, the hooks, failures that must change nothing, learning itself, and
 * schedules. */
#include "tests/net.h"

#include <math.h>

#include "kernels/elementwise/flat.h"
#include "runtime/train/schedule.h"

static int32_t block(struct sl_graph *g, int32_t x, const char *const names[4], int32_t filters)
{
    x = sl_graph_add(g, names[0], x, SL_CONV2D(.filters = filters));
    x = sl_graph_add(g, names[1], x, SL_BATCH_NORM());
    x = sl_graph_add(g, names[2], x, SL_LEAKY_RELU());
    return sl_graph_add(g, names[3], x, SL_MAX_POOL());
}

static struct sl_graph *small_graph(void)
{
    static const char *const names[2][4] = {{"conv0", "norm0", "act0", "pool0"}, {"conv1", "norm1", "act1", "pool1"}};
    struct sl_graph *graph;
    MUST(sl_graph_new("small", &graph));
    int32_t x = sl_graph_input(graph, 8, 8, 3);
    x = block(graph, x, names[0], 8);
    x = block(graph, x, names[1], 16);
    x = sl_graph_add(graph, "classes", x, SL_CONV2D(.filters = 4, .kernel = {1, 1}, .bias = true));
    x = sl_graph_add(graph, "gap", x, SL_AVERAGE_POOL(.global = true));
    sl_graph_add(graph, "loss", x, SL_SOFTMAX_NLL());
    return graph;
}

/* ---- updaters ---- */

struct reference {
    double w, m, v, h;
};

/* One element, one step, as runtime/train/updater.h and kernels/optimizer/optimizer.h say. */
static double reference_step(struct reference *r, const struct sl_updater_options *o, double l2, double rate, int k,
                             double g)
{
    g += l2 * r->w;
    if (o->kind == SL_UPDATER_SGD) {
        r->m = o->momentum * r->m + g;
        return rate * r->m;
    }
    const double a = rate * sqrt(1.0 - pow(o->beta2, k + 1)) / (1.0 - pow(o->beta1, k + 1));
    r->m = o->beta1 * r->m + (1.0 - o->beta1) * g;
    r->v = o->beta2 * r->v + (1.0 - o->beta2) * g * g;
    r->h = fmax(r->h, r->v);
    return a * r->m / (sqrt(o->kind == SL_UPDATER_AMSGRAD ? r->h : r->v) + o->epsilon);
}

/* Gradients that shrink, so that AMSGrad's maximum is not the last value. */
static void set_gradients(struct sl_weights *weights, int k)
{
    fill_uniform(weights->gradients, (size_t)weights->trained, (uint64_t)k);
    for (int64_t i = 0; i < weights->trained; i++)
        weights->gradients[i] *= k < 2 ? 1.0f : 0.01f;
}

/* Floats round the betas: 1 - 0.999f is off by 1.3e-5. */
static void updater_follows_formula(enum sl_updater_kind kind)
{
    enum { STEPS = 6 };
    struct net net;
    net_open(&net, small_graph(), 1, ~0u, 2);
    sl_updater_close(net.updater);
    struct sl_updater_options options = sl_updater_defaults();
    options.kind = kind;
    options.l2 = 0.05;
    MUST(sl_updater_open(net.weights, &options, &net.updater));
    struct sl_weights *w = net.weights;
    struct reference *reference = calloc((size_t)w->trained, sizeof *reference);
    assert_non_null(reference);
    for (int64_t i = 0; i < w->trained; i++)
        reference[i].w = w->values[i];
    for (int k = 0; k < STEPS; k++) {
        set_gradients(w, k);
        const struct sl_now now = {.rate = sl_updater_rate(&options, 1e-2, (uint64_t)k)};
        MUST(sl_updater_step(net.updater, &now, NULL));
        for (int64_t i = 0; i < w->trained; i++) {
            struct reference *r = &reference[i];
            const double u = reference_step(r, &options, i < w->decayed ? options.l2 : 0.0, 1e-2, k, w->gradients[i]);
            r->w -= u;
            if (!(fabs(w->values[i] - r->w) <= 1e-4 * fabs(u) + 1e-6))
                fail_msg("%s, step %d, element %lld: %.9g, by the formula %.9g", sl_updater_name(kind), k, (long long)i,
                         w->values[i], r->w);
        }
    }
    free(reference);
    net_close(&net);
}

static void updaters_follow_their_formulas(void **state)
{
    (void)state;
    updater_follows_formula(SL_UPDATER_AMSGRAD);
    updater_follows_formula(SL_UPDATER_ADAM);
    updater_follows_formula(SL_UPDATER_SGD);
    assert_int_equal(sl_updater_find("adam"), SL_UPDATER_ADAM);
    assert_int_equal(sl_updater_find("Adam"), -1);
}

static void only_weights_decay(void **state)
{
    (void)state;
    struct net net;
    net_open(&net, small_graph(), 1, ~0u, 1);
    for (int32_t i = 0; i < net.graph->layer_count; i++)
        for (int32_t k = 0; k < net.graph->layers[i].parameter_count; k++) {
            const struct sl_parameter *p = &net.graph->layers[i].parameters[k];
            const int64_t at = sl_weights_gradient(net.weights, i, k) - net.weights->gradients;
            if (p->role == SL_ROLE_STATE)
                assert_null(sl_weights_gradient(net.weights, i, k));
            else
                assert_int_equal(at < net.weights->decayed, !strcmp(p->name, "weight"));
        }
    net_close(&net);
}

static void update_handed_out_equals_step_in_place(void **state)
{
    (void)state;
    struct net here, out;
    net_open(&here, small_graph(), 1, ~0u, 2);
    net_open(&out, small_graph(), 1, ~0u, 2);
    const int64_t n = here.weights->trained;
    float *update = malloc((size_t)n * sizeof *update), *before = malloc((size_t)n * sizeof *before);
    assert_true(update && before);
    for (int k = 0; k < 3; k++) {
        set_gradients(here.weights, k);
        set_gradients(out.weights, k);
        memcpy(before, out.weights->values, (size_t)n * sizeof *before);
        const struct sl_now now = {.rate = sl_updater_rate(&here.updater->options, 8e-3, (uint64_t)k)};
        MUST(sl_updater_step(here.updater, &now, NULL));
        MUST(sl_updater_step(out.updater, &now, update));
        assert_memory_equal(before, out.weights->values, (size_t)n * sizeof *before);
        MUST(sl_updater_subtract(out.updater, &now, update));
        assert_memory_equal(here.weights->values, out.weights->values, (size_t)n * sizeof *before);
        for (int32_t slot = 0; slot < here.updater->slots; slot++)
            assert_memory_equal(here.updater->state[slot], out.updater->state[slot], (size_t)n * sizeof *before);
    }
    free(update);
    free(before);
    net_close(&here);
    net_close(&out);
}

static int opened;

static bool need_state(const void *shape, struct sl_need *need)
{
    need->state = 1;
    return sl_flat_need(shape, need);
}

static int open_state(const void *shape, const struct sl_device *device, void *state)
{
    (void)shape, (void)device, (void)state;
    opened++;
    return SL_OK;
}

/* One row for the weights that decay and one for the rest: no step makes a row ready again. */
static void a_step_prepares_no_row_twice(void **state)
{
    (void)state;
    struct net net;
    struct sl_updater *updater;
    struct sl_kernel counting = sl_amsgrad_step_ref;
    counting.need = need_state;
    counting.open = open_state;
    const struct sl_kernel_row rows[] = {
        {SL_OP_amsgrad_step, "counting", "counting", SL_CPU, &counting},
        {SL_OP_subtract, "ref", "ref", SL_CPU, &sl_subtract_ref},
        {SL_OP_scale, "ref", "ref", SL_CPU, &sl_scale_ref},
    };
    const struct sl_updater_options options = sl_updater_defaults();
    const struct sl_now now = {.rate = 1e-3f};
    net_open(&net, small_graph(), 1, ~0u, 1);
    net.device.rows = rows;
    net.device.row_count = sizeof rows / sizeof *rows;
    opened = 0;
    MUST(sl_updater_open(net.weights, &options, &updater));
    for (int k = 0; k < 3; k++) {
        set_gradients(net.weights, k);
        MUST(sl_updater_step(updater, &now, NULL));
    }
    assert_int_equal(opened, 2);
    sl_updater_close(updater);
    net_close(&net);
}

/* ---- hooks and failures ---- */

enum { ROOM = 4096 };

struct record {
    struct net *net;
    float *update;
    int calls, gradient_at, agree_at, update_at;
    float gradient_value, update_value; /* NaN: leave */
    int status;
    bool last;
    uint8_t seen[ROOM]; /* of each parameter, by the gradient hook */
};

static void fill_span(struct sl_span span, float value)
{
    for (size_t i = 0; i < span.n && !isnan(value); i++)
        span.at[i] = value;
}

/* Marks the part; none is marked twice. */
static int on_gradient(void *self, struct sl_span part, int32_t samples, bool last)
{
    struct record *r = self;
    const size_t at = (size_t)(part.at - r->net->weights->gradients);
    assert_false(r->last);
    assert_int_equal(samples, 4);
    assert_true(part.n > 0 && at + part.n <= (size_t)r->net->weights->trained);
    for (size_t i = at; i < at + part.n; i++)
        assert_int_equal(r->seen[i]++, 0);
    fill_span(part, r->gradient_value);
    r->last = last;
    r->gradient_at = ++r->calls;
    return SL_OK;
}

static int on_agree(void *self, struct sl_vote *vote)
{
    struct record *r = self;
    r->agree_at = ++r->calls;
    assert_int_equal(vote->samples, 4);
    assert_int_equal(vote->bad | vote->stop | (uint32_t)vote->status, 0);
    assert_true(vote->loss_sum > 0);
    return SL_OK;
}

static int on_update(void *self, struct sl_span update, uint64_t step)
{
    struct record *r = self;
    r->update_at = ++r->calls;
    assert_ptr_equal(update.at, r->update);
    assert_int_equal(update.n, r->net->weights->trained);
    assert_int_equal(step, 0);
    fill_span(update, r->update_value);
    return r->status;
}

/* One step on random images with both hooks. */
static int hooked_step(struct record *r, struct sl_train_result *result)
{
    const struct sl_train_hooks hooks = {on_gradient, on_agree, on_update, r};
    struct batch batch = make_batch(r->net->graph, 4, 3);
    const struct sl_train_input step = {
        .batch = {.images = batch.images, .labels = batch.labels, .count = 4, .seed = 1}, .rate = 1e-2};
    const int rc = sl_train(r->net->plan, r->net->updater, &step, &hooks, r->update, result);
    free_batch(&batch);
    return rc;
}

static void hooks_come_in_order_and_may_replace(void **state)
{
    (void)state;
    struct net net;
    struct sl_train_result result;
    net_open(&net, small_graph(), 4, ~0u, 1);
    const int64_t n = net.weights->trained;
    float *update = malloc((size_t)n * sizeof *update), *before = malloc((size_t)n * sizeof *before);
    assert_true(update && before);
    memcpy(before, net.weights->values, (size_t)n * sizeof *before);
    struct record record = {.net = &net, .update = update, .gradient_value = 0.5f, .update_value = 0.25f};
    MUST(hooked_step(&record, &result));
    assert_true(record.last && record.gradient_at > 1);
    assert_int_equal(record.agree_at, record.gradient_at + 1);
    assert_int_equal(record.update_at, record.agree_at + 1);
    for (int64_t i = 0; i < n; i++)
        assert_int_equal(record.seen[i], 1);
    for (int64_t i = 0; i < n; i++) {
        assert_true(net.weights->values[i] == before[i] - 0.25f);
        const double g = 0.5 + (i < net.weights->decayed ? 1e-4 * before[i] : 0.0);
        assert_float_equal(net.updater->state[0][i], 0.1 * g, 1e-6); /* m saw the replaced gradient */
    }
    assert_true(fabs(result.score - result.loss) > 0.0 && result.score > result.loss);
    record =
        (struct record){.net = &net, .update = update, .gradient_value = NAN, .update_value = NAN, .status = SL_IO};
    memcpy(before, net.weights->values, (size_t)n * sizeof *before);
    assert_int_equal(hooked_step(&record, &result), SL_IO);
    assert_memory_equal(before, net.weights->values, (size_t)n * sizeof *before);
    free(update);
    free(before);
    net_close(&net);
}

/* Everything a step may change. */
static float *snapshot(const struct net *net, size_t *bytes)
{
    const size_t n = (size_t)net->weights->trained, s = (size_t)net->weights->state;
    const size_t slots = (size_t)net->updater->slots;
    float *all = malloc((n * (1 + slots) + s) * sizeof *all);
    assert_non_null(all);
    memcpy(all, net->weights->values, n * sizeof *all);
    for (size_t i = 0; i < slots; i++)
        memcpy(all + (1 + i) * n, net->updater->state[i], n * sizeof *all);
    memcpy(all + (1 + slots) * n, net->weights->statistics, s * sizeof *all);
    *bytes = (n * (1 + slots) + s) * sizeof *all;
    return all;
}

static int spoil_gradient(void *self, struct sl_span part, int32_t samples, bool last)
{
    (void)self, (void)samples;
    if (last)
        part.at[part.n - 1] = INFINITY;
    return SL_OK;
}

/* A step that must fail as SL_NUMERICS and change nothing. */
static void must_not_count(struct net *net, const struct batch *batch, const struct sl_train_hooks *hooks)
{
    size_t bytes;
    float *before = snapshot(net, &bytes);
    const struct sl_train_input step = {
        .batch = {.images = batch->images, .labels = batch->labels, .count = batch->count, .seed = 1, .iteration = 1},
        .rate = 1e-2,
    };
    struct sl_train_result result;
    MUST_FAIL(sl_train(net->plan, net->updater, &step, hooks, NULL, &result), SL_NUMERICS, "not finite at iteration 1");
    float *after = snapshot(net, &bytes);
    assert_memory_equal(before, after, bytes);
    free(before);
    free(after);
}

static void numbers_that_are_none_change_nothing(void **state)
{
    (void)state;
    struct net net;
    net_open(&net, small_graph(), 4, ~0u, 1);
    struct batch batch = make_batch(net.graph, 4, 3);
    train_on(&net, &batch, 0);
    size_t last = (size_t)net.weights->trained - 1;
    const struct sl_train_hooks spoil = {.gradient = spoil_gradient};
    must_not_count(&net, &batch, &spoil);
    net.weights->values[5] = INFINITY;
    must_not_count(&net, &batch, NULL);
    net.weights->values[5] = 0.1f;
    net.weights->values[last] = NAN;
    must_not_count(&net, &batch, NULL);
    net.weights->values[last] = 0.0f;
    batch.images[17] = NAN;
    must_not_count(&net, &batch, NULL);
    batch.images[17] = 0.0f;
    train_on(&net, &batch, 1); /* and the next good batch counts */
    assert_true(isfinite(forward_loss(&net, &batch)));
    free_batch(&batch);
    net_close(&net);
}

/* Pixels are finite, and so would be the loss: a channel of infinite variance would be normalised to 0. */
static void variances_that_overflow_change_nothing(void **state)
{
    (void)state;
    struct net net;
    net_open(&net, small_graph(), 4, ~0u, 1);
    struct batch batch = make_batch(net.graph, 4, 3);
    for (size_t i = 0; i < 4 * 8 * 8 * 3; i++)
        batch.images[i] *= 1e25f;
    must_not_count(&net, &batch, NULL);
    free_batch(&batch);
    net_close(&net);
}

static void running_statistics_follow_steps(void **state)
{
    (void)state;
    struct net net;
    net_open(&net, small_graph(), 4, ~0u, 1);
    struct batch batch = make_batch(net.graph, 4, 3);
    const int32_t norm = sl_graph_find(net.graph, "norm0");
    const float *mean = sl_weights_at(net.weights, norm, 2), *var = sl_weights_at(net.weights, norm, 3);
    gradients_of(&net, &batch);
    assert_true(mean[0] == 0.0f && var[0] == 1.0f); /* a pass alone is no step */
    train_on(&net, &batch, 0);
    const float first = mean[0];
    assert_true(first != 0.0f && var[0] != 1.0f);
    MUST(sl_plan_commit(net.plan)); /* the same moments again: 0.1*m becomes 0.9*0.1*m + 0.1*m */
    assert_float_equal(mean[0], 1.9f * first, 1e-6f);
    free_batch(&batch);
    net_close(&net);
}

static void one_batch_is_learned_by_heart(void **state)
{
    (void)state;
    struct net net;
    struct sl_train_result result = {0};
    net_open(&net, small_graph(), 8, ~0u, 2);
    struct batch batch = make_batch(net.graph, 8, 1);
    for (uint64_t i = 0; i < 60; i++) {
        const struct sl_train_input step = {
            .batch = {.images = batch.images, .labels = batch.labels, .count = 8, .seed = 1, .iteration = i},
            .rate = 2e-2,
        };
        MUST(sl_train(net.plan, net.updater, &step, NULL, NULL, &result));
    }
    if (!(result.loss < 0.05))
        fail_msg("after 60 steps the loss is %g", result.loss);
    free_batch(&batch);
    net_close(&net);
}

/* ---- schedules ---- */

static void schedules(void **state)
{
    (void)state;
    struct sl_schedule s;
    static const double rates[12] = {8e-3, 6e-3, 6e-3, 3e-3, 3e-3, 1e-3, 1e-3, 5e-4, 5e-4, 5e-4, 5e-4, 5e-4};
    MUST(sl_schedule_parse(SL_SCHEDULE_DEFAULT, &s));
    for (uint64_t epoch = 0; epoch < 12; epoch++)
        assert_true(sl_schedule_rate(&s, epoch) == rates[epoch]);
    assert_true(sl_schedule_rate(&s, UINT64_MAX) == 5e-4);
    MUST(sl_schedule_parse("0.125", &s));
    assert_true(sl_schedule_rate(&s, 0) == 0.125 && sl_schedule_rate(&s, 1000) == 0.125);
    static const char *const wrong[][2] = {
        {"", "expected a rate"},
        {"x", "expected a rate"},
        {"0.1x", "expected a rate"},
        {"0.1,", "expected a rate"},
        {"0:", "expected a rate"},
        {"0:1,", "expected EPOCH:RATE"},
        {"0:1,2", "expected EPOCH:RATE"},
        {":1", "expected EPOCH:RATE"},
        {"1:0.1", "first epoch must be 0"},
        {"0:1,0:2", "ascend"},
        {"0:1,3:1,2:1", "ascend"},
        {"0.1,0.2", "ascend"},
        {"-1:0.1", "ascend"},
        {"0:0", "above 0"},
        {"0:-1", "above 0"},
        {"nan", "above 0"},
        {"inf", "above 0"},
        {"0:1e400", "above 0"},
        {"0:1,99999999999999999999:1", "expected EPOCH:RATE"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        MUST_FAIL(sl_schedule_parse(wrong[i][0], &s), SL_USAGE, wrong[i][1]);
    char text[64 * 8] = "0:1";
    for (int i = 1; i <= SL_SCHEDULE_MAX; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), ",%d:1", i);
    MUST_FAIL(sl_schedule_parse(text, &s), SL_USAGE, "more than 64");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(updaters_follow_their_formulas),
        cmocka_unit_test(only_weights_decay),
        cmocka_unit_test(update_handed_out_equals_step_in_place),
        cmocka_unit_test(hooks_come_in_order_and_may_replace),
        cmocka_unit_test(a_step_prepares_no_row_twice),
        cmocka_unit_test(variances_that_overflow_change_nothing),
        cmocka_unit_test(numbers_that_are_none_change_nothing),
        cmocka_unit_test(running_statistics_follow_steps),
        cmocka_unit_test(one_batch_is_learned_by_heart),
        cmocka_unit_test(schedules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
