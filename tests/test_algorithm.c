/* Threshold algorithms against DL4J's published vectors, and the cap on density. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "comm/algorithm.h"

enum { N = 1000000 };

static void assert_tau(float tau, double expected)
{
    if (!(fabs((double)tau / expected - 1) < 1e-6))
        fail_msg("%.9g is not %.9g", (double)tau, expected);
}

/* DL4J's test: decay 0.95, targets 1e-3 to 1e-2, initial 1e-3. */
static struct sl_threshold_options dl4j(enum sl_threshold_kind kind)
{
    return (struct sl_threshold_options){
        .kind = kind,
        .initial = 1e-3,
        .min_density = 1e-3,
        .max_density = 1e-2,
        .target = 1e-3,
        .decay = 0.95,
        .cap = 1,
    };
}

/* A step that sends `count` of N; the tau of the next one. */
static float after(const struct sl_threshold_options *options, struct sl_threshold_state *state, int64_t count)
{
    sl_threshold_note(state, sl_threshold_next(options, state, NULL, 0), count, N);
    return sl_threshold_next(options, state, NULL, 0);
}

static void adaptive_meets_dl4j(void **state)
{
    (void)state;
    const struct sl_threshold_options options = dl4j(SL_THRESHOLD_ADAPTIVE);
    struct sl_threshold_state at = {0};
    assert_tau(sl_threshold_next(&options, &at, NULL, 0), 1e-3);
    assert_tau(after(&options, &at, N / 16), 1e-3 / 0.95); /* as many as in DL4J's dense steps */
    assert_int_equal(at.steps, 1);
    assert_tau(after(&options, &at, N), 1e-3 / 0.95 / 0.95);
    at = (struct sl_threshold_state){0};
    assert_tau(after(&options, &at, N / 10), 1e-3 / 0.95);
    at = (struct sl_threshold_state){0};
    assert_tau(after(&options, &at, N / 10000), 0.95 * 1e-3);
    assert_tau(after(&options, &at, 0), 0.95 * 0.95 * 1e-3);
    /* Within the range, its ends included, tau stays. The header of 4 counts. */
    const int64_t within[] = {N / 1000 - 4, N / 1000, N / 200, N / 100 - 4};
    for (int i = 0; i < 4; i++) {
        at = (struct sl_threshold_state){0};
        assert_tau(after(&options, &at, within[i]), 1e-3);
    }
    at = (struct sl_threshold_state){0};
    assert_tau(after(&options, &at, N / 1000 - 5), 0.95 * 1e-3);
    at = (struct sl_threshold_state){0};
    assert_tau(after(&options, &at, N / 100 - 3), 1e-3 / 0.95);
}

static void target_is_aimed_at(void **state)
{
    (void)state;
    const struct sl_threshold_options options = dl4j(SL_THRESHOLD_TARGET);
    struct sl_threshold_state at = {0};
    assert_tau(sl_threshold_next(&options, &at, NULL, 0), 1e-3);
    assert_tau(after(&options, &at, N / 500), 1e-3 / 0.95);
    at = (struct sl_threshold_state){0};
    assert_tau(after(&options, &at, N / 2000), 0.95 * 1e-3);
    at = (struct sl_threshold_state){0};
    assert_tau(after(&options, &at, N / 1000 - 4), 1e-3);
}

static void fixed_stays(void **state)
{
    (void)state;
    struct sl_threshold_options options = dl4j(SL_THRESHOLD_FIXED);
    struct sl_threshold_state at = {0};
    const float sample[] = {5, 4, 3, 2};
    options.initial = 0.25;
    assert_tau(after(&options, &at, N), 0.25);
    assert_tau(after(&options, &at, 0), 0.25);
    /* The cap lifts it for a step. */
    options.cap = 0.25;
    sl_threshold_note(&at, sl_threshold_next(&options, &at, sample, 4), 1, N);
    assert_tau((float)at.tau, 4);
    assert_tau(sl_threshold_next(&options, &at, sample, 0), 0.25);
}

/* A factor of two takes 20 steps with DL4J's decay. */
static void defaults_are_dl4j(void **state)
{
    (void)state;
    struct sl_threshold_options options = sl_threshold_defaults();
    struct sl_threshold_state at = {0};
    assert_int_equal(options.kind, SL_THRESHOLD_ADAPTIVE);
    assert_true(options.initial == 1e-3 && options.min_density == 1e-4 && options.max_density == 1e-2);
    assert_true(options.target == 1e-3 && options.cap > options.min_density && options.cap < options.max_density);
    assert_true(fabs(options.decay - pow(0.5, 1.0 / 20)) < 1e-15);
    assert_int_equal(sl_threshold_check(&options), SL_OK);
    options.cap = 1;
    for (int i = 0; i < 20; i++)
        after(&options, &at, N / 2);
    assert_tau(sl_threshold_next(&options, &at, NULL, 0), 2e-3);
}

/* The state is all that a resumed run needs. */
static void a_state_goes_on_where_it_was(void **state)
{
    (void)state;
    const struct sl_threshold_options options = dl4j(SL_THRESHOLD_ADAPTIVE);
    struct sl_threshold_state whole = {0}, saved;
    for (int64_t i = 0; i < 40; i++) {
        if (i == 17)
            saved = whole;
        after(&options, &whole, i % 3 ? N / 10 : 10);
    }
    for (int64_t i = 17; i < 40; i++)
        after(&options, &saved, i % 3 ? N / 10 : 10);
    assert_memory_equal(&whole, &saved, sizeof whole);
    assert_int_equal(whole.steps, 40);
}

/* tau never leaves the normal numbers of a float, whatever the state says. */
static void tau_is_a_number(void **state)
{
    (void)state;
    struct sl_threshold_options options = dl4j(SL_THRESHOLD_ADAPTIVE);
    const double taus[] = {1e-300, 0, (double)FLT_MIN, -1, 1e300, INFINITY, NAN}, densities[] = {0, 0.5, 1, NAN};
    for (int i = 0; i < 7; i++)
        for (int k = 0; k < 4; k++) {
            const struct sl_threshold_state at = {.tau = taus[i], .density = densities[k], .steps = 5};
            const float tau = sl_threshold_next(&options, &at, NULL, 0);
            assert_true(tau >= FLT_MIN && tau <= FLT_MAX);
        }
    const float sample[] = {INFINITY, INFINITY, 1};
    options.cap = 0.4;
    assert_true(sl_threshold_next(&options, &(struct sl_threshold_state){0}, sample, 3) == FLT_MAX);
}

static size_t sent_at(float tau, const float *sample, size_t m)
{
    size_t sent = 0;
    for (size_t i = 0; i < m; i++)
        sent += sample[i] >= tau;
    return sent;
}

static int descending(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x < y) - (x > y);
}

static float capped(double cap, double initial, const float *sample, size_t m)
{
    struct sl_threshold_options options = dl4j(SL_THRESHOLD_FIXED);
    options.cap = cap;
    options.initial = initial;
    return sl_threshold_next(&options, &(struct sl_threshold_state){0}, sample, m);
}

/* Beside a sorted sample: as many as the cap allows are sent, or fewer where magnitudes are equal, or tau suits. */
static void the_cap_is_a_quantile(void **state)
{
    (void)state;
    enum { MOST = 16384 };
    static float sample[MOST], sorted[MOST];
    const size_t lengths[] = {1, 2, 3, 10, 100, 1000, MOST};
    const double caps[] = {1e-4, 3.5e-3, 0.01, 0.1, 0.5, 0.999};
    for (int coarse = 0; coarse < 2; coarse++)
        for (int l = 0; l < 7; l++) {
            const size_t m = lengths[l];
            uint64_t seed = 1;
            for (size_t i = 0; i < m; i++) {
                seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
                const double x = (double)(seed >> 11) * 0x1p-53;
                sample[i] = sorted[i] = coarse ? (float)(seed >> 60) : (float)(1e-3 * x * x * x);
            }
            qsort(sorted, m, sizeof *sorted, descending);
            for (int c = 0; c < 6; c++) {
                const size_t allowed = (size_t)fmax(1, floor(caps[c] * (double)m));
                const float tau = capped(caps[c], 1e-20, sample, m);
                const float wanted = allowed < m ? nextafterf(sorted[allowed], INFINITY) : 1e-20f;
                assert_true(tau == (wanted > 1e-20f ? wanted : 1e-20f));
                assert_true(sent_at(tau, sample, m) <= allowed);
                if (!coarse)
                    assert_int_equal(sent_at(tau, sample, m), allowed);
                assert_true(capped(caps[c], 100, sample, m) == 100);
            }
        }
}

static void odd_samples_are_taken(void **state)
{
    (void)state;
    const float zeros[100] = {0}, one[] = {5};
    float equal[100], mixed[100];
    for (int i = 0; i < 100; i++) {
        equal[i] = 2;
        mixed[i] = i % 2 ? (float)i : NAN;
    }
    assert_tau(capped(0.1, 1e-3, zeros, 100), 1e-3);
    assert_tau(capped(0.1, 1e-3, one, 1), 1e-3);
    assert_tau(capped(0.1, 1e-3, one, 0), 1e-3);
    /* What is as large as tau would be sent: tau stands above all that are equal. */
    assert_true(capped(0.1, 1, equal, 100) == nextafterf(2, 3));
    assert_true(capped(0.1, 2, equal, 100) == nextafterf(2, 3));
    assert_true(capped(0.1, 2.5, equal, 100) == 2.5f);
    /* 50 numbers, 1 to 99: the 5 highest are 91 and above. A NaN of either sign is none. */
    assert_true(capped(0.1, 1, mixed, 100) == nextafterf(89, 90));
    for (int i = 0; i < 100; i += 2)
        mixed[i] = -NAN;
    assert_true(capped(0.1, 1, mixed, 100) == nextafterf(89, 90));
    for (int i = 0; i < 100; i++)
        mixed[i] = NAN;
    assert_tau(capped(0.1, 1e-3, mixed, 100), 1e-3);
    /* Denormal numbers are in order, too. */
    for (int i = 0; i < 100; i++)
        mixed[i] = (float)i * 1e-44f;
    assert_true(capped(0.1, (double)FLT_MIN, mixed, 100) == FLT_MIN);
}

/* The next steps begin where the cap left tau. */
static void adaptive_goes_on_from_the_cap(void **state)
{
    (void)state;
    struct sl_threshold_options options = dl4j(SL_THRESHOLD_ADAPTIVE);
    struct sl_threshold_state at = {0};
    const float sample[] = {8, 7, 6, 5, 4, 3, 2, 1, 0, 0};
    options.cap = 0.2;
    const float tau = sl_threshold_next(&options, &at, sample, 10);
    assert_true(tau == nextafterf(6, 7));
    sl_threshold_note(&at, tau, 0, N);
    const float small[10] = {0};
    assert_tau(sl_threshold_next(&options, &at, small, 10), 0.95 * 6);
}

static void kinds_have_names(void **state)
{
    (void)state;
    assert_int_equal(sl_threshold_find("adaptive"), SL_THRESHOLD_ADAPTIVE);
    assert_int_equal(sl_threshold_find("target-sparsity"), SL_THRESHOLD_TARGET);
    assert_int_equal(sl_threshold_find("fixed"), SL_THRESHOLD_FIXED);
    assert_int_equal(sl_threshold_find("Fixed"), -1);
    assert_int_equal(sl_threshold_find(""), -1);
    for (int kind = 0; kind < SL_THRESHOLD_KINDS; kind++)
        assert_int_equal(sl_threshold_find(sl_threshold_name((enum sl_threshold_kind)kind)), kind);
}

static void assert_bad(struct sl_threshold_options options, const char *option)
{
    sl_clear_error();
    assert_int_equal(sl_threshold_check(&options), SL_BAD_CONFIG);
    if (strncmp(sl_last_error(), option, strlen(option)) || sl_last_error()[strlen(option)] != ' ')
        fail_msg("\"%s\" does not name %s", sl_last_error(), option);
}

static void options_out_of_range_are_named(void **state)
{
    (void)state;
    const struct sl_threshold_options adaptive = dl4j(SL_THRESHOLD_ADAPTIVE), target = dl4j(SL_THRESHOLD_TARGET);
    const struct {
        const char *option;
        size_t at;
        double values[6];
    } bad[] = {
        {"--threshold", offsetof(struct sl_threshold_options, initial), {0, -1, NAN, INFINITY, 1e-50, 1e50}},
        {"--min-density", offsetof(struct sl_threshold_options, min_density), {0, -1, NAN, INFINITY, 1.5, -0.0}},
        {"--max-density", offsetof(struct sl_threshold_options, max_density), {0, -1, NAN, INFINITY, 1.5, 9e-4}},
        {"--threshold-decay", offsetof(struct sl_threshold_options, decay), {0, -1, NAN, INFINITY, 1, 0.49}},
        {"--density-cap", offsetof(struct sl_threshold_options, cap), {0, -1, NAN, INFINITY, 1.01, -0.0}},
        {"--target-density", offsetof(struct sl_threshold_options, target), {0, -1, NAN, INFINITY, 1, 1.0 / 16}},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        for (int v = 0; v < 6; v++) {
            struct sl_threshold_options options = strcmp(bad[i].option, "--target-density") ? adaptive : target;
            memcpy((char *)&options + bad[i].at, &bad[i].values[v], sizeof(double));
            assert_bad(options, bad[i].option);
        }
    /* The ends that belong to the range, and what a kind does not use. */
    struct sl_threshold_options good = adaptive;
    good.decay = 0.5;
    good.min_density = good.max_density = 1;
    good.target = NAN;
    assert_int_equal(sl_threshold_check(&good), SL_OK);
    good = (struct sl_threshold_options){.kind = SL_THRESHOLD_FIXED, .initial = 1, .cap = 1};
    assert_int_equal(sl_threshold_check(&good), SL_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adaptive_meets_dl4j),
        cmocka_unit_test(target_is_aimed_at),
        cmocka_unit_test(fixed_stays),
        cmocka_unit_test(defaults_are_dl4j),
        cmocka_unit_test(a_state_goes_on_where_it_was),
        cmocka_unit_test(tau_is_a_number),
        cmocka_unit_test(the_cap_is_a_quantile),
        cmocka_unit_test(odd_samples_are_taken),
        cmocka_unit_test(adaptive_goes_on_from_the_cap),
        cmocka_unit_test(kinds_have_names),
        cmocka_unit_test(options_out_of_range_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
