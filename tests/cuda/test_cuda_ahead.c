/* Training on a device that works while the host goes on: copies beside its work, results that are waited for late,
 * steps that are recorded and replayed. All of it has the bits of a device that does one thing after the other. */
#include "tests/cuda/ahead_device.h"

#include <math.h>

#include "tests/cuda/tiny_session.h"
#include "tests/net.h"

/* ---- the same bits ---- */

/* What training leaves behind. */
struct trace {
    double losses[STEPS], validation;
    float *weights, *statistics, *moments;
    int64_t trained, state;
};

static void close_trace(struct trace *trace)
{
    free(trace->weights);
    free(trace->statistics);
    free(trace->moments);
}

static struct sl_session_options options_of(const struct sl_device *device)
{
    struct sl_session_options options = tiny_options(device);
    options.schedule = (struct sl_schedule){.count = 3, .epochs = {0, 1, 2}, .rates = {1e-3, 5e-4, 2e-4}};
    return options;
}

/* The steps of a run; with `ahead`, each starts the next one where there is one. */
static void train(struct sl_session *session, int from, int to, bool ahead, double losses[])
{
    for (int i = from; i < to; i++) {
        session->goes_on = ahead && i + 1 < to;
        take_steps(session, 1, &losses[i]);
    }
}

static double validate(struct sl_session *session)
{
    struct sl_metrics metrics;
    assert_ok(sl_metrics_open(&metrics, CLASSES, 2));
    assert_ok(sl_session_validate(session, &metrics, NULL));
    const double loss = sl_metrics_mean_loss(&metrics);
    sl_metrics_close(&metrics);
    return loss;
}

static void take_trace(struct sl_session *session, struct trace *trace)
{
    const struct sl_weights *w = session->weights;
    trace->trained = w->trained;
    trace->state = w->state;
    trace->weights = copy_back(session, w->values, w->trained);
    trace->statistics = copy_back(session, w->statistics, w->state);
    trace->moments = copy_back(session, session->updater->state[0], w->trained);
}

/* Half of the steps, a validation whose plan shares the arena, and the rest. */
static void run_all(struct sl_session *session, bool ahead, struct trace *trace)
{
    enum { HALF = 9 };
    train(session, 0, HALF, ahead, trace->losses);
    trace->validation = validate(session);
    train(session, HALF, STEPS, ahead, trace->losses);
    take_trace(session, trace);
}

static void assert_same(const char *what, const struct trace *got, const struct trace *wanted)
{
    for (int i = 0; i < STEPS; i++)
        if (memcmp(&got->losses[i], &wanted->losses[i], sizeof *got->losses))
            fail_msg("%s: the loss of step %d is %.17g, not %.17g", what, i, got->losses[i], wanted->losses[i]);
    assert_true(got->validation == wanted->validation);
    assert_memory_equal(got->weights, wanted->weights, (size_t)wanted->trained * sizeof(float));
    assert_memory_equal(got->statistics, wanted->statistics, (size_t)wanted->state * sizeof(float));
    assert_memory_equal(got->moments, wanted->moments, (size_t)wanted->trained * sizeof(float));
}

struct told {
    char text[2048];
};

static void note(void *self, const char *line)
{
    struct told *told = self;
    const size_t n = strlen(told->text);
    snprintf(told->text + n, sizeof told->text - n, "%s\n", line);
}

enum where { KEPT, NOT_DECODED, NO_ROOM };

/* What a session takes in all. */
static struct sl_session_memory memory_of(const struct sl_device *device, enum sl_element precision)
{
    struct sl_session session;
    struct sl_session_options options = options_of(device);
    options.precision = precision;
    assert_ok(sl_session_open(&options, build_tiny, NULL, &session));
    const struct sl_session_memory memory = session.memory;
    sl_session_close(&session);
    return memory;
}

static void open_where(struct sl_device *device, enum where where, enum sl_element precision,
                       struct sl_session *session)
{
    static const char *const said[] = {
        [KEPT] = "images of train stay with emulated (0.0 MB): a step sends their places alone",
        [NOT_DECODED] = "images of train are sent to emulated batch by batch: there is no room to keep all of them",
        [NO_ROOM] = "images of train are sent to emulated batch by batch: it has no room for all of them",
    };
    struct told told = {""};
    struct sl_session_options options = options_of(device);
    options.precision = precision;
    options.say = note;
    options.say_self = &told;
    const struct sl_session_memory m = memory_of(device, precision);
    if (where == NOT_DECODED)
        options.memory_limit = m.loading + m.shards;
    if (where == NO_ROOM) /* but for what stays free */
        device->memory = m.weights + m.training + m.inference + m.scratch + m.held;
    assert_ok(sl_session_open(&options, build_tiny, NULL, session));
    if (!strstr(told.text, said[where]))
        fail_msg("\"%s\" was not said, but: %s", said[where], told.text);
    assert_int_equal(sl_loader_cache(session->train) == NULL, where == NOT_DECODED);
    session->options.say = NULL;
}

/* This device does nothing ahead, whatever the caller allows. */
static void trace_one_after_the_other(const struct sl_device *device, enum sl_element precision, struct trace *trace)
{
    struct sl_session session;
    struct sl_session_options options = options_of(device);
    options.precision = precision;
    assert_ok(sl_session_open(&options, build_tiny, NULL, &session));
    run_all(&session, true, trace);
    assert_false(session.ahead.there);
    sl_session_close(&session);
}

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
        emulated_device_open(false, &device);
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

/* ---- what is sent and recorded ---- */

static void an_image_that_stays_is_sent_once(void **state)
{
    struct sl_device device;
    struct sl_session session;
    double losses[STEPS];
    (void)state;
    ahead_device_open(true, true, &device);
    const struct ahead_device *ahead = device.self;
    open_where(&device, KEPT, SL_ELEMENT_F32, &session);
    const uint64_t images = sl_loader_samples(session.train), batches = sl_loader_batches(session.train);
    assert_true(images % BATCH != 0); /* the last batch is short */
    train(&session, 0, STEPS, true, losses);
    assert_true(STEPS > 2 * batches);
    assert_int_equal(ahead->sent, images);
    /* Of the whole batches all but the first, which runs plainly; and one recording for images that stay in place. */
    const uint64_t whole = STEPS - STEPS / batches;
    assert_int_equal(sl_plan_replays(session.training), whole - 1);
    assert_int_equal(ahead->recorded, 1);
    sl_session_close(&session);
    device.close(device.self);
}

static void a_slot_has_a_recording(void **state)
{
    struct sl_device device;
    struct sl_session session;
    double losses[STEPS];
    (void)state;
    ahead_device_open(true, true, &device);
    const struct ahead_device *ahead = device.self;
    open_where(&device, NO_ROOM, SL_ELEMENT_F32, &session);
    train(&session, 0, STEPS, true, losses);
    assert_int_equal(ahead->sent, STEPS);
    assert_int_equal(ahead->recorded, SL_DEVICE_MARKS);
    assert_int_equal(sl_plan_replays(session.training),
                     STEPS - STEPS / sl_loader_batches(session.train) - SL_DEVICE_MARKS);
    sl_session_close(&session);
    device.close(device.self);
}

/* Scratch that has grown lies elsewhere: what used it is recorded again. */
static void moved_memory_is_recorded_again(void **state)
{
    struct sl_device device;
    struct sl_session session;
    double losses[STEPS];
    void *elsewhere;
    (void)state;
    ahead_device_open(false, true, &device);
    struct ahead_device *ahead = device.self;
    open_where(&device, KEPT, SL_ELEMENT_F32, &session);
    train(&session, 0, 4, false, losses);
    assert_int_equal(ahead->recorded, 1);
    assert_ok(device.alloc(device.self, 1, &elsewhere)); /* so that it cannot grow in place */
    assert_ok(ahead_reserve(ahead, ahead->scratch_bytes + 100000));
    train(&session, 4, 6, false, losses);
    assert_int_equal(ahead->recorded, 2);
    device.free(device.self, elsewhere);
    sl_session_close(&session);
    device.close(device.self);
}

/* What a library refuses while it is recorded is started plainly from then on. */
static void work_that_cannot_be_recorded_runs(void **state)
{
    struct sl_device device;
    struct sl_session session;
    struct trace wanted, got;
    (void)state;
    emulated_device_open(false, &device);
    trace_one_after_the_other(&device, SL_ELEMENT_F32, &wanted);
    device.close(device.self);
    ahead_device_open(false, true, &device);
    ((struct ahead_device *)device.self)->cannot_record = true;
    open_where(&device, KEPT, SL_ELEMENT_F32, &session);
    run_all(&session, true, &got);
    assert_same("not recorded", &got, &wanted);
    assert_int_equal(sl_plan_replays(session.training), 0);
    assert_int_equal(((struct ahead_device *)device.self)->refused, 10); /* it was tried once */
    sl_session_close(&session);
    device.close(device.self);
    close_trace(&got);
    close_trace(&wanted);
}

struct scaling {
    struct sl_updater *updater;
    float factor;
};

static int scale(void *self)
{
    const struct scaling *scaling = self;
    return sl_updater_scale_gradients(scaling->updater, scaling->factor);
}

/* A number that does not lie in the memory of the device stays what it was: the comparisons above would see it. */
static void a_recorded_number_does_not_change(void **state)
{
    static const float factors[] = {2.0f, 3.0f, 5.0f};
    struct sl_device device;
    struct net net;
    float first;
    int slot;
    struct sl_now now;
    (void)state;
    ahead_device_open(false, true, &device);
    net_open_on(&net, norm_graph(), 4, &device);
    struct batch batch = make_batch(net.graph, 4, 1);
    const struct sl_plan_input input = {.images = batch.images, .labels = batch.labels, .count = batch.count};
    const float one = 1.0f;
    MUST(device.copy(device.self, net.weights->gradients, &one, sizeof one));
    for (int i = 0; i < 3; i++) {
        struct scaling scaling = {net.updater, factors[i]};
        MUST(sl_plan_load(net.plan, &input));
        MUST(sl_plan_replay(net.plan, net.updater, scale, &scaling));
        MUST(sl_plan_fetch(net.plan, &slot));
        MUST(sl_plan_fetched(net.plan, slot, &now));
    }
    MUST(device.sync(device.self));
    MUST(device.copy(device.self, &first, net.weights->gradients, sizeof first));
    assert_true(first == 2.0f * 3.0f * 3.0f);
    free_batch(&batch);
    net_close(&net);
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
    emulated_device_open(false, &device);
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
    emulated_device_open(false, &device);
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

    emulated_device_open(false, &device);
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
        cmocka_unit_test(every_way_has_the_same_bits),
        cmocka_unit_test(an_image_that_stays_is_sent_once),
        cmocka_unit_test(a_slot_has_a_recording),
        cmocka_unit_test(moved_memory_is_recorded_again),
        cmocka_unit_test(work_that_cannot_be_recorded_runs),
        cmocka_unit_test(a_recorded_number_does_not_change),
        cmocka_unit_test(a_slot_is_not_filled_while_it_is_read),
        cmocka_unit_test(a_step_ahead_has_to_be_taken),
        cmocka_unit_test(a_bad_step_is_refused_alike),
        cmocka_unit_test(a_checkpoint_has_the_same_bits),
        cmocka_unit_test(a_profile_reads_like_the_model),
    };
    return cmocka_run_group_tests(tests, set_up, leave);
}
