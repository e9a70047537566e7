/* The exchanges between 1, 2, 3 and 8 ranks: the same bits everywhere, nothing lost, and runs that go on as if they had
 * never been broken off. */
#include "tests/exchange_fixture.h"

static const int sizes[] = {1, 2, 3, 8};
enum { SIZES = sizeof sizes / sizeof *sizes };

static void the_table_is_in_order(void **state)
{
    (void)state;
    static const char *const names[] = {"threshold", "updates", "dense"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_string_equal(sl_exchange_at(i)->name, names[i]);
        assert_ptr_equal(sl_exchange_find(names[i]), sl_exchange_at(i));
    }
    assert_null(sl_exchange_at(3));
    assert_null(sl_exchange_find("sparse"));
}

/* flight_fly compares the ranks; here two runs. */
static void two_runs_have_the_same_bits(void **state)
{
    (void)state;
    for (size_t e = 0; sl_exchange_at(e); e++)
        for (int s = 0; s < SIZES; s++) {
            struct flight *runs[2];
            for (int i = 0; i < 2; i++) {
                runs[i] = flight_new(sl_exchange_at(e)->name, 5003, 20);
                runs[i]->flush = true;
                flight_fly(runs[i], sizes[s]);
            }
            assert_memory_equal(runs[0]->hashes, runs[1]->hashes, sizeof runs[0]->hashes);
            assert_int_not_equal(runs[0]->hashes[0][0], runs[0]->hashes[0][1]);
            flight_free(runs[0]);
            flight_free(runs[1]);
        }
}

static void nothing_is_lost(void **state)
{
    (void)state;
    static const double caps[] = {1.0, 3.5e-3};
    for (int combine = SL_COMBINE_MEAN; combine <= SL_COMBINE_SUM; combine++)
        for (int s = 0; s < SIZES; s++)
            for (int c = 0; c < 2; c++) {
                struct flight *flight = flight_new("threshold", 4001, 50);
                flight->combine = (enum sl_combine)combine;
                flight->threshold.cap = caps[c];
                flight_fly(flight, sizes[s]);
                assert_true(flight_missing(flight, sizes[s]) == 0.0);
                double kept = 0.0;
                for (int64_t i = 0; i < flight->n; i++)
                    kept += fabs(flight->kept[i]);
                assert_true(kept > 0.0);
                flight_free(flight);
            }
}

/* One rank and one clip, after which nothing can make up for it. */
static void what_the_clip_takes_is_told(void **state)
{
    (void)state;
    struct flight *flight = flight_new("threshold", 4001, 6);
    flight->threshold.kind = SL_THRESHOLD_FIXED;
    flight->threshold.cap = 1.0;
    flight->clip_multiple = 1.0;
    flight->clip_every = 5;
    flight_fly(flight, 1);
    assert_true(flight->clipped > 1.0);
    assert_true(fabs(flight_missing(flight, 1) - flight->clipped) < 1e-3);
    for (int step = 0; step < flight->steps; step++)
        assert_true((flight->reports[0][step].clipped > 0.0) == (step == 5));
    flight_free(flight);
}

static void a_flush_sends_the_rest(void **state)
{
    (void)state;
    for (int combine = SL_COMBINE_MEAN; combine <= SL_COMBINE_SUM; combine++)
        for (int s = 0; s < SIZES; s++) {
            struct flight *flight = flight_new("threshold", 4001, 10);
            flight->combine = (enum sl_combine)combine;
            flight->flush = true;
            flight_fly(flight, sizes[s]);
            for (int64_t i = 0; i < flight->n; i++)
                assert_true(flight->kept[i] == 0.0);
            assert_true(flight_missing(flight, sizes[s]) == 0.0);
            flight_free(flight);
        }
}

/* Nothing is kept back by these. */
static void dense_exchanges_send_everything(void **state)
{
    (void)state;
    for (int s = 0; s < SIZES; s++) {
        struct flight *dense = flight_new("dense", 4001, 5), *mean = flight_new("updates", 4001, 5);
        struct flight *sum = flight_new("updates", 4001, 5);
        sum->combine = SL_COMBINE_SUM;
        flight_fly(dense, sizes[s]);
        flight_fly(mean, sizes[s]);
        flight_fly(sum, sizes[s]);
        assert_true(flight_missing(dense, sizes[s]) == 0.0);
        assert_true(flight_missing(mean, sizes[s]) == 0.0);
        assert_true(flight_missing(sum, sizes[s]) == 0.0);
        flight_free(dense);
        flight_free(mean);
        flight_free(sum);
    }
}

static void a_broken_run_goes_on_bit_for_bit(void **state)
{
    (void)state;
    for (size_t e = 0; sl_exchange_at(e); e++) {
        struct flight *whole = flight_new(sl_exchange_at(e)->name, 5003, 30);
        struct flight *broken = flight_new(sl_exchange_at(e)->name, 5003, 30);
        whole->clip_multiple = broken->clip_multiple = 5.0;
        whole->clip_every = broken->clip_every = 4;
        whole->flush = broken->flush = true;
        broken->break_at = 13;
        flight_fly(whole, 3);
        flight_fly(broken, 3);
        assert_memory_equal(whole->hashes, broken->hashes, sizeof whole->hashes);
        flight_free(whole);
        flight_free(broken);
    }
}

static void state_says_how_to_join(void **state)
{
    (void)state;
    struct sl_wire wire;
    struct sl_comm *comm = NULL;
    struct sl_device device;
    struct sl_exchange_array arrays[SL_EXCHANGE_ARRAYS];
    assert_int_equal(sl_wire_loop_open(1, &wire), SL_OK);
    assert_int_equal(sl_comm_open(&wire, &(struct sl_comm_options){0}, &comm), SL_OK);
    assert_int_equal(sl_device_cpu_open(1, &device), SL_OK);
    for (int combine = SL_COMBINE_MEAN; combine <= SL_COMBINE_SUM; combine++) {
        void *self = NULL;
        const struct sl_exchange_options options = {.comm = comm,
                                                    .device = &device,
                                                    .n = 100,
                                                    .combine = (enum sl_combine)combine,
                                                    .threshold = sl_threshold_defaults()};
        assert_int_equal(sl_exchange_threshold.open(&options, &self), SL_OK);
        assert_int_equal(sl_exchange_threshold.state(self, arrays), 4);
        assert_int_equal(arrays[0].join, combine == SL_COMBINE_SUM ? SL_JOIN_SUM : SL_JOIN_MEAN);
        assert_int_equal(arrays[0].n, 100);
        for (int i = 1; i < 4; i++)
            assert_int_equal(arrays[i].join, SL_JOIN_OWN);
        sl_exchange_threshold.close(self);
    }
    device.close(device.self);
    sl_comm_close(comm, SL_OK);
}

/* ---- the threshold ---- */

/* From above and from below; the last ten steps are near the range, which each step leaves by one factor at most. */
static void density_comes_into_its_range(void **state)
{
    (void)state;
    static const double initial[] = {2e-3, 2e-2};
    for (size_t i = 0; i < sizeof initial / sizeof *initial; i++) {
        struct flight *flight = flight_new("threshold", 100001, FLIGHT_STEPS);
        flight->threshold.initial = initial[i];
        flight->threshold.min_density = 2e-3;
        flight->threshold.cap = 1.0;
        flight_fly(flight, 2);
        const double first = flight->reports[0][1].density;
        assert_true(first < 1e-3 || first > 2e-2);
        for (int step = flight->steps - 10; step < flight->steps; step++) {
            const double density = flight->reports[0][step].density;
            assert_true(density >= 1.5e-3 && density <= 1.3e-2);
        }
        flight_free(flight);
    }
}

static void the_cap_holds_at_a_rough_start(void **state)
{
    (void)state;
    struct flight *flight = flight_new("threshold", 200001, 20);
    flight->threshold.initial = 1e-6;
    flight_fly(flight, 2);
    for (int step = 0; step < flight->steps; step++)
        for (int r = 0; r < 2; r++)
            assert_true(flight->reports[r][step].density <= 2 * flight->threshold.cap);
    flight_free(flight);
}

static void a_report_tells_what_was_sent(void **state)
{
    (void)state;
    struct flight *flight = flight_new("threshold", 150001, 3);
    flight_fly(flight, 4);
    for (int r = 0; r < 4; r++) {
        const struct sl_exchange_report *report = &flight->reports[r][2];
        int64_t count = 0;
        for (int t = 0; t < FLIGHT_TENSORS; t++) {
            assert_true(flight->counts[r][t] > 0);
            count += flight->counts[r][t];
        }
        assert_true(fabs(report->density * 150001 - (double)count) < 1e-6);
        assert_true(report->sent > 3 * 64 && report->sent < 3 * (150 + 5 * (uint64_t)count));
        assert_int_equal(report->dense, 2 * 3 * UINT64_C(150001));
        assert_string_equal(report->form, "rice");
        assert_true(report->tau > 0.0 && report->seconds >= 0.0);
    }
    assert_true(flight->reports[0][2].residual_norm > 0.0);
    double squares = 0.0;
    struct flight *alone = flight_new("threshold", 5000, 3);
    flight_fly(alone, 1);
    for (int64_t i = 0; i < alone->n; i++)
        squares += alone->kept[i] * alone->kept[i];
    assert_true(fabs(alone->reports[0][2].residual_norm - sqrt(squares)) < 1e-9);
    assert_int_equal(alone->reports[0][2].sent, 0);
    flight_free(flight);
    flight_free(alone);
}

/* ---- mixed hosts ---- */

static void fly_mixed(const char *name, const uint32_t isa[RANKS_MOST], int strict, struct flight *flight)
{
    flight->name = name;
    memcpy(flight->isa, isa, sizeof flight->isa);
    flight->strict = strict;
    flight->flush = true;
    flight->clip_multiple = 2.0;
    flight->clip_every = 3;
    flight_fly(flight, 3);
}

static void mixed_rows_have_the_same_bits(void **state)
{
    (void)state;
    static const uint32_t plain[RANKS_MOST] = {SL_CPU, SL_CPU, SL_CPU};
    static const uint32_t mixed[RANKS_MOST] = {SL_CPU, SL_CPU | SL_AVX2, 0};
    if (!(sl_isa_detect() & SL_AVX512))
        print_message("this processor has no AVX-512: rank 2 is held to what it has\n");
    for (size_t e = 0; sl_exchange_at(e); e++)
        for (int strict = -1; strict < 3; strict += 2) {
            struct flight *first = flight_new("", 70001, 12), *second = flight_new("", 70001, 12);
            fly_mixed(sl_exchange_at(e)->name, plain, -1, first);
            fly_mixed(sl_exchange_at(e)->name, mixed, strict, second);
            assert_memory_equal(first->hashes, second->hashes, sizeof first->hashes);
            flight_free(first);
            flight_free(second);
        }
}

/* ---- options ---- */

static void assert_refused(struct flight *flight, const char *part)
{
    flock_fly(1, (struct flock){.body = flight_body, .self = flight, .device = flight_device});
    assert_int_equal(flight->rc[0], SL_BAD_CONFIG);
    if (!strstr(flight->text[0], part))
        fail_msg("\"%s\" does not say \"%s\"", flight->text[0], part);
    flight_free(flight);
}

static void bad_options_are_refused(void **state)
{
    (void)state;
    static const double multiples[] = {0.5, -1.0, INFINITY, NAN};
    for (size_t i = 0; i < sizeof multiples / sizeof *multiples; i++) {
        struct flight *flight = flight_new("threshold", 10, 1);
        flight->clip_multiple = multiples[i];
        flight->clip_every = 5;
        assert_refused(flight, "clipped at 1 threshold or more");
    }
    struct flight *flight = flight_new("threshold", 10, 1);
    flight->clip_multiple = 5.0;
    assert_refused(flight, "not every 0");
    flight = flight_new("threshold", 10, 1);
    flight->threshold.decay = 1.5;
    assert_refused(flight, "--threshold-decay");
}

static void too_many_parameters_are_refused(void **state)
{
    (void)state;
    static const int64_t lengths[] = {0, -1, INT64_C(1) << 31, INT64_MAX};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        void *self = NULL;
        const struct sl_exchange_options options = {.n = lengths[i], .threshold = sl_threshold_defaults()};
        assert_int_equal(sl_exchange_threshold.open(&options, &self), SL_BAD_CONFIG);
        assert_null(self);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_is_in_order),
        cmocka_unit_test(two_runs_have_the_same_bits),
        cmocka_unit_test(nothing_is_lost),
        cmocka_unit_test(what_the_clip_takes_is_told),
        cmocka_unit_test(a_flush_sends_the_rest),
        cmocka_unit_test(dense_exchanges_send_everything),
        cmocka_unit_test(a_broken_run_goes_on_bit_for_bit),
        cmocka_unit_test(state_says_how_to_join),
        cmocka_unit_test(density_comes_into_its_range),
        cmocka_unit_test(the_cap_holds_at_a_rough_start),
        cmocka_unit_test(a_report_tells_what_was_sent),
        cmocka_unit_test(mixed_rows_have_the_same_bits),
        cmocka_unit_test(bad_options_are_refused),
        cmocka_unit_test(too_many_parameters_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
