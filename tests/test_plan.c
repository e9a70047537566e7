/* The arena, what is fused and what is not, folding, limits, and inputs a plan refuses. */
#include "tests/net.h"

#include <math.h>
#include <stdio.h>

#include "models/models.h"
#include "runtime/plan/arena.h"

/* ---- arena ---- */

enum { MOST_BLOCKS = 60, TIMES = 40 };

static size_t random_blocks(struct sl_block *blocks, uint64_t seed)
{
    const size_t count = 1 + sl_philox4x32(seed, 0, 0).word[0] % MOST_BLOCKS;
    for (size_t i = 0; i < count; i++) {
        const struct sl_philox bits = sl_philox4x32(seed, 1, i);
        const int32_t first = (int32_t)(bits.word[1] % TIMES);
        blocks[i] = (struct sl_block){
            .bytes = 1 + bits.word[0] % (bits.word[3] % 4 ? 1000 : 100000),
            .first = first,
            .last = first + (int32_t)(bits.word[2] % (uint32_t)(TIMES - first)),
            .owner = "layer",
            .what = "block",
        };
    }
    return count;
}

static bool overlap(const struct sl_block *a, const struct sl_block *b)
{
    const bool together = a->first <= b->last && b->first <= a->last;
    return together && a->offset < b->offset + b->bytes && b->offset < a->offset + a->bytes;
}

/* The most bytes alive at any time: no placement can do with less. */
static size_t most_alive(const struct sl_block *blocks, size_t count)
{
    size_t most = 0;
    for (int32_t t = 0; t < TIMES; t++) {
        size_t alive = 0;
        for (size_t i = 0; i < count; i++)
            alive += blocks[i].first <= t && t <= blocks[i].last ? blocks[i].bytes : 0;
        most = alive > most ? alive : most;
    }
    return most;
}

static void blocks_alive_together_share_no_byte(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct sl_block blocks[MOST_BLOCKS], again[MOST_BLOCKS];
        size_t total, total_again, end = 0;
        const size_t count = random_blocks(blocks, seed);
        random_blocks(again, seed);
        MUST(sl_arena_place(blocks, count, &total));
        MUST(sl_arena_place(again, count, &total_again));
        assert_int_equal(total, total_again);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(blocks[i].offset, again[i].offset);
            assert_int_equal(blocks[i].offset % SL_ARENA_ALIGNMENT, 0);
            end = blocks[i].offset + blocks[i].bytes > end ? blocks[i].offset + blocks[i].bytes : end;
            for (size_t k = 0; k < i; k++)
                assert_false(overlap(&blocks[i], &blocks[k]));
        }
        assert_true(total >= most_alive(blocks, count) && total >= end && total < end + SL_ARENA_ALIGNMENT);
    }
    size_t total = 1;
    MUST(sl_arena_place(NULL, 0, &total));
    assert_int_equal(total, 0);
}

static void blocks_that_never_meet_share(void **state)
{
    (void)state;
    struct sl_block chain[] = {{1000, 0, 1, "a", "x", 0}, {2000, 2, 3, "b", "y", 0}, {1500, 4, 5, "c", "z", 0}};
    size_t total;
    char text[64];
    MUST(sl_arena_place(chain, 3, &total));
    assert_int_equal(total, 2048);
    sl_arena_consumers(chain, 3, text, sizeof text);
    assert_string_equal(text, "b y 0.0 MB, c z 0.0 MB, a x 0.0 MB");
    sl_arena_consumers(chain, 3, text, 5); /* cut, not overrun */
    assert_string_equal(text, "b y ");
}

/* ---- fusion ---- */

struct fusion_case {
    int32_t height, width;
    struct sl_pool_options pool;
    bool second_reader;               /* of the batch norm's output */
    const char *training, *inference; /* a line of the plan */
};

static struct sl_graph *fusion_graph(const struct fusion_case *c)
{
    struct sl_graph *graph;
    MUST(sl_graph_new("fusion", &graph));
    int32_t x = sl_graph_input(graph, c->height, c->width, 3);
    x = sl_graph_add(graph, "conv", x, SL_CONV2D(.filters = 4));
    const int32_t norm = sl_graph_add(graph, "norm", x, SL_BATCH_NORM());
    x = sl_graph_add(graph, "act", norm, SL_LEAKY_RELU());
    if (c->second_reader)
        x = sl_graph_add2(graph, "sum", x, norm, SL_ADD());
    x = sl_graph_add(graph, "pool", x, "max_pool", &c->pool);
    sl_graph_add(graph, "loss", sl_graph_add(graph, "fc", x, SL_DENSE(.units = 3)), SL_SOFTMAX_NLL());
    return graph;
}

/* What sl_plan_print writes; the caller frees it. */
static char *plan_text(struct sl_weights *weights, bool training)
{
    char *text;
    size_t size;
    struct sl_plan *plan;
    const struct sl_plan_options options = {.batch = 2, .training = training};
    MUST(sl_plan_open(weights->graph, weights, &options, &plan));
    FILE *file = open_memstream(&text, &size);
    assert_non_null(file);
    MUST(sl_plan_print(plan, file));
    fclose(file);
    sl_plan_close(plan);
    return text;
}

static void must_hold(struct sl_weights *weights, bool training, const char *line)
{
    char *text = plan_text(weights, training);
    if (!strstr(text, line))
        fail_msg("no \"%s\" in\n%s", line, text);
    free(text);
}

static void layers_are_fused_only_where_they_may(void **state)
{
    (void)state;
    static const struct fusion_case cases[] = {
        {8, 6, {.kernel = {2, 2}}, false, "norm + act + pool in", "conv + norm + act + pool in"},
        {8, 6, {.stride = {2, 2}}, false, "norm + act + pool in", "conv + norm + act + pool in"},
        {8, 6, {.padding = {.mode = SL_PADDING_VALID}}, false, "norm + act + pool in", "conv + norm + act + pool in"},
        {7, 6, {.kernel = {2, 2}}, false, "norm + act in", "conv + norm + act in"},
        {8, 5, {.padding = {.mode = SL_PADDING_VALID}}, false, "norm + act in", "conv + norm + act in"},
        {8, 6, {.stride = {2, 1}}, false, "norm + act in", "conv + norm + act in"},
        {8, 6, {.kernel = {3, 3}, .stride = {2, 2}}, false, "norm + act in", "conv + norm + act in"},
        {8, 6, {.padding = {SL_PADDING_EXPLICIT, 0, 0, 1, 1}}, false, "norm + act in", "conv + norm + act in"},
        {2, 2, {.global = true}, false, "norm + act in", "conv + norm + act in"},
        {8, 6, {.kernel = {2, 2}}, true, " norm ->", "conv + norm in"},
    };
    struct sl_device device;
    MUST(sl_device_cpu_open(1, &device));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sl_graph *graph = fusion_graph(&cases[i]);
        struct sl_weights *weights;
        MUST(sl_graph_check(graph));
        MUST(sl_weights_open(graph, &device, true, &weights));
        must_hold(weights, true, cases[i].training);
        must_hold(weights, true, " conv [sums for norm] ->");
        must_hold(weights, false, cases[i].inference);
        sl_weights_close(weights);
        sl_graph_free(graph);
    }
    device.close(device.self);
}

static void darknet_fuses_every_pool(void **state)
{
    (void)state;
    struct sl_device device;
    struct sl_graph *graph;
    struct sl_weights *weights;
    const struct sl_model_options options = {.image_size = 16, .classes = 10};
    MUST(sl_model_build("darknet", &options, &graph));
    MUST(sl_device_cpu_open(1, &device));
    MUST(sl_weights_open(graph, &device, true, &weights));
    must_hold(weights, true, "stage 2   conv1 [sums for norm1] ->");
    must_hold(weights, true, "norm1 + act1 + pool1 in one pass ->");
    must_hold(weights, true, "norm3 + act3 + pool3 in one pass ->");
    must_hold(weights, true, "norm5 + act5 + pool5 in one pass ->");
    must_hold(weights, false, "conv1 + norm1 + act1 + pool1 in one pass ->");
    must_hold(weights, false, "conv3 + norm3 + act3 + pool3 in one pass ->");
    must_hold(weights, false, "conv5 + norm5 + act5 + pool5 in one pass ->");
    sl_weights_close(weights);
    sl_graph_free(graph);
    device.close(device.self);
}

/* ---- folding ---- */

/* With `apart`, a concatenation of one stands between the layers, which nothing takes in. */
static struct sl_graph *folding_graph(bool apart)
{
    struct sl_graph *graph;
    MUST(sl_graph_new("folding", &graph));
    int32_t x = sl_graph_input(graph, 6, 5, 3);
    x = sl_graph_add(graph, "conv", x, SL_CONV2D(.filters = 5, .bias = true));
    x = apart ? sl_graph_add(graph, "apart0", x, SL_CONCAT()) : x;
    x = sl_graph_add(graph, "norm", x, SL_BATCH_NORM(.epsilon = 1e-3));
    x = apart ? sl_graph_add(graph, "apart1", x, SL_CONCAT()) : x;
    x = sl_graph_add(graph, "act", x, SL_LEAKY_RELU());
    x = sl_graph_add(graph, "fc", x, SL_DENSE(.units = 6));
    x = apart ? sl_graph_add(graph, "apart2", x, SL_CONCAT()) : x;
    x = sl_graph_add(graph, "fc.norm", x, SL_BATCH_NORM());
    x = apart ? sl_graph_add(graph, "apart3", x, SL_CONCAT()) : x;
    x = sl_graph_add(graph, "fc.relu", x, SL_RELU());
    sl_graph_add(graph, "loss", sl_graph_add(graph, "out", x, SL_DENSE(.units = 4)), SL_SOFTMAX_NLL());
    return graph;
}

/* Probabilities of an inference plan for `count` images, rows of 4. */
static void infer(struct net *net, const struct batch *batch, int32_t room, float *p)
{
    struct sl_plan *plan;
    int32_t stride;
    const struct sl_plan_options options = {.batch = room};
    const struct sl_plan_input input = {.images = batch->images, .count = batch->count};
    MUST(sl_plan_open(net->graph, net->weights, &options, &plan));
    MUST(sl_plan_prepare(plan));
    MUST(sl_plan_forward(plan, &input));
    const float *rows;
    MUST(sl_plan_probabilities(plan, &rows, &stride));
    for (int32_t i = 0; i < batch->count; i++)
        memcpy(p + 4 * i, rows + (size_t)i * (size_t)stride, 4 * sizeof *p);
    assert_true(sl_plan_arena_bytes(plan) < sl_plan_arena_bytes(net->plan));
    sl_plan_close(plan);
}

static void folded_equals_unfolded(void **state)
{
    (void)state;
    struct net together, apart;
    float p[5 * 4], q[5 * 4], short_p[2 * 4];
    net_open(&together, folding_graph(false), 5, ~0u, 2);
    net_open(&apart, folding_graph(true), 5, SL_CPU, 1);
    struct batch batch = make_batch(together.graph, 5, 1);
    for (uint64_t i = 0; i < 3; i++)
        train_on(&together, &batch, i);
    assert_int_equal(together.weights->trained, apart.weights->trained);
    assert_int_equal(together.weights->state, apart.weights->state);
    memcpy(apart.weights->values, together.weights->values, (size_t)together.weights->trained * sizeof(float));
    memcpy(apart.weights->statistics, together.weights->statistics, (size_t)together.weights->state * sizeof(float));
    must_hold(together.weights, false, "conv + norm + act in one pass ->");
    must_hold(together.weights, false, "fc + fc.norm + fc.relu in one pass ->");
    must_hold(apart.weights, false, " norm ->");
    infer(&together, &batch, 5, p);
    infer(&apart, &batch, 5, q);
    for (int i = 0; i < 20; i++)
        if (!(fabs((double)p[i] - q[i]) <= 1e-5))
            fail_msg("probability %d is %.8g folded and %.8g unfolded", i, p[i], q[i]);
    batch.count = 2;
    infer(&together, &batch, 9, short_p);
    assert_memory_equal(short_p, p, sizeof short_p);
    free_batch(&batch);
    net_close(&together);
    net_close(&apart);
}

/* ---- refusals ---- */

static void limits_are_kept(void **state)
{
    (void)state;
    struct net net;
    struct sl_plan *plan = NULL;
    net_open(&net, folding_graph(false), 4, ~0u, 1);
    const uint64_t need = sl_plan_arena_bytes(net.plan);
    struct sl_plan_options options = {.batch = 4, .training = true, .memory_limit = need - 1};
    MUST_FAIL(sl_plan_open(net.graph, net.weights, &options, &plan), SL_UNAVAILABLE, "largest: ");
    assert_non_null(strstr(sl_last_error(), "conv"));
    assert_non_null(strstr(sl_last_error(), "--memory-limit"));
    options.memory_limit = need;
    MUST(sl_plan_open(net.graph, net.weights, &options, &plan));
    sl_plan_close(plan);
    /* Measured, without memory for the weights, it is the same. */
    struct sl_weights *sizes;
    struct sl_plan_memory memory;
    MUST(sl_weights_lay_out(net.graph, &net.device, &sizes));
    assert_null(sizes->values);
    assert_int_equal(sizes->trained, net.weights->trained);
    MUST(sl_plan_measure(net.graph, sizes, &options, &memory));
    assert_int_equal(memory.arena, need);
    assert_non_null(strstr(memory.largest, "conv"));
    net.device.threads = 3;
    const uint64_t one = memory.scratch;
    MUST(sl_plan_measure(net.graph, sizes, &options, &memory));
    assert_int_equal(memory.scratch, 3 * one);
    sl_weights_close(sizes);
    options.batch = 0;
    MUST_FAIL(sl_plan_open(net.graph, net.weights, &options, &plan), SL_BAD_CONFIG, "batch size is 0");
    options.batch = SL_MAX_BATCH + 1;
    MUST_FAIL(sl_plan_open(net.graph, net.weights, &options, &plan), SL_BAD_CONFIG, "1 to 65536");
    net_close(&net);
}

static void huge_values_are_refused(void **state)
{
    (void)state;
    struct sl_graph *graph;
    struct sl_device device;
    struct sl_weights *weights;
    struct sl_plan *plan;
    MUST(sl_graph_new("huge", &graph));
    int32_t x = sl_graph_input(graph, SL_MAX_SIDE, SL_MAX_SIDE, SL_MAX_SIDE);
    x = sl_graph_add(graph, "relu", x, SL_RELU());
    x = sl_graph_add(graph, "pool", x, SL_AVERAGE_POOL(.global = true));
    sl_graph_add(graph, "loss", x, SL_SOFTMAX_NLL());
    MUST(sl_graph_check(graph));
    MUST(sl_device_cpu_open(1, &device));
    MUST(sl_weights_open(graph, &device, true, &weights));
    struct sl_plan_options options = {.batch = SL_MAX_BATCH, .training = true, .memory_limit = 1 << 20};
    MUST_FAIL(sl_plan_open(graph, weights, &options, &plan), SL_UNAVAILABLE, "relu");
    options.batch = 1;
    MUST_FAIL(sl_plan_open(graph, weights, &options, &plan), SL_UNAVAILABLE, "largest: ");
    sl_weights_close(weights);
    sl_graph_free(graph);
    device.close(device.self);
}

static void wrong_batches_are_refused(void **state)
{
    (void)state;
    struct net net;
    net_open(&net, folding_graph(false), 4, ~0u, 1);
    struct batch batch = make_batch(net.graph, 4, 1);
    struct sl_plan_input input = {.images = batch.images, .labels = batch.labels, .count = 4};
    MUST_FAIL(sl_plan_backward(net.plan, NULL), SL_INTERNAL, "without a training forward");
    batch.labels[3] = 4;
    MUST_FAIL(sl_plan_forward(net.plan, &input), SL_BAD_DATA, "label 4 of a network with 4 classes");
    batch.labels[3] = -1;
    MUST_FAIL(sl_plan_forward(net.plan, &input), SL_BAD_DATA, "label -1");
    input.count = 3; /* labels past the batch are nobody's business */
    MUST(sl_plan_forward(net.plan, &input));
    input.count = 0;
    MUST_FAIL(sl_plan_forward(net.plan, &input), SL_INTERNAL, "a batch of 0");
    input.count = 5;
    MUST_FAIL(sl_plan_forward(net.plan, &input), SL_INTERNAL, "a batch of 5 for a plan of 4");
    input = (struct sl_plan_input){.images = batch.images, .count = 4};
    MUST_FAIL(sl_plan_forward(net.plan, &input), SL_INTERNAL, "without labels");
    free_batch(&batch);
    net_close(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_alive_together_share_no_byte),
        cmocka_unit_test(blocks_that_never_meet_share),
        cmocka_unit_test(layers_are_fused_only_where_they_may),
        cmocka_unit_test(darknet_fuses_every_pool),
        cmocka_unit_test(folded_equals_unfolded),
        cmocka_unit_test(limits_are_kept),
        cmocka_unit_test(huge_values_are_refused),
        cmocka_unit_test(wrong_batches_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
