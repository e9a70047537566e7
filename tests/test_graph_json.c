/* Networks and models as JSON: what is refused and how it is named, and that nothing crashes the reader. */
#include "runtime/graph/graph_json.h"
#include "tests/net.h"

#include <stdio.h>

#include "models/models.h"
#include "runtime/store/model.h"
#include "runtime/store/model_json.h"

static struct sl_graph *model(const char *name, int32_t classes)
{
    struct sl_graph *graph;
    const struct sl_model_options options = {.image_size = 64, .classes = classes};
    MUST(sl_model_build(name, &options, &graph));
    return graph;
}

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
    struct sl_graph *graph; /* every kind of option, none at its preset */
    MUST(sl_graph_new("test", &graph));
    int32_t x = sl_graph_add(graph, "a", sl_graph_input(graph, 9, 8, 3),
                             SL_CONV2D(.filters = 4, .kernel = {2, 3}, .stride = {2, 1}, .bias = true,
                                       .padding = {SL_PADDING_EXPLICIT, 1, 2, 3, 4}));
    x = sl_graph_add(graph, "b", x, SL_BATCH_NORM(.decay = 0.7, .epsilon = 1.0 / 3.0));
    x = sl_graph_add(graph, "c", x, SL_LEAKY_RELU(.slope = 0.01));
    x = sl_graph_add(graph, "d", x,
                     SL_MAX_POOL(.kernel = {3, 2}, .stride = {1, 2}, .padding = {.mode = SL_PADDING_VALID}));
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
        ("{\"name\": \"x\", \"type\": \"conv2d\", \"filters\": 2, \"kernel\": 1, \"stride\": [1, 2], \"padding\": "
         "\"valid\"}"),
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
        {"", "line 1"},
        {"{", "line 1"},
        {"[]", "must be a JSON object"},
        {"{}", "\"name\", \"input\" and the list"},
        {"{\"name\": \"n\", \"layers\": []}", "\"input\" must be an object"},
        {"{\"name\": \"n\", \"layers\": {}}", "\"name\", \"input\" and the list"},
        {"{\"name\": \"n\", \"layers\": [], \"input\": 3}", "\"input\" must be an object"},
        {"{\"name\": \"n\", \"layers\": [], \"input\": {\"height\": 8}}", "\"width\" must be an integer"},
        {"{\"name\": \"n\", \"layers\": [], \"input\": {\"height\": 8, \"width\": 8, \"channels\": 0}}", "the shape"},
        {"{\"name\": \"n\", \"layers\": [], \"input\": {\"height\": 8, \"width\": 8, \"channels\": 3, \"depth\": 1}}",
         "unknown key \"depth\""},
        {"{\"name\": \"n\", \"layers\": [], \"input\": {\"height\": 8, \"width\": 8, \"channels\": 3}}", "softmax_nll"},
        {"{\"name\": \"n\", \"layers\": [], \"input\": {}, \"format\": 1}", "unknown key \"format\""},
        {"{\"name\": \"a234567890123456789012345678901234567890123456789012345678901\xc3\xa9\xc3\xa9\", \"layers\": "
         "[], "
         "\"input\": {}}",
         "longer than 63"},
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
    char *text =
        around("{\"name\": \"x\", \"type\": \"conv2d\", \"filters\": 2, \"padding\": [0, 1, 2, 3], \"bias\": true}");
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
    "{\"format\": 1, \"network\": {\"name\": \"n\", \"input\": {\"height\": 2, \"width\": 2, \"channels\": 3}, "
    "\"layers\": ["
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
    assert_true(model.pixels.mean[1] == 0.25 && model.pixels.deviation[1] == 0.2 &&
                model.pixels.range == SL_PIXELS_STANDARDISED);
    assert_false(model.pixels.apply_orientation); /* older models know images as stored */
    for (int apply = 0; apply < 2; apply++) {
        model.pixels.apply_orientation = apply;
        MUST(sl_model_to_json(&model, &text));
        sl_model_close(&model);
        assert_int_equal(strstr(text, "orientation") != NULL, apply);
        MUST(sl_model_from_json(text, strlen(text), &model));
        assert_int_equal(model.pixels.apply_orientation, apply);
        free(text);
    }
    assert_false(model.pixels.fast_decode); /* and images decoded exactly */
    for (int fast = 0; fast < 2; fast++) {
        model.pixels.fast_decode = fast;
        MUST(sl_model_to_json(&model, &text));
        sl_model_close(&model);
        assert_int_equal(strstr(text, "decode") != NULL, fast);
        MUST(sl_model_from_json(text, strlen(text), &model));
        assert_int_equal(model.pixels.fast_decode, fast);
        free(text);
    }
    sl_model_close(&model);
    static const char *const bad[][3] = {
        {"\"format\": 1", "\"format\": 2", "format 2"},
        {"\"format\": 1", "\"Format\": 1", "unknown key \"Format\""},
        {", {\"id\": \"b\", \"words\": \"\"}", "", "lists 1 classes and the network has 2"},
        {"\"words\": \"\"", "\"word\": \"\"", "classes[1] needs"},
        {"\"words\": \"\"", "\"words\": \"\", \"more\": 1", "unknown key \"more\""},
        {"standardised", "signed", "\"unit\" or \"standardised\""},
        {"\"pixels\": {", "\"pixels\": {\"orientation\": \"up\", ", "\"apply\" or \"ignore\""},
        {"\"pixels\": {", "\"pixels\": {\"orientation\": 6, ", "\"apply\" or \"ignore\""},
        {"\"pixels\": {", "\"pixels\": {\"decode\": \"slow\", ", "\"fast\" or \"exact\""},
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
        cmocka_unit_test(models_round_trip),        cmocka_unit_test(options_are_checked),
        cmocka_unit_test(frames_are_checked),       cmocka_unit_test(damaged_bytes_never_crash),
        cmocka_unit_test(descriptions_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
