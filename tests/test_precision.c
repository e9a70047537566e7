/* Networks whose activations are bf16: near those of floats, the same bits however they are run, and half the memory.
 */
#include <math.h>

#include "models/models.h"
#include "tests/layer_cases.h"

static void open_bf16(struct net *net, const struct layer_case *c, uint32_t isa, int threads)
{
    struct sl_device device;
    MUST(sl_device_cpu_open(threads, &device));
    device.isa &= isa;
    net_open_in(net, build(c), 5, SL_ELEMENT_BF16, &device);
}

/* How far the gradients of one batch are from each other; the losses are within `loss_limit`. Closes both. */
static double distance_of(const struct layer_case *c, struct net *got, struct net *want, double loss_limit)
{
    struct batch batch = make_batch(want->graph, 5, 2);
    const double got_loss = gradients_of(got, &batch), loss = gradients_of(want, &batch);
    const double distance = gradient_distance(got, want);
    if (!(fabs(got_loss - loss) <= loss_limit * fabs(loss)))
        fail_msg("%s, %s: the loss is %.9g, not %.9g", c->row, c->name, got_loss, loss);
    free_batch(&batch);
    net_close(got);
    net_close(want);
    return distance;
}

/* A number that is rounded to bf16 is off by at most 2^-9 of itself, and a handful of them lie between an image and its
 * loss, as many between the loss and a weight: gradients are off by 0.002 to 0.007 of their norm. Where rounding
 * decides a maximum the other way, the gradient goes another way too: of one case that is a tenth. */
static void a_step_is_near_that_of_floats(void **state)
{
    (void)state;
    int elsewhere = 0;
    for (size_t k = 0; k < CASES; k++) {
        struct net got, want;
        open_bf16(&got, &cases[k], ~0u, 2);
        net_open(&want, build(&cases[k]), 5, SL_CPU, 1);
        const double distance = distance_of(&cases[k], &got, &want, 0.003);
        elsewhere += !(distance <= 0.01);
        if (!(distance <= 0.2) || elsewhere > 1)
            fail_msg("%s, %s: gradients are off by %.3g of their norm", cases[k].row, cases[k].name, distance);
    }
}

/* Both round the same numbers but for the last bits of their sums, few of which fall to the other side. Rows that
 * multiply pairs round the weights as well. */
static void rows_agree_with_references(void **state)
{
    (void)state;
    for (size_t k = 0; k < CASES; k++) {
        struct net got, want;
        open_bf16(&got, &cases[k], ~0u, 2);
        open_bf16(&want, &cases[k], SL_CPU, 1);
        const double distance = distance_of(&cases[k], &got, &want, 0.003);
        if (!(distance <= 1e-2))
            fail_msg("%s, %s: gradients are off by %.3g of their norm", cases[k].row, cases[k].name, distance);
    }
}

static void any_thread_count_gives_the_same_bits(void **state)
{
    (void)state;
    for (size_t k = 0; k < CASES; k++) {
        struct net nets[2];
        for (int i = 0; i < 2; i++) {
            open_bf16(&nets[i], &cases[k], ~0u, i ? 5 : 1);
            for (uint64_t step = 0; step < 3; step++) {
                struct batch batch = make_batch(nets[i].graph, step == 1 ? 3 : 5, step);
                train_on(&nets[i], &batch, step);
                free_batch(&batch);
            }
        }
        const size_t bytes = (size_t)nets[0].weights->trained * sizeof(float);
        if (memcmp(nets[0].weights->values, nets[1].weights->values, bytes))
            fail_msg("%s, %s: the weights depend on the threads", cases[k].row, cases[k].name);
        net_close(&nets[0]);
        net_close(&nets[1]);
    }
}

/* One batch over and over: the loss falls to a small part of what it was. */
static void it_learns(void **state)
{
    (void)state;
    struct net net;
    open_bf16(&net, &cases[4], ~0u, 1);
    struct batch batch = make_batch(net.graph, 5, 2);
    const double before = forward_loss(&net, &batch);
    for (uint64_t step = 0; step < 100; step++)
        train_on(&net, &batch, step);
    assert_true(forward_loss(&net, &batch) < before / 10.0);
    free_batch(&batch);
    net_close(&net);
}

static uint64_t arena_of(enum sl_element precision, bool training)
{
    const struct sl_model_options model = {64, 200};
    const struct sl_plan_options options = {.batch = 32, .training = training, .precision = precision};
    struct sl_device device;
    struct sl_graph *graph;
    struct sl_weights *weights;
    struct sl_plan_memory memory;
    MUST(sl_device_cpu_open(1, &device));
    MUST(sl_model_build("darknet", &model, &graph));
    MUST(sl_weights_lay_out(graph, &device, &weights));
    MUST(sl_plan_measure(graph, weights, &options, &memory));
    sl_weights_close(weights);
    sl_graph_free(graph);
    device.close(device.self);
    return memory.arena;
}

/* In inference weights, and what is packed of them, take their part. */
static void activations_take_half_the_memory(void **state)
{
    (void)state;
    static const double shares[2] = {1.0, 0.6};
    for (int training = 0; training < 2; training++) {
        const uint64_t floats = arena_of(SL_ELEMENT_F32, training), halves = arena_of(SL_ELEMENT_BF16, training);
        if ((double)halves > shares[training] * (double)floats)
            fail_msg("%llu bytes in bf16, %llu in fp32", (unsigned long long)halves, (unsigned long long)floats);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_is_near_that_of_floats),        cmocka_unit_test(rows_agree_with_references),
        cmocka_unit_test(any_thread_count_gives_the_same_bits), cmocka_unit_test(it_learns),
        cmocka_unit_test(activations_take_half_the_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
