/* Status codes, error detail and instruction-set selection. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/kernels.h"

static int fails(void)
{
    int rc = SL_OK;
    SL_FAIL(SL_BAD_DATA, "at offset %d", 7);
out:
    return rc;
}

static int passes_on(void)
{
    int rc = SL_OK;
    SL_TRY(fails());
out:
    return rc == SL_OK ? rc : sl_fail_prefix(rc, "file %s", "a.tar");
}

static void keeps_the_detail(void **state)
{
    (void)state;
    assert_int_equal(passes_on(), 65);
    assert_string_equal(sl_last_error(), "file a.tar: at offset 7");
    assert_string_equal(sl_status_text(65), "bad input data");
    sl_clear_error();
    assert_string_equal(sl_last_error(), "");
}

static void long_details_are_cut(void **state)
{
    (void)state;
    char text[5000];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    sl_fail(SL_IO, "%s", text);
    assert_true(strlen(sl_last_error()) < 2000);
    sl_fail_prefix(SL_IO, "%s", text);
    assert_true(strlen(sl_last_error()) < 2000);
}

static void isa_can_be_held_down(void **state)
{
    (void)state;
    setenv("SL_ISA", "ref", 1);
    assert_int_equal(sl_isa(), SL_CPU);
    setenv("SL_ISA", "avx2", 1);
    assert_int_equal(sl_isa() & ~(uint32_t)(SL_CPU | SL_AVX2), 0);
    setenv("SL_ISA", "avx512", 1);
    assert_int_equal(sl_isa(), sl_isa_detect() & ~(uint32_t)SL_AMX);
    setenv("SL_ISA", "amx", 1);
    assert_int_equal(sl_isa(), sl_isa_detect());
    unsetenv("SL_ISA");
    assert_int_equal(sl_isa(), sl_isa_detect());
    assert_string_equal(sl_isa_text(SL_AVX2 | SL_AVX512), "avx2 avx512");
    assert_string_equal(sl_isa_text(SL_AVX512 | SL_BF16 | SL_AMX), "avx512 bf16 amx");
}

static void every_operation_has_a_name(void **state)
{
    (void)state;
    assert_string_equal(sl_op_name(SL_OP_conv2d_fwd), "conv2d_fwd");
    assert_null(sl_op_name(SL_OP_COUNT));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_the_detail),
        cmocka_unit_test(long_details_are_cut),
        cmocka_unit_test(isa_can_be_held_down),
        cmocka_unit_test(every_operation_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
