/* A convolution that pools on the side gives the bits of the same row and a pool after it. */
#include "tests/conv_rows.h"
#include "tests/run_op.h"

#include "kernels/element.h"
#include "kernels/pool/pool.h"

/* 2 x 2 windows of what a convolution gives. */
static void pool(const struct sl_conv2d *s, const void *x, void *y)
{
    const struct sl_pool shape = {s->n, s->oh, s->ow, s->k, s->ys, 2, 2, 2, 2, 0, 0, s->oh / 2, s->ow / 2, s->element};
    run_op(SL_OP_pool_max_fwd, SL_CPU, &shape, &(struct sl_pool_fwd){x, y});
}

/* Floats that are drawn, as an element. */
static void *draw_elements(size_t n, uint64_t stream, enum sl_element element)
{
    float *at = draw(n, stream);
    for (size_t i = 0; i < n; i++)
        sl_put(element, at, (int64_t)i, at[i]); /* is never longer than what it is made from */
    return at;
}

static void compare(const struct sl_kernel_row *row, const struct sl_conv2d *shape)
{
    struct sl_conv2d s = *shape;
    s.element = row->kernel->element;
    const size_t outputs = sl_conv2d_outputs(&s);
    void *x = draw_elements(sl_conv2d_inputs(&s), 0, s.element);
    float *weights = draw(sl_conv2d_weights(&s), 1);
    float *whole = take(outputs), *want = take(outputs / 4), *got = take(outputs / 4);
    pass(find_row(SL_OP_conv2d_fwd, row->name), &s, x, weights, whole);
    pool(&s, whole, want);
    pass(row, &s, x, weights, got);
    assert_memory_equal(got, want, outputs / 4 * sl_element_bytes(s.element));
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
static void past_the_caches(const char *name)
{
    const struct sl_kernel_row *row = find_row(SL_OP_conv2d_pool_fwd, name);
    const struct sl_conv2d s = {4, 256, 256, 16, 64, 2, 2, 1, 1, 0, 0, 256, 256, 16, 64, SL_ELEMENT_F32};
    assert_true(sl_conv2d_pooled_outputs(&s) * sl_element_bytes(row->kernel->element) >= 8 << 20);
    if (!runs(row))
        skip();
    compare(row, &s);
}

static void windows_past_the_caches_have_the_same_bits(void **state)
{
    (void)state;
    past_the_caches("winograd_avx512");
}

static void so_have_those_of_bf16(void **state)
{
    (void)state;
    past_the_caches("winograd_bf16_avx512");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pooling_on_the_side_changes_no_bit),
        cmocka_unit_test(windows_past_the_caches_have_the_same_bits),
        cmocka_unit_test(so_have_those_of_bf16),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
