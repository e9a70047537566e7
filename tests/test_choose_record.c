/* Choosing rows from a record: a run that goes on takes the rows that it had. */
#include "tests/choose_fixture.h"

static void choose_again(enum sl_policy policy, const char *record, struct sl_selection *rows)
{
    struct sl_choose_options options = options_of(policy);
    options.record = record;
    said[0] = '\0';
    MUST(sl_choose_rows(&options, SL_OK, &machine, rows));
}

static void the_rows_of_a_record_are_taken_again(void **state)
{
    (void)state;
    struct sl_selection rows;
    price(0.020, 0.005, 0.010);
    char *record = record_of(SL_POLICY_FASTEST);
    price(0.001, 0.005, 0.010);
    for (int policy = 0; policy < 4; policy += SL_POLICY_FASTEST) { /* by default, and by name */
        choose_again((enum sl_policy)policy, record, &rows);
        assert_int_equal(rows.policy, SL_POLICY_FASTEST);
        assert_takes("classes", true, &rows, "second", "as in the checkpoint");
        assert_takes("conv", false, &rows, "third", "as in the checkpoint");
        sl_selection_close(&rows);
    }
    assert_int_equal(launches[FIRST], 0);
    /* Who names another policy gets it. */
    choose_again(SL_POLICY_SHIPPED, record, &rows);
    assert_takes("classes", true, &rows, "first", "first in the table");
    sl_selection_close(&rows);
    free(record);
}

/* A run from a machine without AVX-512 keeps its rows on one that has it; not the other way round. */
static void rows_of_a_smaller_machine_are_taken_by_a_larger(void **state)
{
    (void)state;
    struct sl_selection rows;
    machine.isa = SL_CPU | SL_AVX2;
    char *small = record_of(SL_POLICY_SHIPPED);
    machine.isa |= SL_AVX512;
    char *large = record_of(SL_POLICY_SHIPPED);
    choose_again(SL_POLICY_DEFAULT, small, &rows);
    assert_takes("conv", true, &rows, "third", "as in the checkpoint");
    sl_selection_close(&rows);
    machine.isa = SL_CPU | SL_AVX2;
    choose_again(SL_POLICY_DEFAULT, large, &rows);
    assert_int_equal(rows.count, 0);
    sl_selection_close(&rows);
    free(small);
    free(large);
}

/* The policy of a record that cannot be had here is not that of the run. */
static void a_record_of_a_library_that_is_missing_is_told(void **state)
{
    (void)state;
    struct sl_selection rows;
    machine.isa |= SL_CUDNN;
    char *record = record_of(SL_POLICY_CUDNN);
    choose_again(SL_POLICY_DEFAULT, record, &rows);
    assert_int_equal(rows.policy, SL_POLICY_CUDNN);
    assert_takes("classes", true, &rows, "library", "as in the checkpoint");
    assert_string_equal(said, "");
    sl_selection_close(&rows);
    machine.isa &= ~(uint32_t)SL_CUDNN;
    choose_again(SL_POLICY_DEFAULT, record, &rows);
    assert_int_equal(rows.policy, SL_POLICY_SHIPPED);
    assert_int_equal(rows.count, 0);
    assert_non_null(strstr(said, "the checkpoint's kernels are not taken: --kernels cudnn: "));
    sl_selection_close(&rows);
    free(record);
}

static void a_record_that_is_none_is_told(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "{}", "{\"of\":\"rank 0\",\"policy\":\"exact\",\"rows\":{}}"};
    struct sl_selection rows;
    for (size_t i = 0; i < 3; i++) {
        choose_again(SL_POLICY_DEFAULT, texts[i], &rows);
        assert_int_equal(rows.policy, SL_POLICY_SHIPPED);
        assert_non_null(strstr(said, "the checkpoint's kernels are not taken: "));
        sl_selection_close(&rows);
    }
    choose_again(SL_POLICY_DEFAULT,
                 "{\"of\":\"checkpoint\",\"policy\":\"exact\",\"rows\":{\"training no_such 00\":[\"first\",0,0]}}",
                 &rows);
    assert_int_equal(rows.policy, SL_POLICY_EXACT);
    assert_int_equal(rows.count, 0);
    sl_selection_close(&rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(the_rows_of_a_record_are_taken_again),
        CASE(rows_of_a_smaller_machine_are_taken_by_a_larger),
        CASE(a_record_of_a_library_that_is_missing_is_told),
        CASE(a_record_that_is_none_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
