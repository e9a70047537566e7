/* The gradient in parts: for every network of layer_cases.h each parameter is told once, when it is final, whatever
 * happens. */
#include "tests/layer_cases.h"

enum { BATCH = 3 };

struct telling {
    struct net *net;
    float *told;   /* [trained]: as they were when told */
    uint8_t *seen; /* [trained] */
    int32_t stage; /* of the part before */
    size_t parts;
    bool last;
    size_t refuse_at; /* the part that is refused; 0: none */
};

static int tell(void *self, struct sl_span part, bool last)
{
    struct telling *t = self;
    const struct sl_plan_part *parts;
    const size_t at = (size_t)(part.at - t->net->weights->gradients), count = sl_plan_parts(t->net->plan, &parts);
    assert_false(t->last);
    assert_true(t->parts < count && part.n > 0);
    assert_int_equal(at, parts[t->parts].at);
    assert_int_equal(part.n, parts[t->parts].n);
    assert_true(parts[t->parts].stage <= t->stage);
    for (size_t i = at; i < at + part.n; i++) {
        assert_int_equal(t->seen[i]++, 0);
        t->told[i] = t->net->weights->gradients[i];
    }
    t->stage = parts[t->parts++].stage;
    t->last = last;
    return t->parts == t->refuse_at ? sl_fail(SL_IO, "nobody listens") : SL_OK;
}

static struct telling begin(struct net *net)
{
    struct telling t = {.net = net, .stage = INT32_MAX};
    t.told = calloc((size_t)net->weights->trained, sizeof *t.told);
    t.seen = calloc((size_t)net->weights->trained, sizeof *t.seen);
    assert_true(t.told && t.seen);
    return t;
}

static void end(struct telling *t)
{
    free(t->told);
    free(t->seen);
}

static void assert_all_told(const struct telling *t)
{
    assert_true(t->last);
    for (int64_t i = 0; i < t->net->weights->trained; i++)
        assert_int_equal(t->seen[i], 1);
}

static void every_part_is_told_once_and_final(void **state)
{
    (void)state;
    for (int i = 0; i < CASES; i++) {
        struct net net;
        net_open(&net, build(&cases[i]), BATCH, ~0u, 1);
        struct batch batch = make_batch(net.graph, BATCH, 3);
        const size_t bytes = (size_t)net.weights->trained * sizeof(float);
        float *wanted = malloc(bytes);
        assert_non_null(wanted);
        gradients_of(&net, &batch);
        memcpy(wanted, net.weights->gradients, bytes);
        struct telling t = begin(&net);
        const struct sl_plan_listener listener = {tell, &t};
        forward_loss(&net, &batch);
        memset(net.weights->gradients, 0xff, bytes);
        MUST(sl_plan_backward(net.plan, &listener));
        assert_all_told(&t);
        assert_memory_equal(t.told, wanted, bytes);
        assert_memory_equal(net.weights->gradients, wanted, bytes);
        end(&t);
        free(wanted);
        free_batch(&batch);
        net_close(&net);
    }
}

/* Weights lie in one range, vectors in another: gamma and beta of a norm are one part, a convolution's weights another.
 */
static void neighbours_of_a_stage_are_one_part(void **state)
{
    (void)state;
    static const struct layer_case c = {"batch_norm", "fused", norm_fused, 8, 6, 3};
    struct net net;
    const struct sl_plan_part *parts;
    net_open(&net, build(&c), BATCH, ~0u, 1);
    assert_int_equal(sl_plan_parts(net.plan, &parts), 4);
    assert_true(parts[0].at + parts[0].n == net.weights->decayed);
    assert_true(parts[1].at + parts[1].n == net.weights->trained);
    assert_true(parts[2].at == net.weights->decayed && parts[2].n == 2 * 5);
    assert_true(parts[3].at == 0 && parts[3].n == parts[0].at);
    net_close(&net);
}

static void a_rank_without_images_tells_zeros(void **state)
{
    (void)state;
    struct net net;
    struct sl_now now;
    net_open(&net, build(&cases[3]), BATCH, ~0u, 1);
    struct batch batch = make_batch(net.graph, BATCH, 3);
    train_on(&net, &batch, 0);
    const size_t state_bytes = (size_t)net.weights->state * sizeof(float);
    float *statistics = malloc(state_bytes);
    assert_non_null(statistics);
    memcpy(statistics, net.weights->statistics, state_bytes);
    struct telling t = begin(&net);
    const struct sl_plan_listener listener = {tell, &t};
    const struct sl_plan_input nothing = {.iteration = 1, .rate = 0.5f};
    memset(net.weights->gradients, 0xff, (size_t)net.weights->trained * sizeof(float));
    MUST(sl_plan_idle(net.plan, &nothing, &listener));
    assert_all_told(&t);
    MUST(sl_plan_judge(net.plan));
    MUST(sl_plan_commit(net.plan));
    MUST(sl_plan_read_now(net.plan, &now));
    for (int64_t i = 0; i < net.weights->trained; i++)
        assert_true(t.told[i] == 0 && net.weights->gradients[i] == 0);
    assert_true(now.loss == 0 && now.gradient_norm == 0 && now.half_norm > 0 && !now.bad && now.iteration == 1);
    assert_memory_equal(net.weights->statistics, statistics, state_bytes);
    free(statistics);
    end(&t);
    free_batch(&batch);
    net_close(&net);
}

/* ---- failures ---- */

static struct sl_device real;
static int forks_left;

static int failing_fork(void *self, int64_t units, size_t scratch, sl_task_fn *task, void *task_self)
{
    if (forks_left-- <= 0)
        return sl_fail(SL_UNAVAILABLE, "the device is gone");
    return real.fork(self, units, scratch, task, task_self);
}

static void a_failing_stage_leaves_zeros(void **state)
{
    (void)state;
    struct net net;
    int complete = 0;
    MUST(sl_device_cpu_open(1, &real));
    struct sl_device device = real;
    device.fork = failing_fork;
    forks_left = 1 << 20;
    net_open_on(&net, build(&cases[8]), BATCH, &device);
    struct batch batch = make_batch(net.graph, BATCH, 3);
    for (int forks = 0; !complete; forks++) {
        struct telling t = begin(&net);
        const struct sl_plan_listener listener = {tell, &t};
        forks_left = 1 << 20;
        forward_loss(&net, &batch);
        memset(net.weights->gradients, 0xff, (size_t)net.weights->trained * sizeof(float));
        forks_left = forks;
        const int rc = sl_plan_backward(net.plan, &listener);
        complete = rc == SL_OK;
        assert_all_told(&t);
        if (forks == 0)
            for (int64_t i = 0; i < net.weights->trained; i++)
                assert_true(t.told[i] == 0);
        if (!complete) {
            assert_int_equal(rc, SL_UNAVAILABLE);
            assert_string_equal(sl_last_error(), "the device is gone");
        }
        end(&t);
    }
    free_batch(&batch);
    net_close(&net);
}

static void a_listener_may_end_it(void **state)
{
    (void)state;
    struct net net;
    net_open(&net, build(&cases[8]), BATCH, ~0u, 1);
    struct batch batch = make_batch(net.graph, BATCH, 3);
    struct telling t = begin(&net);
    t.refuse_at = 2;
    const struct sl_plan_listener listener = {tell, &t};
    forward_loss(&net, &batch);
    MUST_FAIL(sl_plan_backward(net.plan, &listener), SL_IO, "nobody listens");
    assert_int_equal(t.parts, 2);
    end(&t);
    free_batch(&batch);
    net_close(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_part_is_told_once_and_final),
        cmocka_unit_test(neighbours_of_a_stage_are_one_part),
        cmocka_unit_test(a_rank_without_images_tells_zeros),
        cmocka_unit_test(a_failing_stage_leaves_zeros),
        cmocka_unit_test(a_listener_may_end_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
