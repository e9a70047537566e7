/* Every layer type in small networks: gradients against finite differences, all kernels against the reference, and the
 * same bits for any thread count, plan size and history.
 *
 * Finite differences: the plan runs on the reference kernels, which sum in double, but values between layers are
 * floats, so the loss carries an error near 1e-7. A central difference of fourth order with step 1/128 turns that into
 * about 1e-5 and has a truncation error far below it. Leaky ReLU and maximum pool have kinks: where the differences of
 * two steps disagree, the loss is not smooth and the element is left out (never because of the gradient itself); most
 * elements of a case must remain. */
#include "tests/net.h"

#include <math.h>
#include <stdio.h>

#include "runtime/plan_build.h"

typedef int32_t body_fn(struct sl_graph *g, int32_t x);

struct layer_case {
    const char *row; /* of layers.def */
    const char *name;
    body_fn *body;
    int32_t height, width, channels;
};

static int32_t conv(struct sl_graph *g, const char *name, int32_t x, int32_t filters)
{
    return sl_graph_add(g, name, x, SL_CONV2D(.filters = filters, .bias = true));
}

static int32_t conv_strided(struct sl_graph *g, int32_t x)
{
    x = sl_graph_add(g, "a", x, SL_CONV2D(.filters = 5, .kernel = {3, 2}, .bias = true));
    return sl_graph_add(g, "b", x,
                        SL_CONV2D(.filters = 17, .kernel = {3, 2}, .stride = {2, 3},
                                  .padding = {SL_PADDING_EXPLICIT, 1, 0, 2, 1}));
}

static int32_t conv_two_consumers(struct sl_graph *g, int32_t x)
{
    x = conv(g, "a", x, 4);
    const int32_t left = sl_graph_add(g, "left", x, SL_CONV2D(.filters = 6, .kernel = {1, 1}));
    const int32_t right = sl_graph_add(g, "right", x, SL_CONV2D(.filters = 6, .kernel = {2, 2}));
    return sl_graph_add2(g, "sum", left, right, SL_ADD());
}

static int32_t norm_of_sum(struct sl_graph *g, int32_t x)
{
    x = conv(g, "a", x, 5);
    x = sl_graph_add2(g, "twice", x, x, SL_ADD());
    return sl_graph_add(g, "norm", x, SL_BATCH_NORM(.epsilon = 1e-2));
}

static int32_t norm_fused(struct sl_graph *g, int32_t x)
{
    x = sl_graph_add(g, "conv", x, SL_CONV2D(.filters = 5));
    x = sl_graph_add(g, "norm", x, SL_BATCH_NORM(0));
    x = sl_graph_add(g, "act", x, SL_LEAKY_RELU(0));
    return sl_graph_add(g, "pool", x, SL_MAX_POOL(.kernel = {2, 2}));
}

static int32_t norm_of_image(struct sl_graph *g, int32_t x)
{
    x = sl_graph_add(g, "norm", x, SL_BATCH_NORM(0));
    return conv(g, "conv", x, 4);
}

static int32_t norm_of_dense(struct sl_graph *g, int32_t x)
{
    x = sl_graph_add(g, "dense", x, SL_DENSE(.units = 6));
    x = sl_graph_add(g, "norm", x, SL_BATCH_NORM(.epsilon = 1e-1));
    return sl_graph_add(g, "act", x, SL_LEAKY_RELU(.slope = 0.3));
}

static int32_t leaky_on_branch(struct sl_graph *g, int32_t x)
{
    x = conv(g, "a", x, 5);
    const int32_t y = sl_graph_add(g, "leaky", x, SL_LEAKY_RELU(.slope = 0.2));
    return sl_graph_add2(g, "sum", x, y, SL_ADD());
}

static int32_t relu_on_branch(struct sl_graph *g, int32_t x)
{
    x = conv(g, "a", x, 5);
    const int32_t y = sl_graph_add(g, "relu", x, SL_RELU());
    return sl_graph_add2(g, "sum", y, x, SL_ADD());
}

static int32_t relu_of_image(struct sl_graph *g, int32_t x)
{
    return conv(g, "a", sl_graph_add(g, "relu", x, SL_RELU()), 4);
}

static int32_t max_pool_overlapping(struct sl_graph *g, int32_t x)
{
    x = conv(g, "a", x, 5);
    return sl_graph_add(g, "pool", x, SL_MAX_POOL(.kernel = {3, 3}, .stride = {2, 1}));
}

static int32_t max_pool_padded(struct sl_graph *g, int32_t x)
{
    x = conv(g, "a", x, 5);
    return sl_graph_add(g, "pool", x, SL_MAX_POOL(.kernel = {3, 2}, .padding = {SL_PADDING_EXPLICIT, 2, 1, 0, 1}));
}

static int32_t average_pool_windows(struct sl_graph *g, int32_t x)
{
    x = conv(g, "a", x, 5);
    return sl_graph_add(g, "pool", x, SL_AVERAGE_POOL(.kernel = {3, 2}, .stride = {2, 1}));
}

static int32_t average_pool_global(struct sl_graph *g, int32_t x)
{
    return sl_graph_add(g, "pool", conv(g, "a", x, 19), SL_AVERAGE_POOL(.global = true));
}

static int32_t dense_twice(struct sl_graph *g, int32_t x)
{
    x = sl_graph_add(g, "a", x, SL_DENSE(.units = 9));
    x = sl_graph_add(g, "b", x, SL_DENSE(.units = 7, .no_bias = true));
    return sl_graph_add(g, "c", x, SL_DENSE(.units = 18));
}

static int32_t add_three(struct sl_graph *g, int32_t x)
{
    const int32_t a = conv(g, "a", x, 5), b = conv(g, "b", a, 5);
    const int32_t inputs[3] = {a, b, a};
    return sl_graph_add_many(g, "sum", inputs, 3, SL_ADD());
}

static int32_t add_of_image(struct sl_graph *g, int32_t x)
{
    return conv(g, "a", sl_graph_add2(g, "sum", x, x, SL_ADD()), 4);
}

static int32_t concat_unaligned(struct sl_graph *g, int32_t x)
{
    const int32_t a = conv(g, "a", x, 5), b = conv(g, "b", x, 17);
    const int32_t inputs[4] = {a, x, b, a};
    return conv(g, "after", sl_graph_add_many(g, "concat", inputs, 4, SL_CONCAT()), 3);
}

static int32_t dropout_between(struct sl_graph *g, int32_t x)
{
    x = sl_graph_add(g, "first", conv(g, "a", x, 5), SL_DROPOUT(.rate = 0.3));
    return sl_graph_add(g, "second", conv(g, "b", x, 5), SL_DROPOUT(0));
}

static int32_t dropout_of_image(struct sl_graph *g, int32_t x)
{
    return conv(g, "a", sl_graph_add(g, "drop", x, SL_DROPOUT(.rate = 0.2)), 4);
}

/* A small branch beside the layers: its value and gradient lie in the arena among their buffers. */
static int32_t beside(struct sl_graph *g, int32_t x, body_fn *body)
{
    const int32_t side = sl_graph_add(g, "side", x, SL_DENSE(.units = 3));
    return sl_graph_add2(g, "merged", side, sl_graph_add(g, "main", body(g, x), SL_DENSE(.units = 5)), SL_CONCAT());
}

static int32_t norm_fused_beside(struct sl_graph *g, int32_t x)
{
    return beside(g, x, norm_fused);
}

/* The branch stands between the norm and its input, so that its gradient is alive in the norm's backward pass. */
static int32_t norm_of_sum_beside(struct sl_graph *g, int32_t x)
{
    x = conv(g, "a", x, 5);
    x = sl_graph_add2(g, "twice", x, x, SL_ADD());
    const int32_t side = sl_graph_add(g, "side", x, SL_DENSE(.units = 3));
    x = sl_graph_add(g, "norm", x, SL_BATCH_NORM(0));
    return sl_graph_add2(g, "merged", side, sl_graph_add(g, "main", x, SL_DENSE(.units = 5)), SL_CONCAT());
}

static int32_t nothing(struct sl_graph *g, int32_t x)
{
    (void)g;
    return x;
}

static int32_t residual_block(struct sl_graph *g, int32_t x)
{
    x = sl_graph_add(g, "stem", x, SL_CONV2D(.filters = 6));
    x = sl_graph_add(g, "stem.norm", x, SL_BATCH_NORM(0));
    x = sl_graph_add(g, "stem.relu", x, SL_RELU());
    int32_t y = sl_graph_add(g, "conv", x, SL_CONV2D(.filters = 6, .stride = {2, 2}));
    y = sl_graph_add(g, "norm", y, SL_BATCH_NORM(0));
    int32_t s = sl_graph_add(g, "shortcut", x, SL_CONV2D(.filters = 6, .kernel = {1, 1}, .stride = {2, 2}));
    s = sl_graph_add(g, "shortcut.norm", s, SL_BATCH_NORM(0));
    return sl_graph_add(g, "relu", sl_graph_add2(g, "sum", y, s, SL_ADD()), SL_RELU());
}

static const struct layer_case cases[] = {
    {"conv2d", "strided, padded unevenly", conv_strided, 7, 5, 3},
    {"conv2d", "two consumers", conv_two_consumers, 5, 3, 3},
    {"conv2d", "a 1 x 1 image", conv_strided, 1, 1, 3},
    {"batch_norm", "of a sum", norm_of_sum, 3, 5, 3},
    {"batch_norm", "convolution, norm, leaky ReLU, pool", norm_fused, 8, 6, 3},
    {"batch_norm", "odd sizes", norm_fused, 7, 5, 3},
    {"batch_norm", "of the image", norm_of_image, 4, 3, 3},
    {"batch_norm", "of a dense layer", norm_of_dense, 3, 2, 3},
    {"batch_norm", "residual block", residual_block, 5, 5, 3},
    {"leaky_relu", "on a branch", leaky_on_branch, 5, 3, 3},
    {"relu", "on a branch", relu_on_branch, 5, 3, 3},
    {"relu", "of the image", relu_of_image, 5, 3, 3},
    {"max_pool", "overlapping", max_pool_overlapping, 7, 5, 3},
    {"max_pool", "padded unevenly", max_pool_padded, 7, 5, 3},
    {"average_pool", "windows", average_pool_windows, 7, 5, 3},
    {"average_pool", "global", average_pool_global, 5, 3, 3},
    {"dense", "on an image and on a vector", dense_twice, 4, 3, 3},
    {"dense", "on a vector only", dense_twice, 1, 1, 21},
    {"add", "three inputs, one twice", add_three, 5, 3, 3},
    {"add", "of the image", add_of_image, 5, 3, 3},
    {"concat", "unaligned channels, one input twice", concat_unaligned, 5, 3, 3},
    {"dropout", "two layers", dropout_between, 5, 3, 3},
    {"dropout", "of the image", dropout_of_image, 5, 3, 3},
    {"softmax_nll", "nothing else", nothing, 3, 2, 3},
};
enum { CASES = sizeof cases / sizeof *cases, CLASSES = 5 };

static struct sl_graph *build(const struct layer_case *c)
{
    struct sl_graph *graph;
    MUST(sl_graph_new(c->name, &graph));
    const int32_t x = c->body(graph, sl_graph_input(graph, c->height, c->width, c->channels));
    sl_graph_add(graph, "loss", sl_graph_add(graph, "classes", x, SL_DENSE(.units = CLASSES)), SL_SOFTMAX_NLL());
    if (sl_graph_check(graph) != SL_OK)
        fail_msg("%s, %s: %s", c->row, c->name, sl_last_error());
    return graph;
}

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
        net_open(&net, build(&cases[k]), 4, 0, 1);
        stir(net.weights);
        struct batch batch = make_batch(net.graph, 4, 2);
        compare_gradients(&cases[k], &net, &batch);
        free_batch(&batch);
        net_close(&net);
    }
}

static double relative_distance(const float *a, const float *b, int64_t n)
{
    double difference = 0.0, size = 0.0;
    for (int64_t i = 0; i < n; i++) {
        difference += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        size += (double)b[i] * b[i];
    }
    return sqrt(difference / size);
}

static void kernels_agree_with_reference(void **state)
{
    (void)state;
    for (size_t k = 0; k < CASES; k++) {
        struct net fast, ref;
        net_open(&fast, build(&cases[k]), 5, ~0u, 2);
        net_open(&ref, build(&cases[k]), 5, 0, 1);
        stir(fast.weights);
        stir(ref.weights);
        struct batch batch = make_batch(ref.graph, 5, 2);
        const double fast_loss = gradients_of(&fast, &batch), loss = gradients_of(&ref, &batch);
        if (!(fabs(fast_loss - loss) <= 1e-5 * fabs(loss)))
            fail_msg("%s, %s: loss %.9g, the reference's %.9g", cases[k].row, cases[k].name, fast_loss, loss);
        const double distance =
            relative_distance(fast.weights->gradients, ref.weights->gradients, ref.weights->trained);
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
    const size_t floats = (size_t)room * sl_tensor_floats(&net->graph->layers[0].shape);
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
        compare_short_batch(&cases[k], 3, 7, 0);
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
    const struct sl_value *y = net.plan->steps[0].y;
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
            if (value->data[pixel * t->stride + lane] != 0.0f)
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
        for (int32_t s = 0; s < net.plan->step_count; s++) {
            const struct sl_step *step = &net.plan->steps[s];
            for (int32_t i = 0; i < step->input_count; i++)
                if (step->layer->type->traits & SL_BACKWARD_READS_INPUT)
                    assert_clear_lanes(&cases[k], step->x[i], 3);
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
