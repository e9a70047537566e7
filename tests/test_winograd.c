/* The forms of Winograd's convolution: every coefficient of every transform, without a rounding. The vectors of the
 * template are doubles here, and all coefficients are small multiples of powers of two. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

typedef double vf;
static inline vf v_zero(void)
{
    return 0.0;
}
static inline vf v_set1(float x)
{
    return (double)x;
}
static inline vf v_add(vf a, vf b)
{
    return a + b;
}
static inline vf v_sub(vf a, vf b)
{
    return a - b;
}
static inline vf v_fma(vf a, vf b, vf c)
{
    return a * b + c;
}

#include "kernels/conv/conv_winograd_transform.h"

enum { MOST = SL_WINOGRAD_POINTS };

/* The number of points is a constant wherever the template is used. */
static void input(int t, const vf *d, vf *v)
{
    if (t == 4)
        winograd_input(4, d, v);
    else if (t == 5)
        winograd_input(5, d, v);
    else
        winograd_input(6, d, v);
}

static void evaluate(int t, int n, const vf *a, vf *v)
{
    if (t == 4)
        winograd_evaluate(4, n, a, v);
    else if (t == 5)
        winograd_evaluate(5, n, a, v);
    else
        winograd_evaluate(6, n, a, v);
}

static void collect(int t, int n, const vf *v, vf *a)
{
    if (t == 4)
        winograd_collect(4, n, v, a);
    else if (t == 5)
        winograd_collect(5, n, v, a);
    else
        winograd_collect(6, n, v, a);
}

/* Makes every divisor of a form an integer's. */
static double common(int t)
{
    return t == 4 ? 2.0 : t == 5 ? 6.0 : 45.0;
}

/* For input l, tap j and output k alone, correlation is 1 where l = j + k, else 0. It is linear in each of the three,
 * so this is all there is to say of it. */
static void transforms_make_a_correlation(void **state)
{
    (void)state;
    for (int f = 0; f < SL_WINOGRAD_FORMS; f++) {
        const struct sl_winograd_form form = sl_winograd_forms[f];
        const int t = form.t;
        assert_int_equal(t, form.m + form.r - 1);
        for (int l = 0; l < t; l++)
            for (int j = 0; j < form.r; j++)
                for (int k = 0; k < form.m; k++) {
                    vf d[MOST] = {0}, g[MOST] = {0}, y[MOST] = {0}, at_d[MOST], at_g[MOST], at_y[MOST], sum = 0.0;
                    d[l] = g[j] = y[k] = 1.0;
                    input(t, d, at_d);
                    evaluate(t, form.r, g, at_g);
                    evaluate(t, form.m, y, at_y);
                    for (int i = 0; i < t; i++)
                        sum += at_d[i] * at_g[i] * at_y[i] * (common(t) / sl_winograd_divisor(t, i));
                    if (sum != (l == j + k ? common(t) : 0.0))
                        fail_msg("F(%d,%d): input %d, tap %d, output %d: %g instead of %d of %g", form.m, form.r, l, j,
                                 k, sum, l == j + k, common(t));
                }
    }
}

static void collecting_is_evaluation_transposed(void **state)
{
    (void)state;
    for (int t = 4; t <= MOST; t++)
        for (int n = 2; n <= SL_WINOGRAD_OUTPUTS; n++)
            for (int i = 0; i < t; i++)
                for (int k = 0; k < n; k++) {
                    vf value[MOST] = {0}, coefficient[MOST] = {0}, collected[MOST], values[MOST];
                    value[i] = coefficient[k] = 1.0;
                    collect(t, n, value, collected);
                    evaluate(t, n, coefficient, values);
                    if (collected[k] != values[i])
                        fail_msg("%d points, %d coefficients: value %d, coefficient %d: %g and %g", t, n, i, k,
                                 collected[k], values[i]);
                }
}

/* The points as README.md has them: a power of each is what evaluation makes of one coefficient. */
static void evaluation_is_at_the_points(void **state)
{
    (void)state;
    for (int t = 4; t <= MOST; t++)
        for (int i = 0; i < t - 1; i++) {
            const double p = sl_winograd_point(t, i);
            const vf a[] = {0.0, 0.0, 1.0, 0.0};
            vf v[MOST];
            evaluate(t, 4, a, v);
            assert_true(v[i] == p * p);
            assert_true(v[t - 1] == 0.0);
        }
}

static void divisors_are_products_of_distances(void **state)
{
    (void)state;
    static const double want[MOST + 1][MOST] = {
        [4] = {-1.0, 2.0, 2.0, 1.0},
        [5] = {2.0, -2.0, -6.0, 6.0, 1.0},
        [6] = {2.25, -2.5, -2.5, 5.625, 5.625, 1.0},
    };
    for (int t = 4; t <= MOST; t++)
        for (int i = 0; i < t; i++)
            assert_true(sl_winograd_divisor(t, i) == want[t][i]);
}

static void the_form_with_the_fewest_multiplications_is_chosen(void **state)
{
    (void)state;
    static const struct {
        int32_t r, oh, ow;
        enum sl_winograd want;
    } cases[] = {
        {2, 16, 16, SL_WINOGRAD_4_2}, {2, 32, 32, SL_WINOGRAD_4_2}, {2, 3, 3, SL_WINOGRAD_3_2},
        {2, 6, 3, SL_WINOGRAD_3_2},   {2, 4, 4, SL_WINOGRAD_4_2},   {3, 64, 64, SL_WINOGRAD_4_3},
        {3, 2, 2, SL_WINOGRAD_2_3},   {3, 1, 1, SL_WINOGRAD_2_3},   {3, 6, 6, SL_WINOGRAD_2_3},
        {3, 8, 7, SL_WINOGRAD_4_3},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(sl_winograd_choose(cases[i].r, cases[i].oh, cases[i].ow), cases[i].want);
    assert_int_equal(sl_winograd_cost(SL_WINOGRAD_4_2, 16, 17), 4 * 5 * 25);
    assert_int_equal(sl_winograd_cost(SL_WINOGRAD_2_3, 3, 3), 4 * 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transforms_make_a_correlation),
        cmocka_unit_test(collecting_is_evaluation_transposed),
        cmocka_unit_test(evaluation_is_at_the_points),
        cmocka_unit_test(divisors_are_products_of_distances),
        cmocka_unit_test(the_form_with_the_fewest_multiplications_is_chosen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
