/* Philox4x32-10 against Random123's known answers, and what dropout makes of it. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "kernels/elementwise/elementwise.h"
#include "tests/run_op.h"
#include "kernels/elementwise/philox.h"
#include "kernels/kernels.h"

/* Words of the counter are listed from the lowest: c0 c1 c2 c3, then k0 k1. */
static void known_answers(void **state)
{
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], want[4];
    } cases[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const uint64_t low = (uint64_t)cases[i].counter[1] << 32 | cases[i].counter[0];
        const uint64_t high = (uint64_t)cases[i].counter[3] << 32 | cases[i].counter[2];
        const uint64_t key = (uint64_t)cases[i].key[1] << 32 | cases[i].key[0];
        const struct sl_philox got = sl_philox4x32(key, high, low);
        for (int w = 0; w < 4; w++)
            assert_int_equal(got.word[w], cases[i].want[w]);
    }
}

static void uniform_stays_below_one(void **state)
{
    (void)state;
    assert_true(sl_uniform(0) == 0.0f);
    assert_true(sl_uniform(~0u) < 1.0f);
    assert_true(sl_uniform(~0u) > 0.9999999f);
}

enum { N = 200000 };

static float *dropped(float rate, uint64_t seed, uint64_t stream)
{
    const struct sl_dropout_shape shape = {N, rate, SL_ELEMENT_F32};
    const struct sl_now now = {.seed = seed};
    float *y = malloc(N * sizeof *y);
    assert_non_null(y);
    for (int i = 0; i < N; i++)
        y[i] = 1.0f;
    const struct sl_dropout args = {.x = y, .y = y, .now = &now, .stream = stream};
    run_op(SL_OP_dropout, ~0u, &shape, &args);
    return y;
}

/* The share dropped lies within five standard deviations, the mean is kept, and neighbours are independent. */
static void dropout_drops_its_share(void **state)
{
    (void)state;
    const float rate = 0.3f;
    float *y = dropped(rate, 42, 7);
    int kept = 0, pairs = 0;
    double sum = 0.0;
    for (int i = 0; i < N; i++) {
        kept += y[i] > 0.0f;
        pairs += i && y[i] > 0.0f && y[i - 1] > 0.0f;
        sum += y[i];
    }
    const double keep = 1.0 - (double)rate;
    assert_true(fabs(kept - keep * N) < 5.0 * sqrt(keep * (double)rate * N));
    assert_true(fabs(pairs - keep * keep * N) < 5.0 * sqrt(keep * keep * N));
    assert_true(fabs(sum / N - 1.0) < 5e-3);
    free(y);
}

static double agreement(const float *a, const float *b)
{
    int same = 0;
    for (int i = 0; i < N; i++)
        same += (a[i] > 0.0f) == (b[i] > 0.0f);
    return (double)same / N;
}

/* The same seed and stream repeat; another seed or stream agrees by chance only. */
static void dropout_is_a_function_of_seed_and_stream(void **state)
{
    (void)state;
    float *a = dropped(0.5f, 1, 1), *again = dropped(0.5f, 1, 1);
    float *stream = dropped(0.5f, 1, 2), *other = dropped(0.5f, 2, 1);
    assert_true(agreement(a, again) == 1.0);
    assert_true(fabs(agreement(a, stream) - 0.5) < 0.01);
    assert_true(fabs(agreement(a, other) - 0.5) < 0.01);
    free(a);
    free(again);
    free(stream);
    free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),
        cmocka_unit_test(uniform_stays_below_one),
        cmocka_unit_test(dropout_drops_its_share),
        cmocka_unit_test(dropout_is_a_function_of_seed_and_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
