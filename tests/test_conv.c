/* Every convolution row this machine can run, against the reference. Built a second time with the AVX-512 rows in
 * plain C (CHECK_EMULATED), so that their logic is checked on every machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/check_conv.h"

static void check(enum sl_op op)
{
    uint32_t isa = sl_isa_detect();
#ifdef CHECK_EMULATED
    isa |= SL_AVX512;
#endif
    int wrong = 0;
    for (size_t i = 0; i < check_conv_case_count; i++)
        wrong += check_conv(op, &check_conv_cases[i], isa);
    assert_int_equal(wrong, 0);
}

static void conv2d_fwd(void **state)
{
    (void)state;
    check(SL_OP_conv2d_fwd);
}

static void conv2d_bwd_data(void **state)
{
    (void)state;
    check(SL_OP_conv2d_bwd_data);
}

static void conv2d_bwd_weights(void **state)
{
    (void)state;
    check(SL_OP_conv2d_bwd_weights);
}

static void bias_bwd(void **state)
{
    (void)state;
    check(SL_OP_bias_bwd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conv2d_fwd),
        cmocka_unit_test(conv2d_bwd_data),
        cmocka_unit_test(conv2d_bwd_weights),
        cmocka_unit_test(bias_bwd),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
