/* Choosing rows by ranks together: all take the same, those that all of them can run. */
#include "tests/choose_fixture.h"
#include "tests/thread_group.h"

struct job {
    enum sl_policy policies[3];
    uint32_t isas[3];
    int status[3];
    const char *record[3];
    int wanted;
    char rows[3][SL_SELECTED_ROW];
    uint32_t left[3];
};

static void choose_as_rank(const struct sl_group *group, void *self)
{
    struct job *job = self;
    struct sl_device mine = machine;
    struct sl_selection rows;
    struct sl_choose_options options = options_of(job->policies[group->rank]);
    options.group = group;
    options.record = job->record[group->rank];
    options.say = group->rank ? NULL : note;
    mine.isa = job->isas[group->rank];
    const int rc = sl_choose_rows(&options, job->status[group->rank], &mine, &rows);
    const int wanted = job->status[group->rank] ? job->status[group->rank] : job->wanted;
    if (rc != wanted)
        fail_msg("rank %d: %d, %s", group->rank, rc, sl_last_error());
    job->left[group->rank] = mine.isa;
    for (size_t i = 0; i < rows.count; i++)
        if (strstr(rows.list[i].key, "training conv2d_fwd"))
            strcpy(job->rows[group->rank], rows.list[i].row); /* the last */
    sl_selection_close(&rows);
}

enum { ALL_ISA = SL_CPU | SL_AVX2 | SL_AVX512, LESS = SL_CPU | SL_AVX2 };

static void ranks_take_what_rank_0_found(void **state)
{
    (void)state;
    struct job job = {.policies = {SL_POLICY_FASTEST, SL_POLICY_FASTEST, SL_POLICY_FASTEST},
                      .isas = {ALL_ISA, ALL_ISA, ALL_ISA}};
    price(0.020, 0.005, 0.010);
    thread_group_run(3, choose_as_rank, &job);
    for (int i = 0; i < 3; i++)
        assert_string_equal(job.rows[i], "second");
}

static void ranks_of_two_kinds_take_what_both_can_run(void **state)
{
    (void)state;
    struct job job = {.policies = {SL_POLICY_FASTEST, SL_POLICY_FASTEST}, .isas = {ALL_ISA, LESS}};
    price(0.001, 0.010, 0.005);
    thread_group_run(2, choose_as_rank, &job);
    for (int i = 0; i < 2; i++) {
        assert_string_equal(job.rows[i], "third");
        assert_int_equal(job.left[i], LESS);
    }
    assert_int_equal(launches[FIRST], 0);
    assert_non_null(strstr(said, "of the instruction sets that each has: avx2\n"));
    /* As shipped, each takes its own best. */
    struct job shipped = {.isas = {ALL_ISA, LESS}};
    thread_group_run(2, choose_as_rank, &shipped);
    assert_int_equal(shipped.left[0], ALL_ISA);
}

static void ranks_that_differ_are_refused(void **state)
{
    (void)state;
    struct job job = {.policies = {SL_POLICY_FASTEST, SL_POLICY_FASTEST, SL_POLICY_EXACT},
                      .isas = {ALL_ISA, ALL_ISA, ALL_ISA},
                      .wanted = SL_DISAGREE};
    thread_group_run(3, choose_as_rank, &job);
    assert_int_equal(launches[FIRST], 0);
}

static void a_rank_that_has_failed_keeps_nobody_waiting(void **state)
{
    (void)state;
    for (int failed = 0; failed < 2; failed++) {
        struct job job = {.policies = {SL_POLICY_FASTEST, SL_POLICY_FASTEST}, .isas = {ALL_ISA, ALL_ISA}};
        job.status[failed] = SL_MISSING;
        thread_group_run(2, choose_as_rank, &job);
    }
    assert_int_equal(launches[FIRST], 0);
}

/* If one rank cannot take its rows again, all measure. */
static void ranks_take_their_records_all_or_none(void **state)
{
    (void)state;
    price(0.020, 0.005, 0.010);
    char *record = record_of(SL_POLICY_FASTEST);
    struct job job = {.isas = {ALL_ISA, ALL_ISA}, .record = {record, record}};
    price(0.001, 0.005, 0.010);
    thread_group_run(2, choose_as_rank, &job);
    assert_int_equal(launches[FIRST], 0);
    for (int i = 0; i < 2; i++)
        assert_string_equal(job.rows[i], "second");
    struct job lost = {
        .policies = {SL_POLICY_FASTEST, SL_POLICY_FASTEST}, .isas = {ALL_ISA, ALL_ISA}, .record = {record, NULL}};
    setenv("SL_CACHE_DIR", "/proc/starling", 1); /* nor does the cache know */
    thread_group_run(2, choose_as_rank, &lost);
    assert_true(launches[FIRST] > 0);
    for (int i = 0; i < 2; i++)
        assert_string_equal(lost.rows[i], "first");
    free(record);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(ranks_take_what_rank_0_found),         CASE(ranks_of_two_kinds_take_what_both_can_run),
        CASE(ranks_that_differ_are_refused),        CASE(a_rank_that_has_failed_keeps_nobody_waiting),
        CASE(ranks_take_their_records_all_or_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
