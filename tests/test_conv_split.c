/* What the rows of floats in two parts promise beyond the checker: the errors that README.md of kernels/conv states, on
 * operands of any size, numbers that are not finite, and work for many cores. */
#include "tests/conv_rows.h"

#include "kernels/conv/units.h"

#include <float.h>

enum { KERNELS = 3 };

/* Kernels of 1 x 1, 2 x 2 and 3 x 3: sums of 128 to 1152 terms forward, of 1024 pixels in backward-weights. */
static struct sl_conv2d shape_of(int kernel)
{
    const int32_t r = kernel + 1, pad = r == 3;
    return (struct sl_conv2d){4, 16, 16, 128, 128, r, r, 1, 1, pad, pad, 16, 16, 128, 128, SL_ELEMENT_F32};
}

/* dw by one row, its parts added up. */
static float *gradient(const char *name, const struct sl_conv2d *s, const float *x, const float *dy)
{
    struct launch l;
    open_launch(&l, find_row(SL_OP_conv2d_bwd_weights, name), s, NULL);
    const size_t n = sl_conv2d_weights(s);
    float *dw = take((size_t)(l.need.parts ? l.need.parts : 1) * n);
    l.row->kernel->run(s, &(struct sl_conv2d_bwd_weights){x, dy, dw},
                       &(struct sl_work){.end = l.need.units, .scratch = l.scratch, .state = l.state});
    add_parts(dw, n, l.need.parts);
    close_launch(&l);
    return dw;
}

static struct error gradient_error(const struct sl_conv2d *s, float size)
{
    float *x = draw(sl_conv2d_inputs(s), 0), *dy = draw(sl_conv2d_outputs(s), 1);
    multiply(x, sl_conv2d_inputs(s), size);
    multiply(dy, sl_conv2d_outputs(s), 1.0f / size);
    float *got = gradient("split_amx", s, x, dy), *want = gradient("ref", s, x, dy);
    const struct error error = error_of(got, want, sl_conv2d_weights(s));
    free(want);
    free(got);
    free(dy);
    free(x);
    return error;
}

/* The parts of a number are as exact whatever its size, as long as the low one is no subnormal. */
static void errors_are_those_stated(void **state)
{
    (void)state;
    static const struct error stated = {3.8e-6, 2.0e-5};
    static const float sizes[] = {1.0f, 0x1p60f, 0x1p-60f};
    const struct sl_kernel_row *row = find_row(SL_OP_conv2d_fwd, "split_amx");
    const struct sl_kernel_row *back = find_row(SL_OP_conv2d_bwd_data, "split_amx");
    if (!runs(row))
        skip();
    for (int k = 0; k < KERNELS; k++)
        for (int i = 0; i < 3; i++) {
            const struct sl_conv2d s = shape_of(k);
            error_is_that_of_the_form(row, (size_t)k, pass_error(row, &s, sizes[i]), stated);
            error_is_that_of_the_form(back, (size_t)k, pass_error(back, &s, sizes[i]), stated);
            error_is_that_of_the_form(row, (size_t)k, gradient_error(&s, sizes[i]), stated);
        }
}

/* What is not finite in x is so in all that it reaches: a step that has gone wrong is seen. */
static void what_is_not_finite_stays_so(void **state)
{
    (void)state;
    static const float bad[] = {INFINITY, -INFINITY, NAN, FLT_MAX};
    const struct sl_kernel_row *row = find_row(SL_OP_conv2d_fwd, "split_amx");
    const struct sl_conv2d s = shape_of(0);
    if (!runs(row))
        skip();
    float *x = draw(sl_conv2d_inputs(&s), 0), *weights = draw(sl_conv2d_weights(&s), 1);
    float *y = take(sl_conv2d_outputs(&s));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        x[5] = bad[i];
        pass(row, &s, x, weights, y);
        for (int32_t k = 0; k < s.k; k++)
            assert_false(isfinite(y[k]));
        assert_true(isfinite(y[s.ys]));
    }
    free(y);
    free(weights);
    free(x);
}

/* Forward and backward-data of the network's larger layers at a batch of 32, in either number of parts. */
static void units_fill_a_node_of_many_cores(void **state)
{
    (void)state;
    if (!(sl_isa() & SL_AVX512)) /* what these rows need, code of theirs says, which is compiled for it */
        skip();
    static const struct sl_conv2d layers[] = {
        {32, 64, 64, 32, 64, 3, 3, 1, 1, 1, 1, 64, 64, 32, 64, SL_ELEMENT_F32},
        {32, 32, 32, 64, 128, 2, 2, 1, 1, 0, 0, 32, 32, 64, 128, SL_ELEMENT_F32},
        {32, 32, 32, 128, 256, 2, 2, 1, 1, 0, 0, 32, 32, 128, 256, SL_ELEMENT_F32},
        {32, 16, 16, 256, 256, 2, 2, 1, 1, 0, 0, 16, 16, 256, 256, SL_ELEMENT_F32},
        {32, 16, 16, 256, 512, 2, 2, 1, 1, 0, 0, 16, 16, 256, 512, SL_ELEMENT_F32},
    };
    static const enum sl_op passes[] = {SL_OP_conv2d_fwd, SL_OP_conv2d_bwd_data};
    static const char *const names[] = {"split_amx", "direct_bf16_amx"};
    for (size_t l = 0; l < sizeof layers / sizeof *layers; l++)
        for (int i = 0; i < 4; i++) {
            const struct sl_kernel_row *row = find_row(passes[i / 2], names[i % 2]);
            struct sl_conv2d s = layers[l];
            struct sl_need need;
            s.element = row->kernel->element;
            assert_true(sl_row_takes(row, row->op, &s, row->needs, &need));
            if (!sl_units_fill(need.units))
                fail_msg("%s, layer %zu: %lld units", row->symbol, l + 2, (long long)need.units);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(units_fill_a_node_of_many_cores),
        cmocka_unit_test(errors_are_those_stated),
        cmocka_unit_test(what_is_not_finite_stays_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
