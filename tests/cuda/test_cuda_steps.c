/* Whole training steps on the rows of a GPU: a tiny network learns what it learns from the references, a model answers
 * alike, and a checkpoint goes on where another device left off. */
#include "tests/cuda/steps_fixture.h"

static void it_learns_what_the_references_learn(void **state)
{
    static const struct {
        uint32_t more; /* than SL_CUDA that the device has */
        enum sl_element precision;
        double limit; /* of every difference, relative */
        const char *rows[3];
    } cases[] = {
        {0,
         SL_ELEMENT_F32,
         1e-5,
         {"sl_conv2d_fwd_plain_cuda", "sl_conv2d_bwd_data_plain_cuda", "sl_conv2d_bwd_weights_plain_cuda"}},
        {SL_TF32,
         SL_ELEMENT_F32,
         1e-2,
         {"sl_conv2d_fwd_tf32_cuda", "sl_conv2d_bwd_data_tf32_cuda", "sl_conv2d_bwd_weights_large_tf32_cuda"}},
        {SL_TF32 | SL_WGMMA,
         SL_ELEMENT_F32,
         1e-2,
         {"sl_conv2d_fwd_tf32_wgmma", "sl_conv2d_bwd_data_tf32_wgmma", "sl_conv2d_bwd_weights_few_cuda"}},
        {0,
         SL_ELEMENT_BF16,
         3e-2,
         {"sl_conv2d_fwd_bf16_cuda", "sl_conv2d_bwd_data_bf16_cuda", "sl_conv2d_bwd_weights_bf16_cuda"}},
        {SL_WGMMA,
         SL_ELEMENT_BF16,
         3e-2,
         {"sl_conv2d_fwd_bf16_wgmma", "sl_conv2d_bwd_data_bf16_wgmma", "sl_conv2d_bwd_weights_bf16_wgmma"}},
    };
    struct sl_device reference, emulated;
    struct sl_session wanted, got;
    double expected[STEPS], losses[STEPS];
    (void)state;
    reference_open(&reference);
    open_session(&reference, SL_ELEMENT_F32, &wanted);
    take_steps(&wanted, STEPS, expected);
    const double validation = validate(&wanted);
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        emulated_device_open(cases[k].more, &emulated);
        open_session(&emulated, cases[k].precision, &got);
        for (int i = 0; i < 3; i++)
            assert_has_row(&got, cases[k].rows[i]);
        take_steps(&got, STEPS, losses);
        for (int i = 0; i < STEPS; i++)
            assert_near("loss", fabs(losses[i] / expected[i] - 1), cases[k].limit);
        assert_near("weights", distance_of_weights(&got, &wanted), cases[k].limit);
        assert_near("statistics", distance_of_statistics(&got, &wanted), cases[k].limit);
        assert_near("validation", fabs(validate(&got) / validation - 1), cases[k].limit);
        sl_session_close(&got);
        emulated.close(emulated.self);
    }
    sl_session_close(&wanted);
    reference.close(reference.self);
}

static void save(struct sl_session *session, const char *run)
{
    struct sl_store *store;
    assert_ok(sl_store_open(run, 3, &store));
    assert_ok(sl_session_save(session, store));
    sl_store_close(store);
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

/* Half of the steps on `first`, saved; the rest on `second`: near to all of them on `first`. */
static void moves_on(const struct sl_device *first, const struct sl_device *second, const char *run)
{
    enum { HALF = 3 };
    struct sl_session from, to;
    struct sl_checkpoint checkpoint;
    struct told told = {""};
    double expected[HALF], losses[HALF];
    open_session(first, SL_ELEMENT_F32, &from);
    take_steps(&from, HALF, expected);
    save(&from, at(run));
    open_session(second, SL_ELEMENT_F32, &to);
    assert_ok(sl_store_load(at(run), NULL, NULL, &checkpoint));
    assert_ok(sl_session_resume(&to, &checkpoint, note, &told));
    sl_checkpoint_close(&checkpoint);
    assert_non_null(strstr(told.text, "it goes on, but not to the same bits"));
    assert_near("resumed weights", distance_of_weights(&to, &from), 0);
    assert_near("resumed statistics", distance_of_statistics(&to, &from), 0);
    take_steps(&from, HALF, expected);
    take_steps(&to, HALF, losses);
    for (int i = 0; i < HALF; i++)
        assert_near("loss after it moved", fabs(losses[i] / expected[i] - 1), 1e-5);
    assert_near("weights after it moved", distance_of_weights(&to, &from), 1e-5);
    sl_session_close(&to);
    sl_session_close(&from);
}

static void a_checkpoint_moves_between_devices(void **state)
{
    struct sl_device host, emulated;
    (void)state;
    assert_ok(sl_device_cpu_open(2, &host));
    emulated_device_open(0, &emulated);
    moves_on(&emulated, &host, "from-the-gpu");
    moves_on(&host, &emulated, "from-the-processor");
    emulated.close(emulated.self);
    host.close(host.self);
}

/* A model that a GPU has trained, with batch norm folded in, on each device. */
static void it_answers_alike(void **state)
{
    struct sl_device emulated;
    struct sl_served_model served;
    const float *p;
    float images[2 * IMAGE * IMAGE * 3], first[CLASSES];
    int32_t stride;
    (void)state;
    for (size_t i = 0; i < sizeof images / sizeof *images; i++)
        images[i] = (float)(i * 37 % 251) / 251.0f;
    const struct sl_plan_input input = {.images = images, .count = 2};
    emulated_device_open(0, &emulated);
    for (int i = 0; i < 2; i++) {
        const struct sl_served_options options = {.device = i ? &emulated : NULL, .threads = 1, .batch_size = 2};
        assert_ok(sl_served_model_open(at("from-the-gpu"), &options, NULL, NULL, &served));
        assert_ok(sl_plan_forward(served.plan, &input));
        assert_ok(sl_plan_probabilities(served.plan, &p, &stride));
        if (i)
            assert_near("probabilities", distance(p + stride, first, CLASSES), 1e-5);
        memcpy(first, p + stride, sizeof first);
        sl_served_model_close(&served);
    }
    emulated.close(emulated.self);
}

/* What does not fit there is refused before it is taken, and the refusal lists who wants how much. */
static void its_memory_is_counted(void **state)
{
    struct sl_device emulated;
    struct sl_session session;
    struct sl_served_model served;
    const struct sl_session_options options = {.data = at("data"),
                                               .batch_size = BATCH,
                                               .device = &emulated,
                                               .schedule = {.count = 1, .rates = {1e-3}},
                                               .updater = sl_updater_defaults(),
                                               .memory_limit = (uint64_t)1 << 30};
    const struct sl_served_options serving = {.device = &emulated, .batch_size = 2};
    (void)state;
    emulated_device_open(0, &emulated);
    emulated.memory = 20000;
    assert_fails(sl_session_open(&options, build_tiny, NULL, &session), SL_UNAVAILABLE,
                 "of the memory of emulated and may take 0.0 MB there: weights ");
    assert_non_null(strstr(sl_last_error(), "raise --device-memory-limit"));
    assert_fails(sl_served_model_open(at("from-the-gpu"), &serving, NULL, NULL, &served), SL_UNAVAILABLE,
                 "raise --device-memory-limit");
    sl_served_model_close(&served);
    emulated.memory = 10 << 20;
    assert_ok(sl_session_open(&options, build_tiny, NULL, &session));
    sl_session_close(&session);
    emulated.close(emulated.self);
}

/* The plug-in refuses a device that lacks a row for any operation (its self-test). */
static void every_operation_has_a_row(void **state)
{
    (void)state;
    assert_null(sl_cuda_missing_operation(sl_cuda_rows, sl_cuda_row_count, SL_CUDA));
    assert_string_equal(sl_cuda_missing_operation(sl_cuda_rows, sl_cuda_row_count, SL_TF32), "conv2d_fwd");
    assert_string_equal(sl_cuda_missing_operation(sl_cuda_rows, sl_cuda_row_count - 1, SL_CUDA), "threshold_clip");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_learns_what_the_references_learn),
        cmocka_unit_test(a_checkpoint_moves_between_devices),
        cmocka_unit_test(it_answers_alike),
        cmocka_unit_test(its_memory_is_counted),
        cmocka_unit_test(every_operation_has_a_row),
    };
    return cmocka_run_group_tests(tests, set_up, leave);
}
