/* An inference plan in the arena of a training plan: the same answers, no memory of its own, and training goes on as if
 * nothing had been there. */
#include "runtime/plan/arena.h"
#include "tests/net.h"

enum { BATCH = 6, SIDE = 32, CLASSES = 10 };

/* In the style of the default network, whose weights alone would be most of this test's work. */
static struct sl_graph *network(void)
{
    struct sl_graph *graph;
    MUST(sl_graph_new("two blocks", &graph));
    int32_t x = sl_graph_input(graph, SIDE, SIDE, 3);
    x = sl_graph_add(graph, "conv0", x, SL_CONV2D(.filters = 32));
    x = sl_graph_add(graph, "norm0", x, SL_BATCH_NORM());
    x = sl_graph_add(graph, "act0", x, SL_LEAKY_RELU());
    x = sl_graph_add(graph, "conv1", x, SL_CONV2D(.filters = 64, .kernel = {2, 2}));
    x = sl_graph_add(graph, "norm1", x, SL_BATCH_NORM());
    x = sl_graph_add(graph, "act1", x, SL_LEAKY_RELU());
    x = sl_graph_add(graph, "pool1", x, SL_MAX_POOL(.kernel = {2, 2}));
    x = sl_graph_add(graph, "classes", x, SL_CONV2D(.filters = CLASSES, .kernel = {1, 1}, .bias = true));
    x = sl_graph_add(graph, "gap", x, SL_AVERAGE_POOL(.global = true));
    sl_graph_add(graph, "loss", x, SL_SOFTMAX_NLL());
    return graph;
}

static struct sl_plan *open_inference(const struct net *net, int32_t batch, const struct sl_plan *within)
{
    struct sl_plan *plan;
    const struct sl_plan_options options = {.batch = batch, .within = within};
    MUST(sl_plan_open(net->graph, net->weights, &options, &plan));
    return plan;
}

/* Probabilities of a batch: rows of CLASSES. */
static void infer(struct sl_plan *plan, const struct batch *batch, float *p)
{
    const struct sl_plan_input input = {.images = batch->images, .count = batch->count};
    const float *rows;
    int32_t stride;
    MUST(sl_plan_prepare(plan));
    MUST(sl_plan_forward(plan, &input));
    MUST(sl_plan_probabilities(plan, &rows, &stride));
    for (int32_t i = 0; i < batch->count; i++)
        memcpy(p + CLASSES * i, rows + (size_t)i * (size_t)stride, CLASSES * sizeof *p);
}

/* A plan that has its own arena gives the same answers. */
static void assert_same_answers(struct sl_plan *within, struct sl_plan *own, const struct batch *batch)
{
    float own_p[CLASSES * BATCH], p[CLASSES * BATCH];
    infer(own, batch, own_p);
    infer(within, batch, p);
    assert_memory_equal(p, own_p, sizeof p);
}

static void answers_are_the_same_and_cost_no_memory(void **state)
{
    (void)state;
    struct net net;
    net_open(&net, network(), BATCH, ~0u, 2);
    struct batch batch = make_batch(net.graph, BATCH, 1);
    train_on(&net, &batch, 0);
    struct sl_plan *own = open_inference(&net, BATCH, NULL), *within = open_inference(&net, BATCH, net.plan);
    assert_true(sl_plan_arena_bytes(own) > 0);
    assert_int_equal(sl_plan_arena_bytes(within), 0);
    assert_same_answers(within, own, &batch);
    sl_plan_close(within);
    sl_plan_close(own);
    free_batch(&batch);
    net_close(&net);
}

static void measuring_says_so_beforehand(void **state)
{
    (void)state;
    struct net net;
    struct sl_plan *outer;
    struct sl_plan_memory memory;
    struct sl_plan_options options = {.batch = BATCH, .training = true, .dry = true};
    net_open(&net, network(), BATCH, ~0u, 1);
    MUST(sl_plan_open(net.graph, net.weights, &options, &outer));
    options = (struct sl_plan_options){.batch = BATCH, .within = outer};
    MUST(sl_plan_measure(net.graph, net.weights, &options, &memory));
    assert_int_equal(memory.arena, 0);
    sl_plan_close(outer);
    net_close(&net);
}

static void training_goes_on_with_the_same_bits(void **state)
{
    (void)state;
    struct net net, other;
    float p[CLASSES * BATCH];
    net_open(&net, network(), BATCH, ~0u, 2);
    net_open(&other, network(), BATCH, ~0u, 2);
    struct batch batch = make_batch(net.graph, BATCH, 1);
    struct sl_plan *within = open_inference(&net, BATCH, net.plan);
    for (uint64_t i = 0; i < 3; i++) {
        train_on(&net, &batch, i);
        infer(within, &batch, p);
        train_on(&other, &batch, i);
    }
    assert_memory_equal(net.weights->values, other.weights->values, (size_t)net.weights->trained * sizeof(float));
    assert_memory_equal(net.weights->statistics, other.weights->statistics, (size_t)net.weights->state * sizeof(float));
    sl_plan_close(within);
    free_batch(&batch);
    net_close(&other);
    net_close(&net);
}

/* The scalars of the last step are among what training keeps. */
static void what_training_keeps_stays(void **state)
{
    (void)state;
    struct net net;
    float p[CLASSES * BATCH];
    struct sl_now before, after;
    net_open(&net, network(), BATCH, ~0u, 2);
    struct batch batch = make_batch(net.graph, BATCH, 1);
    struct sl_plan *within = open_inference(&net, BATCH, net.plan);
    train_on(&net, &batch, 3);
    MUST(sl_plan_read_now(net.plan, &before));
    infer(within, &batch, p);
    MUST(sl_plan_read_now(net.plan, &after));
    assert_int_equal(before.iteration, 3);
    assert_memory_equal(&before, &after, sizeof before);
    sl_plan_close(within);
    free_batch(&batch);
    net_close(&net);
}

static void what_does_not_fit_has_an_arena_of_its_own(void **state)
{
    (void)state;
    struct net net;
    net_open(&net, network(), 1, ~0u, 2);
    struct batch batch = make_batch(net.graph, BATCH, 1);
    struct sl_plan *own = open_inference(&net, BATCH, NULL), *within = open_inference(&net, 4 * BATCH, net.plan);
    assert_true(sl_plan_arena_bytes(within) > sl_plan_arena_bytes(own));
    assert_same_answers(within, own, &batch);
    sl_plan_close(within);
    sl_plan_close(own);
    free_batch(&batch);
    net_close(&net);
}

static void blocks_keep_clear_of_others(void **state)
{
    (void)state;
    const struct sl_block others[] = {{1000, 0, 9, "a", "x", 512}, {100, 0, 9, "a", "y", 4096}};
    struct sl_block blocks[] = {{500, 20, 21, "b", "x", 0}, {3000, 22, 23, "b", "y", 0}, {2500, 24, 24, "b", "z", 0}};
    size_t total;
    MUST(sl_arena_place_beside(others, 2, blocks, 3, &total));
    assert_int_equal(blocks[0].offset, 0);
    assert_int_equal(blocks[1].offset, 4096 + 256);
    assert_int_equal(blocks[2].offset, 1536);
    assert_int_equal(total, 4096 + 256 + 3072);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_the_same_and_cost_no_memory),   cmocka_unit_test(measuring_says_so_beforehand),
        cmocka_unit_test(training_goes_on_with_the_same_bits),       cmocka_unit_test(what_training_keeps_stays),
        cmocka_unit_test(what_does_not_fit_has_an_arena_of_its_own), cmocka_unit_test(blocks_keep_clear_of_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
