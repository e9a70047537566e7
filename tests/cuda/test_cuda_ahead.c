/* Training on a device that works while the host goes on: copies beside its work, results that are waited for late,
 * steps that are recorded and replayed. All of it has the bits of a device that does one thing after the other. */
#include "tests/cuda/ahead_session.h"

/* ---- the same bits ---- */

static void every_way_has_the_same_bits(void **state)
{
    static const struct {
        const char *what;
        bool late, records, ahead;
        enum where where;
        bool rounded; /* in bf16 as well */
    } ways[] = {
        {"one after the other", false, false, false, KEPT, false},
        {"ahead", false, false, true, KEPT, false},
        {"ahead, sent late", true, false, true, KEPT, false},
        {"recorded", false, true, false, KEPT, false},
        {"recorded, ahead", true, true, true, KEPT, true},
        {"sent, ahead", false, false, true, NOT_DECODED, false},
        {"sent late, ahead", true, false, true, NO_ROOM, false},
        {"sent, recorded, ahead", false, true, true, NO_ROOM, true},
        {"sent late, recorded", true, true, true, NOT_DECODED, false},
    };
    enum { WAYS = sizeof ways / sizeof *ways };
    (void)state;
    for (int precision = 0; precision < 2; precision++) {
        const enum sl_element element = precision ? SL_ELEMENT_BF16 : SL_ELEMENT_F32;
        struct sl_device device;
        struct trace wanted;
        emulated_device_open(0, &device);
        trace_one_after_the_other(&device, element, &wanted);
        device.close(device.self);
        for (int i = 0; i < WAYS; i++) {
            struct sl_session session;
            struct trace got;
            if (precision && !ways[i].rounded)
                continue;
            ahead_device_open(ways[i].late, ways[i].records, &device);
            open_where(&device, ways[i].where, element, &session);
            run_all(&session, ways[i].ahead, &got);
            assert_same(ways[i].what, &got, &wanted);
            assert_int_equal(sl_plan_replays(session.training) > 0, ways[i].records);
            sl_session_close(&session);
            device.close(device.self);
            close_trace(&got);
        }
        close_trace(&wanted);
    }
}

/* ---- steps ahead ---- */

/* Many steps, each on a store of images of its own, and nobody asks what came of them. */
static float *start_steps(struct sl_device *device, int64_t *n)
{
    enum { IMAGES = 4, SIDE = 6, STORES = 6 };
    static uint8_t stores[STORES][IMAGES * SIDE * SIDE * 3];
    const struct sl_image_place places[IMAGES] = {{2, 0, 1, 0}, {0, -1, 0, 1}, {3, 0, 0, 0}, {1, 1, 0, 1}};
    const int32_t labels[IMAGES] = {0, 1, 2, 3};
    struct net net;
    struct sl_train_ticket ticket;
    net_open_on(&net, norm_graph(), IMAGES, device);
    for (int i = 0; i < STORES; i++) {
        const struct sl_plan_pixels pixels = {stores[i], places, {0.004f, 0.004f, 0.004f}, {0.0f, 0.0f, 0.0f}};
        const struct sl_train_input step = {
            .batch = {.pixels = &pixels, .labels = labels, .count = IMAGES, .iteration = (uint64_t)i}, .rate = 1e-2};
        for (size_t k = 0; k < sizeof stores[i]; k++)
            stores[i][k] = (uint8_t)((k * 37 + (size_t)i * 101) % 251);
        MUST(sl_train_start(net.plan, net.updater, &step, &ticket));
        memset(stores[i], 0, sizeof stores[i]); /* it is copied */
    }
    *n = net.weights->trained;
    float *weights = malloc((size_t)*n * sizeof *weights);
    assert_non_null(weights);
    MUST(device->sync(device->self));
    MUST(device->copy(device->self, weights, net.weights->values, (size_t)*n * sizeof *weights));
    net_close(&net);
    return weights;
}

static void a_slot_is_not_filled_while_it_is_read(void **state)
{
    (void)state;
    struct sl_device device;
    int64_t n;
    emulated_device_open(0, &device);
    float *wanted = start_steps(&device, &n);
    for (int way = 0; way < 4; way++) {
        ahead_device_open(way & 1, way & 2, &device);
        float *got = start_steps(&device, &n);
        assert_memory_equal(got, wanted, (size_t)n * sizeof *got);
        free(got);
    }
    free(wanted);
}

static void a_step_ahead_has_to_be_taken(void **state)
{
    struct sl_device device;
    struct sl_session session;
    struct sl_session_result result;
    struct sl_metrics metrics;
    (void)state;
    ahead_device_open(false, true, &device);
    open_where(&device, KEPT, SL_ELEMENT_F32, &session);
    assert_ok(sl_metrics_open(&metrics, CLASSES, 2));
    session.goes_on = true;
    assert_ok(sl_session_step(&session, &result));
    assert_true(session.ahead.there);
    assert_int_equal(session.position.iteration, 1);
    assert_fails(sl_session_validate(&session, &metrics, NULL), SL_INTERNAL, "started and not yet taken");
    assert_fails(sl_session_save(&session, NULL), SL_INTERNAL, "started and not yet taken");
    session.goes_on = false;
    assert_ok(sl_session_step(&session, &result));
    assert_int_equal(result.iteration, 1);
    assert_ok(sl_session_settled(&session));
    assert_ok(sl_session_validate(&session, &metrics, NULL));
    sl_metrics_close(&metrics);
    sl_session_close(&session);
    device.close(device.self);
}

/* Weights that have grown out of bounds: the steps from then on are refused, and skipped. */
static void lose_ground(struct sl_device *device, bool ahead, int refused[STEPS], struct trace *trace)
{
    struct sl_session session;
    struct sl_session_result result;
    struct sl_session_options options = options_of(device);
    options.updater.kind = SL_UPDATER_SGD;
    options.schedule = (struct sl_schedule){.count = 2, .epochs = {0, 1}, .rates = {1e-3, 1e30}};
    assert_ok(sl_session_open(&options, build_tiny, NULL, &session));
    for (int i = 0; i < STEPS; i++) {
        if (sl_session_epoch_trained(&session))
            sl_session_next_epoch(&session);
        session.goes_on = ahead && i + 1 < STEPS;
        const int rc = sl_session_step(&session, &result);
        refused[i] = rc;
        trace->losses[i] = rc == SL_OK ? result.loss : 0.0;
        if (rc == SL_NUMERICS)
            sl_session_skip(&session);
        else
            assert_ok(rc);
        assert_int_equal(session.position.iteration, i + 1);
    }
    take_trace(&session, trace);
    sl_session_close(&session);
}

static void a_bad_step_is_refused_alike(void **state)
{
    struct sl_device device;
    struct trace wanted = {.validation = 0}, got = {.validation = 0};
    int refused[STEPS], expected[STEPS], count = 0;
    (void)state;
    emulated_device_open(0, &device);
    lose_ground(&device, false, expected, &wanted);
    device.close(device.self);
    ahead_device_open(true, true, &device);
    lose_ground(&device, true, refused, &got);
    device.close(device.self);
    for (int i = 0; i < STEPS; i++) {
        assert_int_equal(refused[i], expected[i]);
        count += expected[i] == SL_NUMERICS;
    }
    assert_true(count > 1 && count < STEPS);
    assert_memory_equal(got.losses, wanted.losses, sizeof got.losses);
    assert_memory_equal(got.weights, wanted.weights, (size_t)wanted.trained * sizeof(float));
    assert_memory_equal(got.statistics, wanted.statistics, (size_t)wanted.state * sizeof(float));
    close_trace(&wanted);
    close_trace(&got);
}

/* Saved between two steps, by a device that works ahead; taken up by one that does not, and the other way round. */
static void a_checkpoint_has_the_same_bits(void **state)
{
    enum { HALF = 9 };
    struct sl_device device;
    struct sl_session session;
    struct sl_store *store;
    struct sl_checkpoint checkpoint;
    struct trace wanted = {.validation = 0}, got = {.validation = 0};
    (void)state;
    ahead_device_open(true, true, &device);
    open_where(&device, KEPT, SL_ELEMENT_F32, &session);
    train(&session, 0, HALF, true, wanted.losses);
    assert_ok(sl_store_open(at("run"), 3, &store));
    assert_ok(sl_session_save(&session, store));
    sl_store_close(store);
    train(&session, HALF, STEPS, true, wanted.losses);
    take_trace(&session, &wanted);
    sl_session_close(&session);
    device.close(device.self);

    emulated_device_open(0, &device);
    const struct sl_session_options options = options_of(&device);
    assert_ok(sl_session_open(&options, build_tiny, NULL, &session));
    assert_ok(sl_store_load(at("run"), NULL, NULL, &checkpoint));
    assert_ok(sl_session_resume(&session, &checkpoint, NULL, NULL));
    sl_checkpoint_close(&checkpoint);
    memcpy(got.losses, wanted.losses, sizeof got.losses);
    train(&session, HALF, STEPS, false, got.losses);
    take_trace(&session, &got);
    assert_same("resumed", &got, &wanted);
    sl_session_close(&session);
    device.close(device.self);
    close_trace(&wanted);
    close_trace(&got);
}

static int agree(void *self, struct sl_vote *vote)
{
    (void)self, (void)vote;
    return SL_OK;
}

/* Whoever has to ask others does one step after the other, with the same bits. */
static void a_step_with_others_is_not_ahead(void **state)
{
    struct sl_device device;
    struct sl_session session;
    struct trace wanted, got;
    (void)state;
    emulated_device_open(0, &device);
    trace_one_after_the_other(&device, SL_ELEMENT_F32, &wanted);
    device.close(device.self);
    ahead_device_open(true, true, &device);
    open_where(&device, NO_ROOM, SL_ELEMENT_F32, &session);
    session.hooks.agree = agree;
    run_all(&session, true, &got);
    assert_same("with others", &got, &wanted);
    assert_int_equal(sl_plan_replays(session.training), 0);
    sl_session_close(&session);
    device.close(device.self);
    close_trace(&got);
    close_trace(&wanted);
}

/* ---- names for a profiler ---- */

static struct told ranges;

static void push(void *self, const char *name)
{
    const size_t n = strlen(ranges.text);
    (void)self;
    snprintf(ranges.text + n, sizeof ranges.text - n, "(%s", name);
}

static void pop(void *self)
{
    (void)self;
    strncat(ranges.text, ")", sizeof ranges.text - strlen(ranges.text) - 1);
}

static void a_profile_reads_like_the_model(void **state)
{
    struct sl_device device;
    struct sl_session session;
    struct sl_session_result result;
    (void)state;
    ahead_device_open(false, false, &device);
    device.range_push = push;
    device.range_pop = pop;
    open_where(&device, KEPT, SL_ELEMENT_F32, &session);
    ranges.text[0] = '\0';
    assert_ok(sl_session_step(&session, &result));
    assert_string_equal(ranges.text, "(step(load)"
                                     "(forward(conv0)(norm0)(conv1)(norm1)(drop)(conv2)(gap)(loss))"
                                     "(backward(loss)(gap)(conv2)(drop)(norm1)(conv1)(norm0)(conv0))"
                                     "(judge)(update)(commit))");
    sl_session_close(&session);
    device.close(device.self);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_way_has_the_same_bits),    cmocka_unit_test(a_slot_is_not_filled_while_it_is_read),
        cmocka_unit_test(a_step_ahead_has_to_be_taken),   cmocka_unit_test(a_bad_step_is_refused_alike),
        cmocka_unit_test(a_checkpoint_has_the_same_bits), cmocka_unit_test(a_step_with_others_is_not_ahead),
        cmocka_unit_test(a_profile_reads_like_the_model),
    };
    return cmocka_run_group_tests(tests, set_up, leave);
}
