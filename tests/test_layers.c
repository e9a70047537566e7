/* The networks of layer_cases.h: gradients against finite differences, all kernels against the reference, and the same
 * bits for any thread count, plan size and history.
 *
 * Finite differences: the plan runs on the reference kernels, which sum in double, but values between layers are
 * floats, so the loss carries an error near 1e-7. A central difference of fourth order with step 1/128 turns that into
 * about 1e-5 and has a truncation error far below it. Leaky ReLU and maximum pool have kinks: where the differences of
 * two steps disagree, the loss is not smooth and the element is left out (never because of the gradient itself); most
 * elements of a case must remain. */
#include "tests/layer_cases.h"

#include <math.h>
#include <stdio.h>

#include "kernels/element.h"
#include "runtime/plan/plan_internal.h"

static void every_row_has_a_case(void **state)
{
    (void)state;
    for (size_t i = 0; sl_layer_type_at(i); i++) {
        bool found = false;
        for (size_t k = 0; k < CASES && !found; k++) {
            struct sl_graph *graph = strcmp(cases[k].row, sl_layer_type_at(i)->name) ? NULL : build(&cases[k]);
            for (int32_t layer = 1; graph && layer < graph->layer_count; layer++)
                found = found || graph->layers[layer].type == sl_layer_type_at(i);
            sl_graph_free(graph);
        }
        if (!found)
            fail_msg("no case for the layer type \"%s\"", sl_layer_type_at(i)->name);
    }
}

/* The loss with one parameter moved. */
static double loss_at(struct net *net, const struct batch *batch, float *at, float value)
{
    const float before = *at;
    *at = value;
    const double loss = forward_loss(net, batch);
    *at = before;
    return loss;
}

/* The slope of the loss; false: it has a kink within two steps, on one side (the slope depends on the step) or at the
 * element itself (the bend does not shrink with the step). */
static bool difference(struct net *net, const struct batch *batch, float *at, double *slope)
{
    const float h = 1.0f / 128.0f, w = *at; /* a multiple of 2^-16: w + 4h is exact */
    const double here = forward_loss(net, batch);
    double central[3], bend[3];
    for (int k = 0; k < 3; k++) {
        const float step = h * (float)(1 << k);
        const double above = loss_at(net, batch, at, w + step), below = loss_at(net, batch, at, w - step);
        central[k] = (above - below) / (2.0 * (double)step);
        bend[k] = (above + below - 2.0 * here) / (double)step;
    }
    const double fine = (4.0 * central[0] - central[1]) / 3.0, coarse = (4.0 * central[1] - central[2]) / 3.0;
    const double tolerance = 1e-4 + 1e-3 * fabs(fine);
    *slope = fine;
    return fabs(fine - coarse) <= tolerance && fabs(bend[1] - 2.0 * bend[0]) <= tolerance;
}

/* A few elements of each parameter. */
static void compare_gradients(const struct layer_case *c, struct net *net, const struct batch *batch)
{
    enum { ELEMENTS = 10 };
    int smooth = 0, all = 0;
    gradients_of(net, batch);
    for (int32_t layer = 0; layer < net->graph->layer_count; layer++)
        for (int32_t k = 0; k < net->graph->layers[layer].parameter_count; k++) {
            const struct sl_parameter *p = &net->graph->layers[layer].parameters[k];
            const int64_t n = sl_parameter_floats(p), stride = n / ELEMENTS + 1;
            for (int64_t i = 0; p->role != SL_ROLE_STATE && i < n; i += stride) {
                const double gradient = sl_weights_gradient(net->weights, layer, k)[i];
                double slope;
                all++;
                if (!difference(net, batch, &sl_weights_at(net->weights, layer, k)[i], &slope))
                    continue;
                smooth++;
                if (!(fabs(slope - gradient) <= 1e-4 + 1e-3 * fabs(slope)))
                    fail_msg("%s, %s: gradient of %s.%s[%lld] is %.7g, by differences %.7g", c->row, c->name,
                             net->graph->layers[layer].name, p->name, (long long)i, gradient, slope);
            }
        }
    if (smooth * 2 < all)
        fail_msg("%s, %s: only %d of %d elements lie where the loss is smooth", c->row, c->name, smooth, all);
}

/* Away from their initial values, where gamma is 1 and beta and biases are 0; to multiples of 2^-16. */
static void stir(struct sl_weights *weights)
{
    for (int64_t i = 0; i < weights->trained; i++) {
        const float noise = 2.0f * sl_uniform(sl_philox4x32(3, 2, (uint64_t)i).word[0]) - 1.0f;
        weights->values[i] = roundf((weights->values[i] + 0.2f * noise) * 65536.0f) / 65536.0f;
    }
}

static void gradients_equal_differences(void **state)
{
    (void)state;
    for (size_t k = 0; k < CASES; k++) {
        struct net net;
        net_open(&net, build(&cases[k]), 4, SL_CPU, 1);
        stir(net.weights);
        struct batch batch = make_batch(net.graph, 4, 2);
        compare_gradients(&cases[k], &net, &batch);
        free_batch(&batch);
        net_close(&net);
    }
}

static void kernels_agree_with_reference(void **state)
{
    (void)state;
    for (size_t k = 0; k < CASES; k++) {
        struct net fast, ref;
        net_open(&fast, build(&cases[k]), 5, ~0u, 2);
        net_open(&ref, build(&cases[k]), 5, SL_CPU, 1);
        stir(fast.weights);
        stir(ref.weights);
        struct batch batch = make_batch(ref.graph, 5, 2);
        const double fast_loss = gradients_of(&fast, &batch), loss = gradients_of(&ref, &batch);
        if (!(fabs(fast_loss - loss) <= 1e-5 * fabs(loss)))
            fail_msg("%s, %s: loss %.9g, the reference's %.9g", cases[k].row, cases[k].name, fast_loss, loss);
        const double distance = gradient_distance(&fast, &ref);
        if (!(distance <= 1e-4))
            fail_msg("%s, %s: gradients are off by %.3g of their norm", cases[k].row, cases[k].name, distance);
        free_batch(&batch);
        net_close(&fast);
        net_close(&ref);
    }
}

static void assert_same_bits(const struct layer_case *c, const char *what, const float *a, const float *b, int64_t n)
{
    if (n && memcmp(a, b, (size_t)n * sizeof *a))
        fail_msg("%s, %s: %s differ", c->row, c->name, what);
}

static void assert_same_weights(const struct layer_case *c, const struct net *a, const struct net *b)
{
    assert_same_bits(c, "weights", a->weights->values, b->weights->values, a->weights->trained);
    assert_same_bits(c, "running statistics", a->weights->statistics, b->weights->statistics, a->weights->state);
}

static void any_thread_count_gives_the_same_bits(void **state)
{
    (void)state;
    static const int threads[3] = {1, 2, 5};
    for (size_t k = 0; k < CASES; k++) {
        struct net nets[3];
        for (int i = 0; i < 3; i++) {
            net_open(&nets[i], build(&cases[k]), 9, ~0u, threads[i]);
            for (uint64_t iteration = 0; iteration < 2; iteration++) {
                struct batch batch = make_batch(nets[i].graph, 9, iteration);
                train_on(&nets[i], &batch, iteration);
                free_batch(&batch);
            }
            assert_same_weights(&cases[k], &nets[i], &nets[0]);
        }
        for (int i = 0; i < 3; i++)
            net_close(&nets[i]);
    }
}

/* Images that are not numbers leave their mark in every buffer. */
static void poison(struct net *net, int32_t room)
{
    struct batch batch = make_batch(net->graph, room, 1);
    const size_t floats = (size_t)room * sl_tensor_elements(&net->graph->layers[0].shape);
    for (size_t i = 0; i < floats; i++)
        batch.images[i] = NAN;
    gradients_of(net, &batch);
    free_batch(&batch);
}

/* A plan of `room` images gives for a batch of `count` the bits of a plan of `count`, whatever it ran before. */
static void compare_short_batch(const struct layer_case *c, int32_t count, int32_t room, uint32_t isa)
{
    struct net exact, roomy;
    net_open(&exact, build(c), count, isa, 1);
    net_open(&roomy, build(c), room, isa, 2);
    struct batch batch = make_batch(exact.graph, count, 2);
    poison(&roomy, room);
    const double a = gradients_of(&roomy, &batch), b = gradients_of(&exact, &batch);
    if (!isfinite(b) || a != b)
        fail_msg("%s, %s: loss %.17g, in the exact plan %.17g", c->row, c->name, a, b);
    assert_same_bits(c, "gradients of a short batch", roomy.weights->gradients, exact.weights->gradients,
                     exact.weights->trained);
    free_batch(&batch);
    net_close(&roomy);
    net_close(&exact);
}

static void short_batch_equals_its_own_plan(void **state)
{
    (void)state;
    for (size_t k = 0; k < CASES; k++) {
        compare_short_batch(&cases[k], 3, 7, ~0u);
        compare_short_batch(&cases[k], 3, 7, SL_CPU);
    }
}

/* Kernels cut a smaller batch finer: it may leave more records of sums than the full one. */
static void short_batch_may_have_more_units(void **state)
{
    (void)state;
    static const struct layer_case convolution = {"batch_norm", "many images", norm_fused_beside, 10, 10, 1};
    static const struct layer_case norm = {"batch_norm", "129 rows", norm_of_sum_beside, 3, 3, 3};
    compare_short_batch(&convolution, 127, 130, ~0u);
    for (int32_t count = 36; count < 43; count++)
        compare_short_batch(&norm, count, 43, ~0u);
}

static void records_of_any_batch_have_room(void **state)
{
    (void)state;
    static const struct layer_case c = {"conv2d", "many images", norm_fused, 10, 10, 1};
    struct net net;
    net_open(&net, build(&c), 130, ~0u, 1);
    const struct sl_value *y = net.plan->stages[0].y;
    const int64_t room = y->moment_parts;
    for (int32_t count = 1; count <= 130; count++) {
        struct batch batch = make_batch(net.graph, count, 1);
        forward_loss(&net, &batch);
        free_batch(&batch);
        assert_in_range(y->moment_parts, 1, room);
    }
    net_close(&net);
}

static void assert_clear_lanes(const struct layer_case *c, const struct sl_value *value, int32_t count)
{
    const struct sl_tensor *t = &value->shape;
    for (int64_t pixel = 0; pixel < (int64_t)count * t->h * t->w; pixel++)
        for (int32_t lane = t->c; lane < t->stride; lane++)
            if (sl_get(t->element, value->data, pixel * t->stride + lane) != 0.0f)
                fail_msg("%s, %s: lane %d past %d channels is not zero", c->row, c->name, lane, t->c);
}

/* Checked after the forward pass, in the values that backward still reads. */
static void lanes_past_the_channels_are_zero(void **state)
{
    (void)state;
    for (size_t k = 0; k < CASES; k++) {
        struct net net;
        net_open(&net, build(&cases[k]), 5, ~0u, 1);
        struct batch batch = make_batch(net.graph, 3, 2);
        poison(&net, 5);
        forward_loss(&net, &batch);
        for (int32_t s = 0; s < net.plan->stage_count; s++) {
            const struct sl_stage *stage = &net.plan->stages[s];
            for (int32_t i = 0; i < stage->input_count; i++)
                if (stage->layer->type->traits & SL_BACKWARD_READS_INPUT)
                    assert_clear_lanes(&cases[k], stage->x[i], 3);
        }
        free_batch(&batch);
        net_close(&net);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_has_a_case),
        cmocka_unit_test(gradients_equal_differences),
        cmocka_unit_test(kernels_agree_with_reference),
        cmocka_unit_test(any_thread_count_gives_the_same_bits),
        cmocka_unit_test(short_batch_equals_its_own_plan),
        cmocka_unit_test(short_batch_may_have_more_units),
        cmocka_unit_test(records_of_any_batch_have_room),
        cmocka_unit_test(lanes_past_the_channels_are_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
