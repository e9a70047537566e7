/* Whole training steps and answers with the rows of a cuDNN that computes on the processor (tests/fake/fake_cudnn.c): a
 * batch that it does not take goes to another row, which reads weights in another order. */
#include <dlfcn.h>

#include "kernels/cuda/cudnn.h"
#include "tests/cuda/steps_fixture.h"
#include "tests/fake/fake_cudnn.h"

static struct fake_cudnn *fake;

static void open_device(struct sl_device *device)
{
    emulated_device_open(0, device);
    device->isa |= SL_CUDNN;
    fake->images = 0;
}

/* Has the plan a choice that is ready for a batch of another row? */
static bool has_given_way(const struct sl_plan *plan, enum sl_op op)
{
    const struct sl_plan_choice *choices;
    const size_t count = sl_plan_choices(plan, &choices);
    bool has = false;
    for (size_t i = 0; i < count; i++) {
        const struct sl_choice *c = choices[i].choice;
        has |= c->op == op && c->ready[1].row && strstr(c->ready[0].row->name, "cudnn") &&
               !strstr(c->ready[1].row->name, "cudnn");
    }
    return has;
}

/* An epoch ends in a short batch. */
static void a_short_batch_goes_to_another_row(void **state)
{
    static const enum sl_op ops[] = {SL_OP_conv2d_fwd, SL_OP_conv2d_bwd_data, SL_OP_conv2d_bwd_weights};
    static const double limits[] = {[SL_ELEMENT_F32] = 1e-5, [SL_ELEMENT_BF16] = 3e-2};
    struct sl_device reference, device;
    struct sl_session wanted, got;
    double expected[STEPS], losses[STEPS];
    (void)state;
    reference_open(&reference);
    open_session(&reference, SL_ELEMENT_F32, &wanted);
    take_steps(&wanted, STEPS, expected);
    for (enum sl_element element = SL_ELEMENT_F32; element <= SL_ELEMENT_BF16; element++) {
        open_device(&device);
        fake->images = BATCH;
        open_session_as(&device, element, SL_POLICY_CUDNN, &got);
        assert_has_row(&got, element ? "sl_conv2d_fwd_bf16_cudnn" : "sl_conv2d_fwd_plain_cudnn");
        take_steps(&got, STEPS, losses);
        for (int i = 0; i < STEPS; i++)
            assert_near("loss", fabs(losses[i] / expected[i] - 1), limits[element]);
        assert_near("weights", distance_of_weights(&got, &wanted), limits[element]);
        assert_near("validation", fabs(validate(&got) / validate(&wanted) - 1), limits[element]);
        for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
            assert_true(has_given_way(got.training, ops[i]));
        assert_true(has_given_way(got.inference, SL_OP_conv2d_fwd));
        sl_session_close(&got);
        device.close(device.self);
    }
    sl_session_close(&wanted);
    reference.close(reference.self);
}

/* One answer after another, of two images and of one in turns: weights are packed again for each. */
static void answers_of_other_batches_are_the_same(void **state)
{
    struct sl_device device;
    struct sl_session session;
    struct sl_served_model served;
    struct sl_store *store;
    float images[2 * IMAGE * IMAGE * 3], first[CLASSES];
    const float *p;
    int32_t stride;
    (void)state;
    for (size_t i = 0; i < sizeof images / sizeof *images; i++)
        images[i] = (float)(i * 37 % 251) / 251.0f;
    open_device(&device);
    open_session(&device, SL_ELEMENT_F32, &session);
    assert_ok(sl_store_open(at("run"), 1, &store));
    assert_ok(sl_session_save(&session, store));
    sl_store_close(store);
    sl_session_close(&session);
    fake->images = 2;
    const struct sl_served_options options = {.device = &device, .batch_size = 2, .kernels = SL_POLICY_CUDNN};
    assert_ok(sl_served_model_open(at("run"), &options, NULL, NULL, &served));
    for (int i = 0; i < 5; i++) {
        const struct sl_plan_input input = {.images = images, .count = i % 2 ? 1 : 2};
        assert_ok(sl_plan_forward(served.plan, &input));
        assert_ok(sl_plan_probabilities(served.plan, &p, &stride));
        if (i)
            assert_near("probabilities", distance(p, first, CLASSES), 1e-5);
        else
            memcpy(first, p, sizeof first);
        assert_int_equal(has_given_way(served.plan, SL_OP_conv2d_fwd), i > 0);
    }
    sl_served_model_close(&served);
    device.close(device.self);
}

/* A run that was made with cuDNN goes on without it. */
static void its_policy_needs_a_gpu(void **state)
{
    struct sl_device reference;
    struct sl_session session;
    const struct sl_session_options options = {.data = at("data"),
                                               .batch_size = BATCH,
                                               .device = &reference,
                                               .kernels = SL_POLICY_CUDNN,
                                               .schedule = {.count = 1, .rates = {1e-3}},
                                               .updater = sl_updater_defaults(),
                                               .memory_limit = (uint64_t)1 << 30};
    (void)state;
    reference_open(&reference);
    assert_fails(sl_session_open(&options, build_tiny, NULL, &session), SL_UNAVAILABLE,
                 "--kernels cudnn: cuDNN is for GPUs, and the device is cpu");
    sl_session_close(&session);
    reference.close(reference.self);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_short_batch_goes_to_another_row),
        cmocka_unit_test(answers_of_other_batches_are_the_same),
        cmocka_unit_test(its_policy_needs_a_gpu),
    };
    void *library = dlopen(SL_FAKE_CUDNN, RTLD_NOW | RTLD_LOCAL);
    void *symbol = library ? dlsym(library, "fake_cudnn_state") : NULL;
    fake_cudnn_state_fn *state;
    setenv("SL_CUDNN_PATH", SL_FAKE_CUDNN, 1);
    if (!symbol || !sl_cudnn_load(sl_fail))
        return 1;
    memcpy(&state, &symbol, sizeof state);
    fake = state();
    return cmocka_run_group_tests(tests, set_up, leave);
}
