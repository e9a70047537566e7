/* Building networks: what is refused and how it is named. */
#include "tests/net.h"

#include <math.h>
#include <stdio.h>

#include "models/models.h"

static struct sl_graph *new_graph(int32_t height, int32_t width, int32_t channels)
{
    struct sl_graph *graph;
    MUST(sl_graph_new("test", &graph));
    sl_graph_input(graph, height, width, channels);
    return graph;
}

/* The graph's first error names this, and building stays broken. */
static void must_be_broken(struct sl_graph *graph, const char *text)
{
    MUST_FAIL(sl_graph_check(graph), SL_BAD_CONFIG, text);
    assert_int_equal(sl_graph_add(graph, "later", 0, SL_CONV2D(.filters = 0)), -1);
    assert_int_equal(sl_graph_input(graph, 8, 8, 3), -1);
    MUST_FAIL(sl_graph_check(graph), SL_BAD_CONFIG, text);
    sl_graph_free(graph);
}

#define BROKEN_LAYER(text, name, input, ...)                                 \
    do {                                                                     \
        struct sl_graph *graph = new_graph(7, 5, 3);                         \
        assert_int_equal(sl_graph_add(graph, name, input, __VA_ARGS__), -1); \
        must_be_broken(graph, text);                                         \
    } while (0)

static void builder_errors_name_the_layer(void **state)
{
    (void)state;
    const char long_name[] = "a234567890123456789012345678901234567890123456789012345678901234";
    BROKEN_LAYER("layer \"a\": filters is 0", "a", 0, SL_CONV2D(0));
    BROKEN_LAYER("layer \"a\": filters is -1", "a", 0, SL_CONV2D(.filters = -1));
    BROKEN_LAYER("layer \"a\": filters is 16385", "a", 0, SL_CONV2D(.filters = SL_MAX_SIDE + 1));
    BROKEN_LAYER("layer \"a\": kernel is 65", "a", 0, SL_CONV2D(.filters = 1, .kernel = {3, 65}));
    BROKEN_LAYER("layer \"a\": stride is -2", "a", 0, SL_CONV2D(.filters = 1, .stride = {-2, 1}));
    BROKEN_LAYER("a kernel of 9 does not fit into 7 rows", "a", 0,
                 SL_CONV2D(.filters = 1, .kernel = {9, 3}, .padding = {.mode = SL_PADDING_VALID}));
    BROKEN_LAYER("a kernel of 6 does not fit into 5 columns", "a", 0,
                 SL_CONV2D(.filters = 1, .kernel = {3, 6}, .padding = {.mode = SL_PADDING_VALID}));
    BROKEN_LAYER("padding is -1 on one side", "a", 0,
                 SL_CONV2D(.filters = 1, .padding = {SL_PADDING_EXPLICIT, 0, -1, 0, 0}));
    BROKEN_LAYER("rate is 1", "a", 0, SL_DROPOUT(.rate = 1.0));
    BROKEN_LAYER("nan; it must be 0 to 1", "a", 0, SL_BATCH_NORM(.decay = NAN));
    BROKEN_LAYER("slope is -0.1", "a", 0, SL_LEAKY_RELU(.slope = -0.1));
    BROKEN_LAYER("pooling the image itself", "a", 0, SL_MAX_POOL());
    BROKEN_LAYER("the classes must be a 1 x 1 image, not 7 x 5", "a", 0, SL_SOFTMAX_NLL());
    BROKEN_LAYER("there is no layer type \"lstm\"", "a", 0, "lstm", NULL);
    BROKEN_LAYER("add takes 2 to 8 inputs, not 1", "a", 0, SL_ADD());
    BROKEN_LAYER("input 0 is not an earlier layer", "a", 1, SL_RELU());
    BROKEN_LAYER("input 0 is not an earlier layer", "a", -1, SL_RELU());
    BROKEN_LAYER("name must have 1 to 63", "", 0, SL_RELU());
    BROKEN_LAYER("name must have 1 to 63", long_name, 0, SL_RELU());
    BROKEN_LAYER("holds a blank", "a b", 0, SL_RELU());
    BROKEN_LAYER("holds a blank", "a\n", 0, SL_RELU());
    BROKEN_LAYER("already taken", "input", 0, SL_RELU());
    struct sl_graph *graph;
    MUST_FAIL(sl_graph_new(long_name, &graph), SL_BAD_CONFIG, "longer than 63");
}

static void inputs_must_agree(void **state)
{
    (void)state;
    struct sl_graph *graph = new_graph(7, 5, 3);
    int32_t a = sl_graph_add(graph, "a", 0, SL_CONV2D(.filters = 4));
    int32_t b = sl_graph_add(graph, "b", 0, SL_CONV2D(.filters = 5));
    sl_graph_add2(graph, "sum", a, b, SL_ADD());
    must_be_broken(graph, "layer \"sum\": cannot add 7 x 5 x 5 to 7 x 5 x 4");
    graph = new_graph(7, 5, 3);
    a = sl_graph_add(graph, "a", 0, SL_CONV2D(.filters = 4));
    b = sl_graph_add(graph, "b", 0, SL_CONV2D(.filters = 4, .stride = {2, 1}));
    sl_graph_add2(graph, "both", a, b, SL_CONCAT());
    must_be_broken(graph, "layer \"both\": cannot concatenate 4 x 5 with 7 x 5");
    graph = new_graph(7, 5, 3);
    sl_graph_add(graph, "a", 0, SL_RELU());
    sl_graph_add(graph, "a", 1, SL_RELU());
    must_be_broken(graph, "layer \"a\": the name is already taken");
    must_be_broken(new_graph(0, 5, 3), "layer \"input\": the shape is 0 x 5 x 3");
    must_be_broken(new_graph(7, 5, SL_MAX_SIDE + 1), "layer \"input\"");
    graph = new_graph(7, 5, 3);
    sl_graph_input(graph, 7, 5, 3);
    must_be_broken(graph, "one input");
}

static void networks_are_whole(void **state)
{
    (void)state;
    struct sl_graph *graph = new_graph(7, 5, 3);
    MUST_FAIL(sl_graph_check(graph), SL_BAD_CONFIG, "must be softmax_nll");
    const int32_t a = sl_graph_add(graph, "a", 0, SL_DENSE(.units = 4));
    MUST_FAIL(sl_graph_check(graph), SL_BAD_CONFIG, "must be softmax_nll");
    sl_graph_add(graph, "unread", a, SL_RELU());
    sl_graph_add(graph, "loss", a, SL_SOFTMAX_NLL());
    MUST_FAIL(sl_graph_check(graph), SL_BAD_CONFIG, "nothing reads layer \"unread\"");
    sl_graph_free(graph);
    graph = new_graph(1, 1, 16);
    sl_graph_add(graph, "first", sl_graph_add(graph, "fc", 0, SL_DENSE(.units = 4)), SL_SOFTMAX_NLL());
    sl_graph_add(graph, "second", 2, SL_SOFTMAX_NLL());
    MUST_FAIL(sl_graph_check(graph), SL_BAD_CONFIG, "not \"first\"");
    sl_graph_free(graph);
}

static void sizes_are_capped(void **state)
{
    (void)state;
    struct sl_graph *graph = new_graph(1, 1, 16);
    char name[16];
    for (int32_t i = 1; i < SL_MAX_LAYERS; i++) {
        snprintf(name, sizeof name, "relu%d", i);
        assert_int_equal(sl_graph_add(graph, name, i - 1, SL_RELU()), i);
    }
    assert_int_equal(sl_graph_add(graph, "last", 0, SL_RELU()), -1);
    must_be_broken(graph, "layer \"last\": more than 1024 layers");
    graph = new_graph(SL_MAX_SIDE, SL_MAX_SIDE, SL_MAX_SIDE);
    assert_int_equal(sl_graph_add(graph, "fc", 0, SL_DENSE(.units = SL_MAX_SIDE)), -1);
    must_be_broken(graph, "layer \"fc\": the network has more than 1099511627776 parameters");
}

/* Same: ceil(in / stride), the odd pixel after. Explicit and valid: whole windows only. */
static void windows(void **state)
{
    (void)state;
    static const struct {
        int32_t in, kernel, stride;
        struct sl_padding padding;
        int32_t out, before;
    } cases[] = {
        {7, 3, 1, {0}, 7, 1},
        {7, 2, 1, {0}, 7, 0},
        {8, 2, 2, {0}, 4, 0},
        {7, 2, 2, {0}, 4, 0},
        {7, 3, 2, {0}, 4, 1},
        {8, 3, 2, {0}, 4, 0},
        {5, 4, 1, {0}, 5, 1},
        {1, 5, 3, {0}, 1, 2},
        {9, 1, 4, {0}, 3, 0},
        {7, 3, 2, {.mode = SL_PADDING_VALID}, 3, 0},
        {8, 3, 2, {.mode = SL_PADDING_VALID}, 3, 0},
        {7, 3, 1, {SL_PADDING_EXPLICIT, 2, 9, 1, 9}, 8, 2},
        {1, 3, 5, {SL_PADDING_EXPLICIT, 0, 9, 2, 9}, 1, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int32_t out, before;
        MUST(sl_window_axis(cases[i].in, cases[i].kernel, cases[i].stride, &cases[i].padding, true, &out, &before));
        assert_int_equal(out, cases[i].out);
        assert_int_equal(before, cases[i].before);
    }
    struct sl_graph *graph = new_graph(4, 4, 16);
    sl_graph_add(graph, "pool", 0, SL_MAX_POOL(.padding = {SL_PADDING_EXPLICIT, 2, 0, 0, 0}));
    must_be_broken(graph, "layer \"pool\": with this padding a window lies wholly outside");
    graph = new_graph(4, 4, 16);
    sl_graph_add(graph, "pool", 0, SL_AVERAGE_POOL(.padding = {SL_PADDING_EXPLICIT, 0, 0, 0, 2}));
    must_be_broken(graph, "a window lies wholly outside the 4 x 4 image");
}

static void darknet_is_the_cookbooks(void **state)
{
    (void)state;
    struct sl_graph *graph;
    const struct sl_model_options options = {.image_size = 64, .classes = 200};
    MUST(sl_model_build("darknet", &options, &graph));
    char *text;
    size_t size;
    FILE *file = open_memstream(&text, &size);
    assert_non_null(file);
    MUST(sl_graph_print(graph, file));
    fclose(file);
    assert_int_equal(sl_graph_parameters(graph), 1077160);
    assert_int_equal(sl_graph_classes(graph), 200);
    static const char *const lines[] = {
        "input                input          64 x 64 x 3                   0\n",
        "conv0                conv2d         64 x 64 x 32                864\n",
        "norm0                batch_norm     64 x 64 x 32                128\n",
        "conv5                conv2d         16 x 16 x 512            524288\n",
        "pool5                max_pool       8 x 8 x 512                   0\n",
        "conv6                conv2d         8 x 8 x 200              102600\n",
        "gap                  average_pool   1 x 1 x 200                   0\n",
        "total                                                       1077160\n",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (!strstr(text, lines[i]))
            fail_msg("no line \"%s\" in\n%s", lines[i], text);
    free(text);
    sl_graph_free(graph);
}

static void unknown_models_are_usage(void **state)
{
    (void)state;
    struct sl_graph *graph;
    const struct sl_model_options options = {.image_size = 64, .classes = 10};
    MUST_FAIL(sl_model_build("vgg", &options, &graph), SL_USAGE, "no model \"vgg\"");
    MUST_FAIL(sl_model_build("/nowhere/net.json", &options, &graph), SL_MISSING, "/nowhere/net.json");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(builder_errors_name_the_layer),
        cmocka_unit_test(inputs_must_agree),
        cmocka_unit_test(networks_are_whole),
        cmocka_unit_test(sizes_are_capped),
        cmocka_unit_test(windows),
        cmocka_unit_test(darknet_is_the_cookbooks),
        cmocka_unit_test(unknown_models_are_usage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
