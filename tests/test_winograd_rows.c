/* What the rows of Winograd's convolution promise beyond the checker: the errors of each form, and bits that depend
 * neither on the other images of a batch nor on how the output is stored. */
#include "tests/conv_rows.h"

#include "kernels/conv/winograd.h"

/* n images of side x side pixels, c channels in and k out, kernel r x r, padding `same`. */
static struct sl_conv2d same(int32_t n, int32_t side, int32_t c, int32_t k, int32_t r)
{
    const int32_t pad = r == 3;
    return (struct sl_conv2d){n, side, side, c, k, r, r, 1, 1, pad, pad, side, side, c, k, SL_ELEMENT_F32};
}

static void errors_are_those_of_the_form(void **state)
{
    (void)state;
    static const struct {
        enum sl_winograd form;
        struct sl_conv2d shape;
        struct error stated;
    } cases[] = {
        {SL_WINOGRAD_4_2, {1, 16, 16, 256, 256, 2, 2, 1, 1, 0, 0, 16, 16, 256, 256, SL_ELEMENT_F32}, {1.5e-6, 2.4e-5}},
        {SL_WINOGRAD_3_2, {4, 6, 6, 256, 256, 2, 2, 1, 1, 0, 0, 6, 6, 256, 256, SL_ELEMENT_F32}, {3.8e-7, 2.4e-6}},
        {SL_WINOGRAD_4_3, {1, 16, 16, 128, 128, 3, 3, 1, 1, 1, 1, 16, 16, 128, 128, SL_ELEMENT_F32}, {2.7e-6, 2.4e-5}},
        {SL_WINOGRAD_2_3, {4, 6, 6, 128, 128, 3, 3, 1, 1, 1, 1, 6, 6, 128, 128, SL_ELEMENT_F32}, {3.9e-7, 2.4e-6}},
    };
    static const enum sl_op passes[] = {SL_OP_conv2d_fwd, SL_OP_conv2d_bwd_data};
    static const char *const names[] = {"winograd_avx512", "winograd_avx2"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int p = 0; p < 2; p++)
            for (int n = 0; n < 2; n++) {
                const struct sl_conv2d *s = &cases[i].shape;
                const struct sl_kernel_row *row = find_row(passes[p], names[n]);
                assert_int_equal(sl_winograd_choose(s->kh, s->oh, s->ow), cases[i].form);
                if (runs(row))
                    error_is_that_of_the_form(row, i, pass_error(row, s, 1.0f), cases[i].stated);
            }
}

static void an_image_has_the_same_bits_in_any_batch(void **state)
{
    (void)state;
    static const char *const names[] = {"winograd_avx512", "winograd_avx2"};
    enum { IMAGES = 23 };
    const struct sl_conv2d all = same(IMAGES, 7, 32, 48, 2), one = same(1, 7, 32, 48, 2);
    const size_t outputs = sl_conv2d_outputs(&one), last = IMAGES - 1;
    float *x = draw(sl_conv2d_inputs(&all), 0), *weights = draw(sl_conv2d_weights(&all), 1);
    float *together = take(sl_conv2d_outputs(&all)), *alone = take(outputs);
    for (int n = 0; n < 2; n++) {
        const struct sl_kernel_row *row = find_row(SL_OP_conv2d_fwd, names[n]);
        if (!runs(row))
            continue;
        pass(row, &all, x, weights, together);
        pass(row, &one, x + last * sl_conv2d_inputs(&one), weights, alone);
        assert_memory_equal(together + last * outputs, alone, outputs * sizeof *alone);
    }
    free(alone);
    free(together);
    free(weights);
    free(x);
}

/* 8 MiB go past the caches, from an address that allows it. */
static void an_output_past_the_caches_has_the_same_bits(void **state)
{
    (void)state;
    const struct sl_kernel_row *row = find_row(SL_OP_conv2d_fwd, "winograd_avx512");
    if (!runs(row))
        skip();
    const struct sl_conv2d s = same(2, 128, 16, 64, 2);
    const size_t outputs = sl_conv2d_outputs(&s);
    assert_true(outputs * sizeof(float) >= 8 << 20);
    float *x = draw(sl_conv2d_inputs(&s), 0), *weights = draw(sl_conv2d_weights(&s), 1);
    float *aligned = take(outputs), *other = take(outputs + 1);
    pass(row, &s, x, weights, aligned);
    pass(row, &s, x, weights, other + 1);
    assert_memory_equal(aligned, other + 1, outputs * sizeof *aligned);
    free(other);
    free(aligned);
    free(weights);
    free(x);
}

/* A row says how many operations its multiplications are: those of its frequencies, tiles that reach past the end
 * included. */
static void operations_are_those_that_run(void **state)
{
    (void)state;
    static const struct sl_conv2d shapes[] = {
        {2, 17, 9, 32, 48, 2, 2, 1, 1, 0, 0, 17, 9, 32, 48, SL_ELEMENT_F32},
        {2, 9, 7, 32, 48, 3, 3, 1, 1, 0, 0, 7, 5, 32, 48, SL_ELEMENT_F32},
    };
    static const struct {
        enum sl_op op;
        double products[2]; /* of one pair of channels, in an image */
    } passes[] = {
        {SL_OP_conv2d_fwd, {6 * 3 * 16, 2 * 2 * 36}},
        {SL_OP_conv2d_bwd_data, {6 * 3 * 16, 3 * 2 * 36}},
        {SL_OP_conv2d_bwd_weights, {6 * 3 * 16, 2 * 2 * 36}},
    };
    static const char *const names[] = {"winograd_avx512", "winograd_avx2"};
    for (size_t p = 0; p < sizeof passes / sizeof *passes; p++)
        for (int i = 0; i < 4; i++) {
            const struct sl_kernel_row *row = find_row(passes[p].op, names[i / 2]);
            struct sl_need need;
            if (!runs(row))
                continue;
            assert_true(sl_row_takes(row, row->op, &shapes[i % 2], row->needs, &need));
            assert_true(need.flops == 2.0 * 2 * 32 * 48 * passes[p].products[i % 2]);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_are_those_of_the_form),
        cmocka_unit_test(an_image_has_the_same_bits_in_any_batch),
        cmocka_unit_test(an_output_past_the_caches_has_the_same_bits),
        cmocka_unit_test(operations_are_those_that_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
