/* Building networks, and networks as JSON: what is refused and how it is named, and that nothing crashes the reader. */
#include "tests/net.h"

#include <math.h>

#include <stdio.h>

#include "models/models.h"
#include "runtime/model.h"

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

#define BROKEN_LAYER(text, name, input, ...)                                     \
    do {                                                                         \
        struct sl_graph *graph = new_graph(7, 5, 3);                             \
        assert_int_equal(sl_graph_add(graph, name, input, __VA_ARGS__), -1);     \
        must_be_broken(graph, text);                                             \
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
    BROKEN_LAYER("pooling the image itself", "a", 0, SL_MAX_POOL(0));
    BROKEN_LAYER("the classes must be a 1 x 1 image, not 7 x 5", "a", 0, SL_SOFTMAX_NLL());
    BROKEN_LAYER("there is no layer type \"lstm\"", "a", 0, "lstm", NULL);
    BROKEN_LAYER("add takes 2 to 8 inputs, not 1", "a", 0, SL_ADD());
    BROKEN_LAYER("input 0 is not an earlier layer", "a", 1, SL_RELU());
    BROKEN_LAYER("input 0 is not an earlier layer", "a", -1, SL_RELU());
    BROKEN_LAYER("name has 1 to 63", "", 0, SL_RELU());
    BROKEN_LAYER("name has 1 to 63", long_name, 0, SL_RELU());
    BROKEN_LAYER("holds a blank", "a b", 0, SL_RELU());
    BROKEN_LAYER("holds a blank", "a\n", 0, SL_RELU());
    BROKEN_LAYER("already taken", "input", 0, SL_RELU());
    struct sl_graph *graph;
    MUST_FAIL(sl_graph_new(long_name, &graph), SL_BAD_CONFIG, "at most 63");
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
    must_be_broken(new_graph(0, 5, 3), "layer \"input\": the shape 0 x 5 x 3");
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
        {7, 3, 1, {0}, 7, 1}, {7, 2, 1, {0}, 7, 0}, {8, 2, 2, {0}, 4, 0}, {7, 2, 2, {0}, 4, 0}, {7, 3, 2, {0}, 4, 1},
        {8, 3, 2, {0}, 4, 0}, {5, 4, 1, {0}, 5, 1}, {1, 5, 3, {0}, 1, 2}, {9, 1, 4, {0}, 3, 0},
        {7, 3, 2, {.mode = SL_PADDING_VALID}, 3, 0}, {8, 3, 2, {.mode = SL_PADDING_VALID}, 3, 0},
        {7, 3, 1, {SL_PADDING_EXPLICIT, 2, 9, 1, 9}, 8, 2}, {1, 3, 5, {SL_PADDING_EXPLICIT, 0, 9, 2, 9}, 1, 0},
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

static struct sl_graph *model(const char *name, int32_t classes)
{
    struct sl_graph *graph;
    const struct sl_model_options options = {.image_size = 64, .classes = classes};
    MUST(sl_model_build(name, &options, &graph));
    return graph;
}

static void darknet_is_the_chapters(void **state)
{
    (void)state;
    struct sl_graph *graph = model("darknet", 200);
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

/* ---- JSON ---- */

static void must_round_trip(struct sl_graph *graph)
{
    char *text, *again;
    struct sl_graph *copy;
    MUST(sl_graph_to_json(graph, &text));
    MUST(sl_graph_from_json(text, strlen(text), &copy));
    MUST(sl_graph_to_json(copy, &again));
    assert_string_equal(text, again);
    assert_int_equal(sl_graph_parameters(copy), sl_graph_parameters(graph));
    free(text);
    free(again);
    sl_graph_free(copy);
    sl_graph_free(graph);
}

static void models_round_trip(void **state)
{
    (void)state;
    must_round_trip(model("darknet", 200));
    must_round_trip(model("residual", 10));
    struct sl_graph *graph = new_graph(9, 8, 3); /* every kind of option, none at its preset */
    int32_t x = sl_graph_add(graph, "a", 0,
                             SL_CONV2D(.filters = 4, .kernel = {2, 3}, .stride = {2, 1}, .bias = true,
                                       .padding = {SL_PADDING_EXPLICIT, 1, 2, 3, 4}));
    x = sl_graph_add(graph, "b", x, SL_BATCH_NORM(.decay = 0.7, .epsilon = 1.0 / 3.0));
    x = sl_graph_add(graph, "c", x, SL_LEAKY_RELU(.slope = 0.01));
    x = sl_graph_add(graph, "d", x, SL_MAX_POOL(.kernel = {3, 2}, .stride = {1, 2}, .padding = {.mode = SL_PADDING_VALID}));
    x = sl_graph_add(graph, "e", x, SL_DROPOUT(.rate = 0.1));
    x = sl_graph_add2(graph, "f", x, x, SL_CONCAT());
    x = sl_graph_add(graph, "g", x, SL_DENSE(.units = 3, .no_bias = true));
    sl_graph_add(graph, "h", x, SL_SOFTMAX_NLL());
    must_round_trip(graph);
}

/* A network around `layer`, the options of its second layer included. */
static char *around(const char *layer)
{
    char *text;
    assert_true(asprintf(&text,
                         "{\"name\": \"n\", \"input\": {\"height\": 8, \"width\": 8, \"channels\": 3}, \"layers\": ["
                         "{\"name\": \"first\", \"type\": \"conv2d\", \"filters\": 4}, %s,"
                         "{\"name\": \"fc\", \"type\": \"dense\", \"units\": 2}, "
                         "{\"name\": \"loss\", \"type\": \"softmax_nll\"}]}",
                         layer) > 0);
    return text;
}

static int read_text(const char *text, size_t length)
{
    struct sl_graph *graph = NULL;
    const int rc = sl_graph_from_json(text, length, &graph);
    if (rc == SL_OK)
        assert_int_equal(sl_graph_check(graph), SL_OK);
    sl_graph_free(rc == SL_OK ? graph : NULL);
    return rc;
}

static void options_are_checked(void **state)
{
    (void)state;
    static const char *const good[] = {
        "{\"name\": \"x\", \"type\": \"conv2d\", \"filters\": 2, \"kernel\": 1, \"stride\": [1, 2], \"padding\": \"valid\"}",
        "{\"name\": \"x\", \"type\": \"conv2d\", \"filters\": 2, \"padding\": [0, 1, 2, 3], \"bias\": true}",
        "{\"name\": \"x\", \"type\": \"leaky_relu\", \"slope\": 1}", /* an integer is a real */
        "{\"name\": \"x\", \"type\": \"max_pool\", \"stride\": 0}",
        "{\"name\": \"x\", \"type\": \"add\", \"inputs\": [\"first\", \"first\"]}",
    };
    static const char *const bad[][2] = {
        {"{\"name\": \"x\", \"type\": \"conv2d\"}", "filters is 0"},
        {"{\"name\": \"x\", \"type\": \"conv2d\", \"filters\": 0}", "filters is 0"},
        {"{\"name\": \"x\", \"type\": \"conv2d\", \"filters\": 2.0}", "\"filters\" must be an integer"},
        {"{\"name\": \"x\", \"type\": \"conv2d\", \"filters\": 4294967298}", "\"filters\" must be an integer"},
        {"{\"name\": \"x\", \"type\": \"conv2d\", \"filters\": \"2\"}", "\"filters\" must be an integer"},
        {"{\"name\": \"x\", \"type\": \"conv2d\", \"filters\": null}", "\"filters\" must be an integer"},
        {"{\"name\": \"x\", \"type\": \"conv2d\", \"filters\": 2, \"kernel\": [3]}", "list of 2 integers"},
        {"{\"name\": \"x\", \"type\": \"conv2d\", \"filters\": 2, \"kernel\": [3, 3, 3]}", "list of 2 integers"},
        {"{\"name\": \"x\", \"type\": \"conv2d\", \"filters\": 2, \"kernel\": [3, 0]}", "\"kernel\" must not be 0"},
        {"{\"name\": \"x\", \"type\": \"conv2d\", \"filters\": 2, \"stride\": 1.5}", "list of 2 integers"},
        {"{\"name\": \"x\", \"type\": \"conv2d\", \"filters\": 2, \"bias\": 1}", "true or false"},
        {"{\"name\": \"x\", \"type\": \"conv2d\", \"filters\": 2, \"padding\": \"full\"}", "\"same\", \"valid\""},
        {"{\"name\": \"x\", \"type\": \"conv2d\", \"filters\": 2, \"padding\": [1, 1]}", "list of 4 integers"},
        {"{\"name\": \"x\", \"type\": \"conv2d\", \"filters\": 2, \"padding\": [1, 1, 1, 65]}", "padding is 65"},
        {"{\"name\": \"x\", \"type\": \"conv2d\", \"filters\": 2, \"Bias\": true}", "unknown key \"Bias\""},
        {"{\"name\": \"x\", \"type\": \"conv2d\", \"filters\": 2, \"filters\": 2}", "duplicate"},
        {"{\"name\": \"x\", \"type\": \"relu\", \"slope\": 0.1}", "unknown key \"slope\""},
        {"{\"name\": \"x\", \"type\": \"leaky_relu\", \"slope\": 0}", "\"slope\" must not be 0"},
        {"{\"name\": \"x\", \"type\": \"leaky_relu\", \"slope\": \"0.1\"}", "must be a number"},
        {"{\"name\": \"x\", \"type\": \"dropout\", \"rate\": 0.0}", "\"rate\" must not be 0"},
        {"{\"name\": \"x\", \"type\": \"dropout\", \"rate\": 1e400}", "overflow"},
        {"{\"name\": \"x\", \"type\": \"batch_norm\", \"decay\": 0}", "\"decay\" must not be 0"},
        {"{\"name\": \"x\", \"type\": \"batch_norm\", \"epsilon\": -1}", "epsilon is -1"},
        {"{\"name\": \"x\", \"type\": \"lstm\"}", "no layer type \"lstm\""},
        {"{\"name\": \"x\"}", "the strings \"name\" and \"type\""},
        {"{\"name\": 1, \"type\": \"relu\"}", "the strings \"name\" and \"type\""},
        {"[]", "the strings \"name\" and \"type\""},
        {"null", "the strings \"name\" and \"type\""},
        {"{\"name\": \"first\", \"type\": \"relu\"}", "already taken"},
        {"{\"name\": \"x\\u0000\", \"type\": \"relu\"}", "\\u0000"},
        {"{\"name\": \"x\", \"type\": \"relu\", \"inputs\": [\"x\"]}", "names \"x\", which is no earlier layer"},
        {"{\"name\": \"x\", \"type\": \"relu\", \"inputs\": [\"fc\"]}", "names \"fc\", which is no earlier layer"},
        {"{\"name\": \"x\", \"type\": \"relu\", \"inputs\": []}", "list of 1 to 8"},
        {"{\"name\": \"x\", \"type\": \"relu\", \"inputs\": \"first\"}", "list of 1 to 8"},
        {"{\"name\": \"x\", \"type\": \"relu\", \"inputs\": [1]}", "no earlier layer"},
        {"{\"name\": \"x\", \"type\": \"relu\", \"inputs\": [\"input\"]}", "nothing reads layer \"first\""},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        char *text = around(good[i]);
        MUST(read_text(text, strlen(text)));
        free(text);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char *text = around(bad[i][0]);
        MUST_FAIL(read_text(text, strlen(text)), SL_BAD_CONFIG, bad[i][1]);
        free(text);
    }
}

static void frames_are_checked(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"", "line 1"}, {"{", "line 1"}, {"[]", "must be a JSON object"}, {"{}", "\"name\", \"input\" and the list"},
        {"{\"name\": \"n\", \"layers\": []}", "\"input\" must be an object"},
        {"{\"name\": \"n\", \"layers\": {}}", "\"name\", \"input\" and the list"},
        {"{\"name\": \"n\", \"layers\": [], \"input\": 3}", "\"input\" must be an object"},
        {"{\"name\": \"n\", \"layers\": [], \"input\": {\"height\": 8}}", "\"width\" must be an integer"},
        {"{\"name\": \"n\", \"layers\": [], \"input\": {\"height\": 8, \"width\": 8, \"channels\": 0}}", "the shape"},
        {"{\"name\": \"n\", \"layers\": [], \"input\": {\"height\": 8, \"width\": 8, \"channels\": 3, \"depth\": 1}}",
         "unknown key \"depth\""},
        {"{\"name\": \"n\", \"layers\": [], \"input\": {\"height\": 8, \"width\": 8, \"channels\": 3}}", "softmax_nll"},
        {"{\"name\": \"n\", \"layers\": [], \"input\": {}, \"format\": 1}", "unknown key \"format\""},
        {"{\"name\": \"a234567890123456789012345678901234567890123456789012345678901\xc3\xa9\xc3\xa9\", \"layers\": [], "
         "\"input\": {}}", "at most 63"},
        {"{} {}", "line 1"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        MUST_FAIL(read_text(bad[i][0], strlen(bad[i][0])), SL_BAD_CONFIG, bad[i][1]);
    const size_t megabyte = 1 << 20;
    char *deep = malloc(megabyte + 1);
    assert_non_null(deep);
    memset(deep, '[', megabyte + 1);
    MUST_FAIL(read_text(deep, 1000 * 1000), SL_BAD_CONFIG, "depth");
    MUST_FAIL(read_text(deep, megabyte + 1), SL_BAD_CONFIG, "larger than 1048576 bytes");
    memset(deep, ' ', megabyte);
    char *text = around("{\"name\": \"x\", \"type\": \"relu\"}");
    memcpy(deep, text, strlen(text));
    MUST(read_text(deep, megabyte));
    free(text);
    free(deep);
}

static void damaged_bytes_never_crash(void **state)
{
    (void)state;
    static const char others[] = {'\0', '"', '{', '[', '0', '9', '-', '\\', (char)0x80, (char)0xff};
    char *text = around("{\"name\": \"x\", \"type\": \"conv2d\", \"filters\": 2, \"padding\": [0, 1, 2, 3], \"bias\": true}");
    const size_t length = strlen(text);
    size_t accepted = 0;
    for (size_t at = 0; at < length; at++) {
        const char right = text[at];
        for (size_t k = 0; k < 8 + sizeof others; k++) {
            text[at] = k < 8 ? (char)(right ^ (1 << k)) : others[k - 8];
            accepted += read_text(text, length) == SL_OK;
        }
        text[at] = right;
        assert_int_not_equal(read_text(text, at), SL_OK); /* and cut here */
    }
    assert_in_range(accepted, 1, length * 9);
    free(text);
}

/* ---- the description of a model ---- */

static const char description[] =
    "{\"format\": 1, \"network\": {\"name\": \"n\", \"input\": {\"height\": 2, \"width\": 2, \"channels\": 3}, \"layers\": ["
    "{\"name\": \"fc\", \"type\": \"dense\", \"units\": 2}, {\"name\": \"loss\", \"type\": \"softmax_nll\"}]}, "
    "\"classes\": [{\"id\": \"a\", \"words\": \"an apple\"}, {\"id\": \"b\", \"words\": \"\"}], "
    "\"pixels\": {\"range\": \"standardised\", \"mean\": [0.5, 0.25, 0], \"deviation\": [0.1, 0.2, 1]}}";

/* The description with one piece replaced. */
static char *replaced(const char *piece, const char *by)
{
    char *text;
    const char *at = strstr(description, piece);
    assert_non_null(at);
    assert_true(asprintf(&text, "%.*s%s%s", (int)(at - description), description, by, at + strlen(piece)) > 0);
    return text;
}

static void descriptions_are_checked(void **state)
{
    (void)state;
    struct sl_model model;
    char *text;
    MUST(sl_model_from_json(description, strlen(description), &model));
    assert_string_equal(model.classes[0].words, "an apple");
    assert_true(model.mean[1] == 0.25 && model.deviation[1] == 0.2 && model.range == SL_PIXELS_STANDARDISED);
    MUST(sl_model_to_json(&model, &text));
    sl_model_close(&model);
    MUST(sl_model_from_json(text, strlen(text), &model));
    sl_model_close(&model);
    free(text);
    static const char *const bad[][3] = {
        {"\"format\": 1", "\"format\": 2", "format 2"},
        {"\"format\": 1", "\"Format\": 1", "unknown key \"Format\""},
        {", {\"id\": \"b\", \"words\": \"\"}", "", "lists 1 classes and the network has 2"},
        {"\"words\": \"\"", "\"word\": \"\"", "classes[1] needs"},
        {"\"words\": \"\"", "\"words\": \"\", \"more\": 1", "unknown key \"more\""},
        {"standardised", "signed", "\"unit\" or \"standardised\""},
        {"[0.5, 0.25, 0]", "[0.5, 0.25]", "list of 3 numbers"},
        {"[0.5, 0.25, 0]", "[0.5, 0.25, 2]", "\"mean\" holds 2"},
        {"[0.1, 0.2, 1]", "[0.1, 0, 1]", "\"deviation\" holds 0"},
        {"\"pixels\": {", "\"pixels\": {\"gamma\": 1, ", "unknown key \"gamma\""},
        {"\"units\": 2", "\"units\": -2", "layers[0]"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        text = replaced(bad[i][0], bad[i][1]);
        MUST_FAIL(sl_model_from_json(text, strlen(text), &model), SL_BAD_CONFIG, bad[i][2]);
        assert_null(model.graph);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(builder_errors_name_the_layer),
        cmocka_unit_test(inputs_must_agree),
        cmocka_unit_test(networks_are_whole),
        cmocka_unit_test(sizes_are_capped),
        cmocka_unit_test(windows),
        cmocka_unit_test(darknet_is_the_chapters),
        cmocka_unit_test(unknown_models_are_usage),
        cmocka_unit_test(models_round_trip),
        cmocka_unit_test(options_are_checked),
        cmocka_unit_test(frames_are_checked),
        cmocka_unit_test(damaged_bytes_never_crash),
        cmocka_unit_test(descriptions_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
