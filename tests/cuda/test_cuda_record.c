/* What a device that works ahead is sent, and what it records: how often, when again, and what happens where it cannot.
 */
#include "tests/cuda/ahead_session.h"

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
    emulated_device_open(0, &device);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_image_that_stays_is_sent_once),  cmocka_unit_test(a_slot_has_a_recording),
        cmocka_unit_test(moved_memory_is_recorded_again),    cmocka_unit_test(work_that_cannot_be_recorded_runs),
        cmocka_unit_test(a_recorded_number_does_not_change),
    };
    return cmocka_run_group_tests(tests, set_up, leave);
}
