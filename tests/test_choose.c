/* Choosing rows by policy, and by a race of rows whose cost is known. */
#include "runtime/plan/measure.h"
#include "tests/choose_fixture.h"
#include "tests/strict_device.h"

/* ---- policies ---- */

static void shipped_is_the_table(void **state)
{
    (void)state;
    struct sl_selection rows;
    price(0.9, 0.1, 0.1);
    choose(SL_POLICY_DEFAULT, &rows);
    assert_int_equal(rows.policy, SL_POLICY_SHIPPED);
    assert_int_equal(rows.count, 0);
    assert_takes("conv", true, &rows, "first", "first in the table");
    assert_int_equal(launches[FIRST], 0);
    assert_string_equal(said, "");
    sl_selection_close(&rows);
}

static void exact_does_without_rows_that_transform(void **state)
{
    (void)state;
    struct sl_selection rows;
    choose(SL_POLICY_EXACT, &rows);
    assert_takes("conv", true, &rows, "third", "exact");
    assert_takes("classes", true, &rows, "second", "exact");
    assert_takes("classes", false, &rows, "second", "exact");
    sl_selection_close(&rows);
}

static void a_library_is_taken_or_not(void **state)
{
    (void)state;
    struct sl_selection rows;
    machine.isa |= SL_CUDNN;
    choose(SL_POLICY_OWN, &rows);
    assert_takes("conv", true, &rows, "first", "first in the table");
    sl_selection_close(&rows);
    choose(SL_POLICY_CUDNN, &rows);
    assert_takes("classes", true, &rows, "library", "cudnn");
    assert_takes("classes", false, &rows, "library", "cudnn");
    assert_takes("conv", true, &rows, "first", "first in the table"); /* it has no plan for that */
    sl_selection_close(&rows);
    /* A row that refuses a shape has no part in its race. */
    price(0.020, 0.030, 0.010);
    prices[LIBRARY] = 0.005;
    choose(SL_POLICY_FASTEST, &rows);
    assert_takes("conv", true, &rows, "third", "fastest: 10 ms, next 20");
    assert_takes("classes", true, &rows, "library", "fastest: 5 ms, next 10");
    sl_selection_close(&rows);
}

static void without_the_library_its_policy_is_refused(void **state)
{
    (void)state;
    struct sl_selection rows;
    const struct sl_choose_options options = options_of(SL_POLICY_CUDNN);
    assert_int_equal(sl_choose_rows(&options, SL_OK, &machine, &rows), SL_UNAVAILABLE);
    assert_non_null(strstr(sl_last_error(), "--kernels cudnn: cuDNN is for GPUs, and the device is cpu"));
    machine.host_memory = false;
    assert_int_equal(sl_choose_rows(&options, SL_OK, &machine, &rows), SL_UNAVAILABLE);
    assert_non_null(strstr(sl_last_error(), "cuDNN 9 was not found for cpu"));
    machine.host_memory = true;
    choose(SL_POLICY_OWN, &rows);
    assert_takes("conv", true, &rows, "first", "first in the table");
    sl_selection_close(&rows);
}

static void what_is_forced_is_taken_by_every_policy(void **state)
{
    (void)state;
    struct sl_selection rows;
    price(0.9, 0.1, 0.1);
    machine.isa |= SL_CUDNN;
    assert_int_equal(setenv("SL_KERNEL", "conv2d_fwd:first", 1), 0);
    for (int policy = SL_POLICY_SHIPPED; policy <= SL_POLICY_CUDNN; policy++) {
        choose((enum sl_policy)policy, &rows);
        assert_takes("conv", true, &rows, "first", "forced by SL_KERNEL");
        assert_int_equal(rows.count, 0);
        sl_selection_close(&rows);
    }
    assert_int_equal(launches[FIRST], 0); /* nothing to find out */
}

static void policies_have_names(void **state)
{
    (void)state;
    for (int policy = SL_POLICY_SHIPPED; policy <= SL_POLICY_CUDNN; policy++)
        assert_int_equal(sl_policy_find(sl_policy_name((enum sl_policy)policy)), policy);
    assert_int_equal(sl_policy_find("slowest"), SL_POLICY_DEFAULT);
    assert_string_equal(sl_policy_name(SL_POLICY_DEFAULT), "shipped");
}

/* ---- measuring ---- */

static void the_fastest_is_taken_shape_by_shape(void **state)
{
    (void)state;
    struct sl_selection rows;
    price(0.020, 0.005, 0.010);
    choose(SL_POLICY_FASTEST, &rows);
    assert_takes("conv", true, &rows, "third", "fastest: 10 ms, next 20");
    assert_takes("classes", true, &rows, "second", "fastest: 5 ms, next 10");
    assert_takes("classes", false, &rows, "second", "fastest: 5 ms, next 10");
    assert_non_null(strstr(said, "fastest for training, batch 2, in the time of 25 steps\n"));
    assert_non_null(strstr(said, "fastest for inference, batch 2, in the time of 25 steps\n"));
    sl_selection_close(&rows);
}

static void within_the_margin_the_table_decides(void **state)
{
    (void)state;
    struct sl_selection rows;
    price(0.01000, 0.00975, 0.00975);
    choose(SL_POLICY_FASTEST, &rows);
    assert_takes("classes", true, &rows, "first", "fastest: 10 ms, next 9.75");
    sl_selection_close(&rows);
}

/* Neither in a warm-up, which does not count, nor in one pass. */
static void luck_is_not_enough(void **state)
{
    (void)state;
    struct sl_selection rows = {0};
    const struct sl_measure_options options = {.graph = graph, .device = &machine, .batch = 2, .seconds = 100};
    for (int lucky = 1; lucky <= 3; lucky++) {
        price(0.010, 0.011, 0.011);
        lucky_launch = lucky;
        MUST(sl_measure_rows(&options, &rows));
        assert_takes("conv", false, &rows, "first", "fastest: 10 ms, next 11");
        sl_selection_close(&rows);
    }
}

static void rows_far_behind_run_once(void **state)
{
    (void)state;
    struct sl_selection rows = {0};
    const struct sl_measure_options options = {.graph = graph, .device = &machine, .batch = 2, .seconds = 100};
    price(0.010, 0.050, 0.050);
    MUST(sl_measure_rows(&options, &rows));
    assert_int_equal(launches[SECOND], 2); /* a warm-up and a pass, in one layer */
    assert_takes("classes", false, &rows, "first", "fastest: 10 ms, next 50");
    sl_selection_close(&rows);
}

static void it_ends_in_time_and_what_is_not_measured_stays(void **state)
{
    (void)state;
    struct sl_selection rows = {0};
    const struct sl_measure_options options = {
        .graph = graph, .device = &machine, .batch = 2, .seconds = 5, .say = note};
    price(25, 1, 1);
    const double began = now;
    MUST(sl_measure_rows(&options, &rows));
    assert_true(now - began < 60 + 50); /* at most the pass that it was in */
    assert_int_equal(rows.count, 0);
    assert_takes("conv", false, &rows, "first", "first in the table");
    assert_non_null(strstr(said, "did not suffice"));
    sl_selection_close(&rows);
}

static void slow_passes_get_more_time(void **state)
{
    (void)state;
    struct sl_selection rows = {0};
    const struct sl_measure_options options = {.graph = graph, .device = &machine, .batch = 2, .seconds = 1};
    price(1, 0.5, 0.5);
    const double began = now;
    MUST(sl_measure_rows(&options, &rows));
    assert_true(now - began > 10 && now - began < 26 * 2);
    assert_takes("classes", false, &rows, "second", "fastest: 500 ms, next 500");
    sl_selection_close(&rows);
}

static void a_limit_of_memory_is_kept(void **state)
{
    (void)state;
    struct sl_selection rows = {0};
    struct sl_measure_options options = {
        .graph = graph, .device = &machine, .batch = 2, .seconds = 5, .memory_limit = 100, .say = note};
    MUST(sl_measure_rows(&options, &rows));
    assert_int_equal(rows.count, 0);
    options.memory_limit = 4096; /* the weights fit, the arena does not */
    MUST(sl_measure_rows(&options, &rows));
    assert_int_equal(rows.count, 0);
    assert_int_equal(launches[FIRST], 0);
    assert_non_null(strstr(said, "did not suffice"));
    sl_selection_close(&rows);
}

/* Where the host cannot reach the memory. Its rows do not move the clock, and so are not measured. */
static void a_device_of_its_own_memory_races_too(void **state)
{
    (void)state;
    struct sl_selection rows = {0};
    struct sl_device strict;
    strict_device_open(1, &strict);
    const struct sl_measure_options options = {
        .graph = graph, .device = &strict, .batch = 2, .training = true, .seconds = 5};
    MUST(sl_measure_rows(&options, &rows));
    for (size_t i = 0; i < rows.count; i++)
        assert_int_equal(rows.list[i].microseconds, 0);
    sl_selection_close(&rows);
    strict.close(strict.self);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(shipped_is_the_table),
        CASE(exact_does_without_rows_that_transform),
        CASE(a_library_is_taken_or_not),
        CASE(without_the_library_its_policy_is_refused),
        CASE(what_is_forced_is_taken_by_every_policy),
        CASE(policies_have_names),
        CASE(the_fastest_is_taken_shape_by_shape),
        CASE(within_the_margin_the_table_decides),
        CASE(luck_is_not_enough),
        CASE(rows_far_behind_run_once),
        CASE(it_ends_in_time_and_what_is_not_measured_stays),
        CASE(slow_passes_get_more_time),
        CASE(a_limit_of_memory_is_kept),
        CASE(a_device_of_its_own_memory_races_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
