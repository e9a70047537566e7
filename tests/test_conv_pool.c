/* A convolution that pools on the side gives the bits of the same row and a pool after it. */
#include "tests/conv_rows.h"
#include "tests/run_op.h"

#include "kernels/pool/pool.h"

/* 2 x 2 windows of what a convolution gives. */
static void pool(const struct sl_conv2d *s, const float *x, float *y)
{
    const struct sl_pool shape = {s->n, s->oh, s->ow, s->k, s->ys,     2,         2,
                                  2,    2,     0,     0,    s->oh / 2, s->ow / 2, SL_ELEMENT_F32};
    run_op(SL_OP_pool_max_fwd, SL_CPU, &shape, &(struct sl_pool_fwd){x, y});
}

static void compare(const struct sl_kernel_row *row, const struct sl_conv2d *s)
{
    const size_t outputs = sl_conv2d_outputs(s);
    float *x = draw(sl_conv2d_inputs(s), 0), *weights = draw(sl_conv2d_weights(s), 1);
    float *whole = take(outputs), *want = take(outputs / 4), *got = take(outputs / 4);
    pass(find_row(SL_OP_conv2d_fwd, row->name), s, x, weights, whole);
    pool(s, whole, want);
    pass(row, s, x, weights, got);
    assert_memory_equal(got, want, outputs / 4 * sizeof *got);
    free(got);
    free(want);
    free(whole);
    free(weights);
    free(x);
}

/* Shapes for which a row has one form with a pool and without: whole tiles, cut ones, units of rows and of images. */
static void pooling_on_the_side_changes_no_bit(void **state)
{
    (void)state;
    static const struct sl_conv2d shapes[] = {
        {3, 16, 16, 32, 48, 2, 2, 1, 1, 0, 0, 16, 16, 32, 48, SL_ELEMENT_F32},
        {1, 14, 18, 16, 64, 3, 3, 1, 1, 1, 1, 14, 18, 16, 64, SL_ELEMENT_F32},
        {2, 6, 6, 32, 32, 3, 3, 1, 1, 1, 1, 6, 6, 32, 32, SL_ELEMENT_F32},
        {1, 38, 40, 16, 16, 3, 3, 1, 1, 1, 1, 38, 40, 16, 16, SL_ELEMENT_F32},
    };
    for (size_t i = 0; i < sl_kernel_row_count; i++)
        for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
            const struct sl_kernel_row *row = &sl_kernel_rows[i];
            if (row->op == SL_OP_conv2d_pool_fwd && runs(row))
                compare(row, &shapes[k]);
        }
}

/* 8 MiB go past the caches, from an address that allows it. */
static void windows_past_the_caches_have_the_same_bits(void **state)
{
    (void)state;
    const struct sl_kernel_row *row = find_row(SL_OP_conv2d_pool_fwd, "winograd_avx512");
    const struct sl_conv2d s = {2, 256, 256, 16, 64, 2, 2, 1, 1, 0, 0, 256, 256, 16, 64, SL_ELEMENT_F32};
    assert_true(sl_conv2d_pooled_outputs(&s) * sizeof(float) >= 8 << 20);
    if (!runs(row))
        skip();
    compare(row, &s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pooling_on_the_side_changes_no_bit),
        cmocka_unit_test(windows_past_the_caches_have_the_same_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
